"""Added places: single slots beside a doctor's hours."""

from uuid import UUID

import msgspec
from msgspec import Struct

from clinic.domain.audit.audit import checked_reason
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.errors import (
    AddedPlaceNotFound,
    AlreadyEntered,
    BlockedBy,
    DoctorNotFound,
    EndBeforeStart,
    LocationInactive,
    LocationNotFound,
    SlotOverlap,
    TimeInPast,
    TooClose,
)
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import (
    PREVIEWED,
    DeleteQuery,
    PreviewQuery,
    answer_change,
)
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    PlaceChangedOut,
    PlaceIn,
    PlaceOut,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.calendar.added_places import (
    add_place,
    delete_place,
    list_places,
    read_place,
)
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.context import Context

_TAG = "Added places"
_encode = msgspec.json.Encoder().encode


class PlacesQuery(Struct, forbid_unknown_fields=True, frozen=True):
    doctor: UUID | None = None


@endpoint(
    "GET",
    "/added-places",
    tag=_TAG,
    summary="List added places",
    answers=ItemsOut[PlaceOut],
    needs=Operation.READ_CALENDAR,
    refuses=(DoctorNotFound,),
)
async def get_places(call: RequestContext, query: PlacesQuery) -> Reply:
    """Those that are not over, in the order in which they were entered. Doctors see their own, the
    office everyone's."""
    places = await list_places(call.context(), doctor_id=query.doctor)
    zone = (await call.clinic()).zone
    return Reply(200, _encode(ItemsOut([PlaceOut.of(each, zone) for each in places])))


@endpoint(
    "GET",
    "/added-places/{place_id}",
    tag=_TAG,
    summary="Read an added place",
    answers=PlaceOut,
    needs=Operation.READ_CALENDAR,
    refuses=(AddedPlaceNotFound,),
)
async def get_place(call: RequestContext, place_id: UUID) -> Reply:
    place = await read_place(call.context(), place_id)
    return Reply(200, _encode(PlaceOut.of(place, (await call.clinic()).zone)))


@endpoint(
    "POST",
    "/added-places",
    tag=_TAG,
    summary="Add a slot beside a doctor's hours",
    status=201,
    also=PREVIEWED,
    answers=PlaceChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(
        DoctorNotFound,
        EndBeforeStart,
        TimeInPast,
        AlreadyEntered,
        SlotOverlap,
        BlockedBy,
        LocationNotFound,
        LocationInactive,
        TooClose,
    ),
)
async def post_place(call: RequestContext, query: PreviewQuery, body: PlaceIn) -> Reply:
    """To see one patient more, before or after hours: the slot `[from, to)` can be booked as any
    other. Hours that cover it later replace it; closures, leave and blocks close it."""
    zone = (await call.clinic()).zone
    place = AddedPlace(
        call.services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        body.from_,
        body.to,
        body.reason,
        location_id=body.location_id,
    )

    async def act(context: Context) -> CalendarChanged[AddedPlace]:
        return await add_place(context, place, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        lambda changed: PlaceChangedOut.changed(changed, zone),
        preview=query.preview,
        created=lambda added: f"/added-places/{added.id}",
        reason=body.reason,
    )


@endpoint(
    "DELETE",
    "/added-places/{place_id}",
    tag=_TAG,
    summary="Take an added place back; the slots follow",
    answers=PlaceChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(AddedPlaceNotFound,),
)
async def remove_place(call: RequestContext, place_id: UUID, query: DeleteQuery) -> Reply:
    """An appointment in it stays, and is `stranded`."""
    zone = (await call.clinic()).zone

    async def act(context: Context) -> CalendarChanged[AddedPlace]:
        return await delete_place(context, place_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        lambda changed: PlaceChangedOut.changed(changed, zone),
        preview=query.preview,
        reason=checked_reason(query.reason, "reason"),
    )


ENDPOINTS = (get_places, get_place, post_place, remove_place)

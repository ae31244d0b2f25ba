"""Locations: list, read, add and change them."""

from dataclasses import replace
from uuid import UUID

import msgspec

from clinic.domain.calendar.locations import Location
from clinic.domain.errors import (
    LocationInUse,
    LocationNameInUse,
    LocationNotFound,
    PhoneNumberRefused,
    UnknownHolidayCalendar,
    VersionMismatch,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import DEFERRED, PreviewQuery, note_patients
from clinic.entrypoints.http.api.calendar.location_schemas import (
    ChangeLocationIn,
    LocationChangedOut,
    LocationIn,
    LocationOut,
    changes_of,
    location_of,
)
from clinic.entrypoints.http.kernel.conditional import expected_tags, unless_known
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply, content_tag
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, given
from clinic.usecases.calendar.locations import (
    LocationChanged,
    add_location,
    change_location,
    list_locations,
    read_location,
)
from clinic.usecases.context import Context

_TAG = "Locations"
_REFUSES = (LocationNameInUse, PhoneNumberRefused, UnknownHolidayCalendar)
_encode = msgspec.json.Encoder().encode


@endpoint(
    "GET",
    "/locations",
    tag=_TAG,
    summary="List locations",
    answers=ItemsOut[LocationOut],
    needs=Operation.READ_CLINIC,
)
async def get_locations(call: RequestContext) -> Reply:
    """Where the clinic's doctors work, in the order in which it was entered; also inactive ones,
    at which there may have been appointments."""
    found = await list_locations(call.context())
    return Reply(200, _encode(ItemsOut([LocationOut.of(each) for each in found])))


@endpoint(
    "GET",
    "/locations/{location_id}",
    tag=_TAG,
    summary="Read a location",
    answers=LocationOut,
    needs=Operation.READ_CLINIC,
    condition=Condition.IF_NONE_MATCH,
    headers=("ETag",),
    refuses=(LocationNotFound,),
)
async def get_location(call: RequestContext, location_id: UUID) -> Reply:
    """Send its ETag back as If-Match to change it."""
    body = _encode(LocationOut.of(await read_location(call.context(), location_id)))
    return unless_known(call, Reply(200, body, [(b"etag", content_tag(body).encode())]))


@endpoint(
    "POST",
    "/locations",
    tag=_TAG,
    summary="Add a location",
    status=201,
    answers=LocationOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.REQUIRED,
    headers=("Location", "ETag"),
    refuses=_REFUSES,
)
async def post_location(call: RequestContext, body: LocationIn) -> Reply:
    """Hours belong to a location by their `locationId`; hours without one are at the clinic's own
    address. With a `country`, the location keeps its public holidays in place of the clinic's,
    wherever the clinic is closed on public holidays. For admins."""
    location = location_of(body, id=call.services.new_id(), clinic_id=call.actor.clinic_id)

    async def act(context: Context) -> Location:
        return await add_location(context, location, contacts=call.services.contacts)

    return await answer_keyed(call, body, act, _added, reason=given(body.reason))


@endpoint(
    "PATCH",
    "/locations/{location_id}",
    tag=_TAG,
    summary="Change a location",
    also=DEFERRED,
    answers=LocationChangedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    condition=Condition.IF_MATCH,
    headers=("ETag",),
    refuses=(LocationNotFound, LocationInUse, *_REFUSES),
)
async def patch_location(
    call: RequestContext, location_id: UUID, query: PreviewQuery, body: ChangeLocationIn
) -> Reply:
    """Omitted members stay unchanged. Appointments there show the new name and address. Other
    public holidays change the slots of all doctors there. A location is never deleted: set
    `active` to false once no hours ahead are there. Needs the ETag that was last read, or `*`. For
    admins."""
    changes = changes_of(body)

    def change(before: Location) -> Location:
        allowed = expected_tags(call)
        if allowed is not None and _tag_of(before) not in allowed:
            raise VersionMismatch()
        return replace(before, **changes)

    async def act(context: Context) -> LocationChanged:
        contacts = call.services.contacts
        return await change_location(
            context, location_id, change, contacts=contacts, preview=query.preview
        )

    if query.preview:
        changed = await act(call.context(given(body.reason)))
        note_patients(call, changed.effect.stranded if changed.effect else ())
        return Reply(200, _encode(LocationChangedOut.changed(changed)))
    return await answer_keyed(call, body, act, _changed, required=False, reason=given(body.reason))


def _tag_of(location: Location) -> str:
    return content_tag(_encode(LocationOut.of(location)))


def _added(location: Location) -> Answer:
    body = _encode(LocationOut.of(location))
    return Answer(201, body, f"/locations/{location.id}", content_tag(body))


def _changed(changed: LocationChanged) -> Answer:
    body, etag = _encode(LocationChangedOut.changed(changed)), _tag_of(changed.location)
    later = changed.effect.change if changed.effect else None
    if later is not None:
        return Answer(202, body, f"/calendar-changes/{later.id}", etag)
    return Answer(200, body, etag=etag)


ENDPOINTS = (get_locations, get_location, post_location, patch_location)

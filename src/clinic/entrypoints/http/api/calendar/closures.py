"""Closures: days on which the whole clinic is closed; the slots follow."""

from dataclasses import replace
from uuid import UUID

import msgspec
from msgspec import UNSET

from clinic.domain.audit.audit import checked_reason
from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.domain.errors import (
    AlreadyEntered,
    ClosureNotFound,
    EndBeforeStart,
    LocationInactive,
    LocationNotFound,
    RangeTooLong,
    TimeInPast,
    UnknownHolidayCalendar,
)
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import (
    DEFERRED,
    PREVIEWED,
    DeleteQuery,
    PreviewQuery,
    answer_change,
)
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    ChangeClosureIn,
    ClosureChangedOut,
    ClosureIn,
    ClosureOut,
    wall_time,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, changes_in, given
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.closures import (
    add_closure,
    change_closure,
    delete_closure,
    list_closures,
    read_closure,
)
from clinic.usecases.context import Context

_TAG = "Closures"
_encode = msgspec.json.Encoder().encode
_REFUSES = (
    UnknownHolidayCalendar,
    EndBeforeStart,
    RangeTooLong,
    TimeInPast,
    AlreadyEntered,
)


@endpoint(
    "GET",
    "/closures",
    tag=_TAG,
    summary="List closures",
    answers=ItemsOut[ClosureOut],
    needs=Operation.READ_CLINIC,
)
async def get_closures(call: RequestContext) -> Reply:
    """In the order in which they were entered; those that are over as well."""
    closures = await list_closures(call.context())
    return Reply(200, _encode(ItemsOut([ClosureOut.of(each) for each in closures])))


@endpoint(
    "GET",
    "/closures/{closure_id}",
    tag=_TAG,
    summary="Read a closure",
    answers=ClosureOut,
    needs=Operation.READ_CLINIC,
    refuses=(ClosureNotFound,),
)
async def get_closure(call: RequestContext, closure_id: UUID) -> Reply:
    return Reply(200, _encode(ClosureOut.of(await read_closure(call.context(), closure_id))))


@endpoint(
    "POST",
    "/closures",
    tag=_TAG,
    summary="Close the clinic",
    status=201,
    also={**PREVIEWED, **DEFERRED},
    answers=ClosureChangedOut,
    needs=Operation.CLOSE_CLINIC,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(*_REFUSES, LocationNotFound, LocationInactive),
)
async def post_closure(call: RequestContext, query: PreviewQuery, body: ClosureIn) -> Reply:
    """On days, on the same days every year, or on the public holidays of a country. Slots that
    overlap it are blocked, whatever the doctors' hours; appointments in them stay, and are
    `stranded`. With a `locationId`, only slots there. When many slots are concerned, a worker
    blocks them: the answer is 202 with the address of the change."""
    closure = Closure(
        call.services.new_id(),
        call.actor.clinic_id,
        body.name,
        ClosureKind(body.kind.upper()),
        first=body.from_,
        last=body.until or body.from_,
        start=wall_time(body.start_time),
        end=wall_time(body.end_time),
        country=body.country,
        subdivision=body.subdivision,
        open_on=body.open_on,
        location_id=body.location_id,
    )

    async def act(context: Context) -> CalendarChanged[Closure]:
        return await add_closure(context, closure, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        ClosureChangedOut.changed,
        preview=query.preview,
        created=lambda added: f"/closures/{added.id}",
        reason=body.reason,
    )


@endpoint(
    "PATCH",
    "/closures/{closure_id}",
    tag=_TAG,
    summary="Change a closure; the slots follow",
    also=DEFERRED,
    answers=ClosureChangedOut,
    needs=Operation.CLOSE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    refuses=(ClosureNotFound, *_REFUSES),
)
async def patch_closure(
    call: RequestContext, closure_id: UUID, query: PreviewQuery, body: ChangeClosureIn
) -> Reply:
    """Slots that it no longer closes are open again, unless something else closes them. A new name
    alone changes no slot."""
    changes = changes_in(body, ("name", "open_on"))
    for wire, name in (("from_", "first"), ("until", "last")):
        if (day := getattr(body, wire)) is not UNSET:
            changes[name] = day
    for wire, name in (("start_time", "start"), ("end_time", "end")):
        if (wall := getattr(body, wire)) is not UNSET:
            changes[name] = wall_time(wall)

    async def act(context: Context) -> CalendarChanged[Closure]:
        return await change_closure(
            context,
            closure_id,
            lambda closure: replace(closure, **changes),
            preview=query.preview,
        )

    return await answer_change(
        call,
        body,
        act,
        ClosureChangedOut.changed,
        preview=query.preview,
        reason=given(body.reason),
    )


@endpoint(
    "DELETE",
    "/closures/{closure_id}",
    tag=_TAG,
    summary="Open the clinic again; the slots follow",
    also=DEFERRED,
    answers=ClosureChangedOut,
    needs=Operation.CLOSE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    refuses=(ClosureNotFound,),
)
async def remove_closure(call: RequestContext, closure_id: UUID, query: DeleteQuery) -> Reply:
    """Slots come back as they were, with their ids, unless something else closes them."""

    async def act(context: Context) -> CalendarChanged[Closure]:
        return await delete_closure(context, closure_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        ClosureChangedOut.changed,
        preview=query.preview,
        reason=checked_reason(query.reason, "reason"),
    )


ENDPOINTS = (get_closures, get_closure, post_closure, patch_closure, remove_closure)

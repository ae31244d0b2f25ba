"""Leave: days on which a doctor is away; the slots follow."""

from dataclasses import replace
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from clinic.domain.audit.audit import checked_reason
from clinic.domain.calendar.closings import Leave
from clinic.domain.errors import (
    AlreadyEntered,
    DoctorNotFound,
    EndBeforeStart,
    LeaveNotFound,
    RangeTooLong,
    TimeInPast,
)
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import (
    PREVIEWED,
    DeleteQuery,
    PreviewQuery,
    answer_change,
)
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    ChangeLeaveIn,
    LeaveChangedOut,
    LeaveIn,
    LeaveOut,
    wall_time,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, changes_in, given
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.leaves import (
    add_leave,
    change_leave,
    delete_leave,
    list_leaves,
    read_leave,
)
from clinic.usecases.context import Context

_TAG = "Leave"
_encode = msgspec.json.Encoder().encode
_REFUSES = (EndBeforeStart, RangeTooLong, TimeInPast, AlreadyEntered)


class LeavesQuery(Struct, forbid_unknown_fields=True, frozen=True):
    doctor: UUID | None = None


@endpoint(
    "GET",
    "/leaves",
    tag=_TAG,
    summary="List leave",
    answers=ItemsOut[LeaveOut],
    needs=Operation.READ_CALENDAR,
    refuses=(DoctorNotFound,),
)
async def get_leaves(call: RequestContext, query: LeavesQuery) -> Reply:
    """In the order in which it was entered. Doctors see their own, the office everyone's."""
    leaves = await list_leaves(call.context(), doctor_id=query.doctor)
    return Reply(200, _encode(ItemsOut([LeaveOut.of(each) for each in leaves])))


@endpoint(
    "GET",
    "/leaves/{leave_id}",
    tag=_TAG,
    summary="Read leave",
    answers=LeaveOut,
    needs=Operation.READ_CALENDAR,
    refuses=(LeaveNotFound,),
)
async def get_leave(call: RequestContext, leave_id: UUID) -> Reply:
    return Reply(200, _encode(LeaveOut.of(await read_leave(call.context(), leave_id))))


@endpoint(
    "POST",
    "/leaves",
    tag=_TAG,
    summary="Enter a doctor's leave",
    status=201,
    also=PREVIEWED,
    answers=LeaveChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(DoctorNotFound, *_REFUSES),
)
async def post_leave(call: RequestContext, query: PreviewQuery, body: LeaveIn) -> Reply:
    """Slots that overlap it are blocked, also those that are opened later; appointments in them
    stay, and are `stranded`."""
    leave = Leave(
        call.services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        body.from_,
        body.until or body.from_,
        start=wall_time(body.start_time),
        end=wall_time(body.end_time),
        reason=body.reason,
    )

    async def act(context: Context) -> CalendarChanged[Leave]:
        return await add_leave(context, leave, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        LeaveChangedOut.changed,
        preview=query.preview,
        created=lambda added: f"/leaves/{added.id}",
        reason=body.reason,
    )


@endpoint(
    "PATCH",
    "/leaves/{leave_id}",
    tag=_TAG,
    summary="Change leave; the slots follow",
    answers=LeaveChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(LeaveNotFound, *_REFUSES),
)
async def patch_leave(
    call: RequestContext, leave_id: UUID, query: PreviewQuery, body: ChangeLeaveIn
) -> Reply:
    changes = changes_in(body, ())
    for wire, name in (("from_", "first"), ("until", "last")):
        if (day := getattr(body, wire)) is not UNSET:
            changes[name] = day
    for wire, name in (("start_time", "start"), ("end_time", "end")):
        if (wall := getattr(body, wire)) is not UNSET:
            changes[name] = wall_time(wall)
    if body.reason is not UNSET:
        changes["reason"] = body.reason

    async def act(context: Context) -> CalendarChanged[Leave]:
        return await change_leave(
            context, leave_id, lambda leave: replace(leave, **changes), preview=query.preview
        )

    return await answer_change(
        call,
        body,
        act,
        LeaveChangedOut.changed,
        preview=query.preview,
        reason=given(body.reason),
    )


@endpoint(
    "DELETE",
    "/leaves/{leave_id}",
    tag=_TAG,
    summary="Take leave back; the slots follow",
    answers=LeaveChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(LeaveNotFound,),
)
async def remove_leave(call: RequestContext, leave_id: UUID, query: DeleteQuery) -> Reply:
    """Slots come back as they were, with their ids, unless something else closes them."""

    async def act(context: Context) -> CalendarChanged[Leave]:
        return await delete_leave(context, leave_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        LeaveChangedOut.changed,
        preview=query.preview,
        reason=checked_reason(query.reason, "reason"),
    )


ENDPOINTS = (get_leaves, get_leave, post_leave, patch_leave, remove_leave)

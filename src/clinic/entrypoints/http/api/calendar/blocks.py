"""Blocks: times at which a doctor takes no bookings; the slots follow."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from clinic.domain.audit.audit import checked_reason
from clinic.domain.calendar.closings import Block
from clinic.domain.errors import (
    AlreadyEntered,
    BlockNotFound,
    DoctorNotFound,
    EndBeforeStart,
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
    BlockChangedOut,
    BlockIn,
    BlockOut,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.calendar.blocks import add_block, delete_block, list_blocks, read_block
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.context import Context

_TAG = "Blocks"
_encode = msgspec.json.Encoder().encode


class BlocksQuery(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    doctor: UUID | None = None
    from_: Annotated[
        dt.datetime | None, Meta(description="those that end after it, with offset; default now")
    ] = None
    to: Annotated[dt.datetime | None, Meta(description="those that begin before it")] = None


@endpoint(
    "GET",
    "/blocks",
    tag=_TAG,
    summary="List blocks",
    answers=ItemsOut[BlockOut],
    needs=Operation.READ_CALENDAR,
    refuses=(DoctorNotFound,),
)
async def get_blocks(call: RequestContext, query: BlocksQuery) -> Reply:
    """In the order in which they were entered. Doctors see their own, the office everyone's."""
    blocks = await list_blocks(
        call.context(), doctor_id=query.doctor, since=query.from_, until=query.to
    )
    zone = (await call.clinic()).zone
    return Reply(200, _encode(ItemsOut([BlockOut.of(each, zone) for each in blocks])))


@endpoint(
    "GET",
    "/blocks/{block_id}",
    tag=_TAG,
    summary="Read a block",
    answers=BlockOut,
    needs=Operation.READ_CALENDAR,
    refuses=(BlockNotFound,),
)
async def get_block(call: RequestContext, block_id: UUID) -> Reply:
    block = await read_block(call.context(), block_id)
    return Reply(200, _encode(BlockOut.of(block, (await call.clinic()).zone)))


@endpoint(
    "POST",
    "/blocks",
    tag=_TAG,
    summary="Block a doctor's time",
    status=201,
    also=PREVIEWED,
    answers=BlockChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(DoctorNotFound, EndBeforeStart, RangeTooLong, TimeInPast, AlreadyEntered),
)
async def post_block(call: RequestContext, query: PreviewQuery, body: BlockIn) -> Reply:
    """Slots that overlap `[from, to)` are blocked, also those that are opened later, in all lanes
    or in one; appointments in them stay, and are `stranded`."""
    zone = (await call.clinic()).zone
    block = Block(
        call.services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        body.from_,
        body.to,
        body.reason,
        body.lane,
    )

    async def act(context: Context) -> CalendarChanged[Block]:
        return await add_block(context, block, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        lambda changed: BlockChangedOut.changed(changed, zone),
        preview=query.preview,
        created=lambda added: f"/blocks/{added.id}",
        reason=body.reason,
    )


@endpoint(
    "DELETE",
    "/blocks/{block_id}",
    tag=_TAG,
    summary="Take a block back; the slots follow",
    answers=BlockChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(BlockNotFound,),
)
async def remove_block(call: RequestContext, block_id: UUID, query: DeleteQuery) -> Reply:
    """Slots that nothing else closes are open again."""
    zone = (await call.clinic()).zone

    async def act(context: Context) -> CalendarChanged[Block]:
        return await delete_block(context, block_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        lambda changed: BlockChangedOut.changed(changed, zone),
        preview=query.preview,
        reason=checked_reason(query.reason, "reason"),
    )


ENDPOINTS = (get_blocks, get_block, post_block, remove_block)

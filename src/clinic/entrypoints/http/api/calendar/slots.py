"""Slots: find them, block and unblock them, open them from a doctor's hours."""

import datetime as dt
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    BlockedBy,
    DoctorNotFound,
    EndBeforeStart,
    LocationNotFound,
    RangeTooLong,
    SlotNotFound,
    TimeInPast,
    UnknownType,
)
from clinic.domain.idempotency import Answer
from clinic.domain.paging import Page
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.type_schemas import type_named
from clinic.entrypoints.http.api.calendar.changing import PreviewQuery, note_patients
from clinic.entrypoints.http.api.calendar.schemas import (
    OpenSlotsIn,
    SlotOut,
    SlotsChangedOut,
    SlotsOpenedOut,
    SlotsStateIn,
    SlotStateIn,
)
from clinic.entrypoints.http.kernel.conditional import unless_known
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.paging import PageQuery, page_reply, page_request
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, Text, given
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.block_slots import (
    SlotsChanged,
    set_slot_state,
    set_slots_state,
    slots_changed,
)
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.explain_slots import explain_slots
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots, glance_at_slots, read_slot
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.people.add_people import read_doctor

_TAG = "Slots"
_encode = msgspec.json.Encoder().encode


class DoctorSlotsQuery(PageQuery, kw_only=True, frozen=True):
    from_: Annotated[dt.datetime | None, Meta(description="earliest start, with offset")] = None
    to: Annotated[dt.datetime | None, Meta(description="starts before, with offset")] = None
    status: Annotated[
        Literal["open", "blocked", "all"],
        Meta(description="open: may be booked now; the others are for staff"),
    ] = "open"
    type: Annotated[
        Text | None, Meta(description="only where an appointment of this type can begin")
    ] = None
    type_id: Annotated[UUID | None, Meta(description="the same by the type's id")] = None
    location: Annotated[UUID | None, Meta(description="only at this location, by its id")] = None


class SlotsQuery(DoctorSlotsQuery, kw_only=True, frozen=True):
    doctor: UUID | None = None
    specialty: Text | None = None


async def _list(
    call: RequestContext, query: DoctorSlotsQuery, doctor: UUID | None, specialty: str | None
) -> Reply:
    type = type_named(query.type, query.type_id)
    is_first = all(each is None for each in (query.cursor, specialty, query.location))
    if doctor is not None and is_first and query.status == "open":
        reply = await _list_free(call, query, doctor, type)
        if reply is not None:
            return reply
    await call.guard.check_session(call)
    clinic = await call.clinic()
    search = SlotSearch(
        doctor,
        specialty,
        query.from_,
        query.to,
        free_only=query.status == "open",
        state=SlotState.BLOCKED if query.status == "blocked" else None,
        type=type,
        location_id=query.location,
    )
    context = call.context()
    page = await find_slots(context, search, page_request(call, query), clinic=clinic)
    slots = await explain_slots(context, clinic, page.items)
    explained = Page(tuple(slots), page.next, page.previous)
    return page_reply(call, query, explained, lambda slot: SlotOut.explained(slot, clinic.zone))


async def _list_free(
    call: RequestContext, query: DoctorSlotsQuery, doctor: UUID, type: str | UUID | None
) -> Reply | None:
    """Answer the most frequent request, with the same reply as long as the facts are the same; None
    for a type that has to be looked for otherwise."""
    found = await glance_at_slots(
        call.context(),
        SlotSearch(doctor, starts_from=query.from_, starts_before=query.to, type=type),
        page_request(call, query),
        clinics=call.clinics,
        types=call.types,
    )
    if found is None:
        return None
    clinic = found.clinic

    def render() -> Reply:
        return page_reply(call, query, found.page(), lambda view: SlotOut.of(view, clinic.zone))

    # Everything that the reply depends on besides the slots; its links contain the query.
    address = (call.scope.get("root_path", ""), call.path, call.scope["query_string"])
    key = (clinic.id, clinic.time_zone, *address)
    return unless_known(call, call.responses.reply(key, found.state, render))


@endpoint(
    "GET",
    "/slots",
    tag=_TAG,
    summary="Find slots by start",
    answers=ItemsOut[SlotOut],
    needs=Operation.READ_CLINIC,
    checks_session=False,
    condition=Condition.IF_NONE_MATCH,
    headers=("Link", "ETag"),
    refuses=(DoctorNotFound, LocationNotFound, EndBeforeStart, UnknownType),
)
async def get_slots(call: RequestContext, query: SlotsQuery) -> Reply:
    """By default those that may be booked now, so that the first page is the next open slots, of
    a specialty for example. The first page of one doctor's has an ETag.

    With `type` or `typeId`, only those in which an appointment of that type can begin; a page may
    then have fewer items than `limit`, or none, and still link to a next one."""
    return await _list(call, query, query.doctor, query.specialty)


@endpoint(
    "GET",
    "/doctors/{doctor_id}/slots",
    tag=_TAG,
    summary="Find a doctor's slots by start",
    answers=ItemsOut[SlotOut],
    needs=Operation.READ_CLINIC,
    checks_session=False,
    condition=Condition.IF_NONE_MATCH,
    headers=("Link", "ETag"),
    refuses=(DoctorNotFound, LocationNotFound, EndBeforeStart, UnknownType),
)
async def get_doctor_slots(call: RequestContext, doctor_id: UUID, query: DoctorSlotsQuery) -> Reply:
    """By default those that may be booked now. Their first page has an ETag."""
    return await _list(call, query, doctor_id, None)


@endpoint(
    "GET",
    "/slots/{slot_id}",
    tag=_TAG,
    summary="Read a slot",
    answers=SlotOut,
    needs=Operation.READ_CLINIC,
    refuses=(SlotNotFound,),
)
async def get_slot(call: RequestContext, slot_id: UUID) -> Reply:
    """`taken` says that somebody has it, never who; `blockedBy` says why it cannot be booked."""
    context, clinic = call.context(), await call.clinic()
    (slot,) = await explain_slots(context, clinic, [await read_slot(context, slot_id)])
    return Reply(200, _encode(SlotOut.explained(slot, clinic.zone)))


@endpoint(
    "PATCH",
    "/slots/{slot_id}",
    tag=_TAG,
    summary="Block or unblock a slot",
    answers=SlotsChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(SlotNotFound, TimeInPast, BlockedBy),
)
async def patch_slot(
    call: RequestContext, slot_id: UUID, query: PreviewQuery, body: SlotStateIn
) -> Reply:
    """BLOCKED stores a block of the slot's time; OPEN cuts that out of blocks. It does not change
    closures, leave and hours. The appointment in a blocked slot stays, and is reported."""
    view = await read_slot(call.context(), slot_id)
    zone = (await call.clinic()).zone

    async def act(context: Context) -> CalendarChanged[Interval]:
        state = SlotState(body.status)
        return await set_slot_state(context, state, slot_id, preview=query.preview)

    named = partial(SlotsChangedOut.of, doctor_name=view.doctor_name, zone=zone)
    return await _answer(call, body, act, named, preview=query.preview)


@endpoint(
    "PATCH",
    "/doctors/{doctor_id}/slots",
    tag=_TAG,
    summary="Block or unblock a stretch of a doctor's time",
    answers=SlotsChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(DoctorNotFound, EndBeforeStart, RangeTooLong, TimeInPast, BlockedBy),
)
async def patch_doctor_slots(
    call: RequestContext, doctor_id: UUID, query: PreviewQuery, body: SlotsStateIn
) -> Reply:
    """BLOCKED stores a block of exactly `[from, to)`, also beyond what is opened; OPEN cuts the
    slots that overlap `[from, to)` out of blocks. It does not change closures and leave. Answers
    with the slots that changed and the appointments in blocked ones, which stay until somebody
    moves or cancels them."""
    doctor = await read_doctor(call.context(), doctor_id)
    zone = (await call.clinic()).zone

    async def act(context: Context) -> CalendarChanged[Interval]:
        return await set_slots_state(
            context,
            SlotState(body.status),
            doctor_id=doctor_id,
            starts_at=body.from_,
            ends_at=body.to,
            preview=query.preview,
        )

    named = partial(SlotsChangedOut.of, doctor_name=doctor.name, zone=zone)
    return await _answer(call, body, act, named, preview=query.preview)


async def _answer(
    call: RequestContext,
    body: SlotStateIn | SlotsStateIn,
    act: Callable[[Context], Awaitable[CalendarChanged[Interval]]],
    named: Callable[[SlotsChanged], SlotsChangedOut],
    *,
    preview: bool,
) -> Reply:
    reason = given(body.reason)
    if preview:
        changed = slots_changed(await act(call.context(reason)))
        note_patients(call, changed.appointments)
        return Reply(200, _encode(named(changed)))

    def render(changed: CalendarChanged[Interval]) -> Answer:
        return Answer(200, _encode(named(slots_changed(changed))))

    return await answer_keyed(call, body, act, render, required=False, reason=reason)


@endpoint(
    "POST",
    "/doctors/{doctor_id}/slots",
    tag=_TAG,
    summary="Open a doctor's slots from the hours",
    answers=SlotsOpenedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    refuses=(DoctorNotFound,),
)
async def post_doctor_slots(call: RequestContext, doctor_id: UUID, body: OpenSlotsIn) -> Reply:
    """Opens from now until the day `until`, or the clinic's horizon. Opening twice adds nothing."""

    async def act(context: Context) -> CalendarEffect:
        return await open_slots(context, doctor_id=doctor_id, until=body.until)

    return await answer_keyed(call, body, act, _opened, reason=body.reason)


def _opened(effect: CalendarEffect) -> Answer:
    return Answer(200, _encode(SlotsOpenedOut.of(effect)))


ENDPOINTS = (
    get_slots,
    get_doctor_slots,
    get_slot,
    patch_slot,
    patch_doctor_slots,
    post_doctor_slots,
)

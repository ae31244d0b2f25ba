"""Block and open slots as such: that stores blocks and cuts them. Appointments in blocked slots are
returned, not cancelled."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.audit.audit import NO_REASON, checked_reason
from clinic.domain.calendar.availability import CAPACITY_MAX, Interval
from clinic.domain.calendar.closings import (
    CLOSING_NAME_MAX_CHARS,
    Block,
    Blocker,
    BlockKind,
    words_of,
)
from clinic.domain.calendar.plan import CalendarInputs, plan
from clinic.domain.calendar.slots import PlannedSlot, Slot, SlotState
from clinic.domain.clinic import Clinic, checked_instant
from clinic.domain.errors import BlockedBy, EndBeforeStart, InvalidInput, SlotNotFound
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.blocks import check_ahead, days_of
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.context import Context


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """The slots whose state changed, and the appointments ahead in slots that are blocked."""

    slots: tuple[Slot, ...]
    appointments: tuple[AppointmentView, ...]
    #: why no slot changed, when none did
    note: str | None = None
    #: when a preview was made; None when the slots were changed
    as_of: datetime | None = None


async def set_slots_state(
    context: Context,
    state: SlotState,
    *,
    doctor_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    preview: bool = False,
) -> CalendarChanged[Interval]:
    """Block exactly `[starts_at, ends_at)`, or open every slot that overlaps it. With `preview`,
    return what that would do; nothing is locked or written.

    Returns the time with the whole of the slots that it overlaps. Raises InvalidInput,
    EndBeforeStart, TimeInPast, DoctorNotFound, PermissionDenied, and
    BlockedBy when a closure or leave closes a slot that was to be opened.
    """
    _check_state(state)
    checked_instant(starts_at, "/from")
    checked_instant(ends_at, "/to")
    if ends_at <= starts_at:
        raise EndBeforeStart("to must be after from.", pointer="/to")
    stretch = Interval(starts_at, ends_at)
    return await _set(context, state, doctor_id, stretch, None, preview=preview)


async def set_slot_state(
    context: Context, state: SlotState, slot_id: UUID, *, preview: bool = False
) -> CalendarChanged[Interval]:
    """Block or open the time of one slot. With `preview`, return what that would do; nothing is
    locked or written.

    Raises InvalidInput, TimeInPast, SlotNotFound, PermissionDenied, and BlockedBy when
    something else than a block closes the slot that was to be opened.
    """
    _check_state(state)
    known = await context.store.calendars.slot(context.actor.clinic_id, slot_id)
    is_shown = known is not None and (known.slot.taken or known.slot.state is not SlotState.RETIRED)
    if known is None or not is_shown:
        raise SlotNotFound()
    slot = known.slot
    return await _set(context, state, slot.doctor_id, slot.interval, slot.lane, preview=preview)


def _check_state(state: SlotState) -> None:
    if state is SlotState.RETIRED:
        raise InvalidInput("A slot can be OPEN or BLOCKED.", pointer="/status")


async def _set(
    context: Context,
    state: SlotState,
    doctor_id: UUID,
    stretch: Interval,
    lane: int | None,
    *,
    preview: bool,
) -> CalendarChanged[Interval]:
    if state is SlotState.BLOCKED:
        block = Block(
            context.new_id(),
            context.actor.clinic_id,
            doctor_id,
            stretch.starts_at,
            stretch.ends_at,
            _kept(context.reason),
            lane,
        )
        deed = Deed("add_block", "block", block.id)
        decide = _blocking(context, block)
        return await change_doctor(context, doctor_id, deed, decide, preview=preview)
    deed = Deed("cut_blocks", "doctor", doctor_id)
    decide = _opening(context, stretch, lane)
    return await change_doctor(context, doctor_id, deed, decide, preview=preview)


def _kept(reason: str | None) -> str | None:
    """Return what a block keeps of a reason for the audit trail, which may be longer, or empty.
    Raises InvalidInput for one that the trail does not accept."""
    line = checked_reason(reason)
    if line == NO_REASON:
        return None
    if len(line) > CLOSING_NAME_MAX_CHARS:
        whole_words, _, _ = line[:CLOSING_NAME_MAX_CHARS].rpartition(" ")
        return f"{whole_words}…"
    return line


def slots_changed(changed: CalendarChanged[Interval]) -> SlotsChanged:
    """Return what blocking or opening a time did to the slots in it."""
    effect = changed.effect
    hit = tuple(
        view
        for view in effect.stranded
        if view.appointment.starts_at < changed.row.ends_at
        and view.appointment.ends_at > changed.row.starts_at
    )
    return SlotsChanged(effect.switched, hit, effect.note, effect.as_of)


def _blocking(
    context: Context, block: Block
) -> Callable[[Clinic, CalendarInputs], Decision[Interval]]:
    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Interval]:
        check_ahead(context, block)
        days = days_of(clinic, block.interval)
        planned = _planned(inputs, clinic, block.interval, block.lane)
        window = _widened(block.interval, _times_of(planned))
        if any(other.covers(block) for other in inputs.blocks):
            return Decision(window, inputs, days=days)
        return Decision(
            window,
            replace(inputs, blocks=(*inputs.blocks, block)),
            lambda unit: unit.closings.add(block),
            days,
        )

    return decide


def _opening(
    context: Context, stretch: Interval, lane: int | None
) -> Callable[[Clinic, CalendarInputs], Decision[Interval]]:
    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Interval]:
        planned = _planned(inputs, clinic, stretch, lane)
        _check_others(inputs, clinic, stretch, planned, is_slot=lane is not None)
        window = _widened(stretch, _times_of(planned))
        beside = {slot.lane for slot in planned} - {lane}
        cut = [
            block
            for block in inputs.blocks
            if block.interval.overlaps(window) and (lane is None or block.lane in (None, lane))
        ]
        left = {block.id: _left_of(context, block, window, lane, beside) for block in cut}
        after = tuple(part for block in inputs.blocks for part in left.get(block.id, (block,)))

        async def write(unit: UnitOfWork) -> None:
            for block in cut:
                parts = left[block.id]
                if all(part.id != block.id for part in parts):
                    await unit.closings.delete(block)
                for part in parts:
                    await (unit.closings.replace if part.id == block.id else unit.closings.add)(
                        part
                    )

        if not cut:
            return Decision(window, inputs, note="Nothing blocks this time.")
        return Decision(window, replace(inputs, blocks=after), write, days_of(clinic, window))

    return decide


def _left_of(
    context: Context, block: Block, window: Interval, lane: int | None, beside: Collection[int]
) -> tuple[Block, ...]:
    """Return what is left of a block when a lane is opened in `window`, or all lanes; a block of
    all lanes goes on in those `beside` it."""
    parts = block.without(window, context.new_id)
    if lane is None or block.lane is not None:
        return parts
    inside = Interval(max(block.starts_at, window.starts_at), min(block.ends_at, window.ends_at))
    others = (
        replace(
            block,
            id=context.new_id(),
            starts_at=inside.starts_at,
            ends_at=inside.ends_at,
            lane=other,
        )
        for other in sorted(beside)
    )
    return (*parts, *others)


def _check_others(
    inputs: CalendarInputs,
    clinic: Clinic,
    stretch: Interval,
    planned: Sequence[PlannedSlot],
    *,
    is_slot: bool,
) -> None:
    """Raise BlockedBy when closures or leave close one of the slots, or when the slot itself
    is not part of the hours."""
    first, last = days_of(clinic, stretch)
    others: list[Blocker] = []
    if is_slot and stretch not in _times_of(planned):
        others.append(Blocker(BlockKind.NO_HOURS))
    for time in inputs.closed_times(first, last):
        is_other = time.by.kind is not BlockKind.BLOCK and time.by not in others
        if is_other and any(
            time.is_at(slot.location_id) and time.interval.overlaps(slot.interval)
            for slot in planned
        ):
            others.append(time.by)
    if others:
        raise BlockedBy(f"This time cannot be opened: {words_of(others)}.", blockedBy=others)


def _planned(
    inputs: CalendarInputs, clinic: Clinic, stretch: Interval, lane: int | None
) -> list[PlannedSlot]:
    """Return the planned slots that overlap `stretch`: all of them, or those that can stand in for
    the one in the lane."""
    first, last = days_of(clinic, stretch)
    return [
        slot
        for slot in plan(inputs, first, last)
        if slot.interval.overlaps(stretch)
        and (lane is None or slot.lane == lane or max(slot.lane, lane) <= CAPACITY_MAX)
    ]


def _times_of(slots: Iterable[PlannedSlot]) -> list[Interval]:
    return [slot.interval for slot in slots]


def _widened(stretch: Interval, slots: Sequence[Interval]) -> Interval:
    """Return `stretch` with the whole of the slots that it overlaps."""
    return Interval(
        min([stretch.starts_at, *(slot.starts_at for slot in slots)]),
        max([stretch.ends_at, *(slot.ends_at for slot in slots)]),
    )

"""Block and unblock a doctor's slots; appointments that a block hits are told, not cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments import AppointmentView
from clinic.domain.audit import event_by
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput, SlotNotFound
from clinic.domain.people import Actor
from clinic.domain.slots import Slot, SlotState
from clinic.ports.calendars import CalendarReader
from clinic.ports.clock import Clock, IdSource
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.open_slots import lock_calendar
from clinic.usecases.transactions import Commits


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """The slots whose state changed, and the appointments in slots that are now blocked."""

    slots: tuple[Slot, ...]
    appointments: tuple[AppointmentView, ...]


async def set_slots_state(
    state: SlotState,
    *,
    transactions: Commits[SlotsChanged],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    doctor_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    reason: str | None = None,
) -> SlotsChanged:
    """Block or open every slot of a doctor that overlaps `[starts_at, ends_at)`.

    Raises InvalidInput, EndBeforeStart, DoctorNotFound, PermissionDenied.
    """
    _check_state(state)
    checked_instant(starts_at, "/from")
    checked_instant(ends_at, "/to")
    if ends_at <= starts_at:
        raise EndBeforeStart("to must be after from.", pointer="/to")

    async def work(unit: UnitOfWork) -> SlotsChanged:
        await lock_calendar(unit, actor, doctor_id)
        slots = await unit.calendars.slots_between(actor.clinic_id, doctor_id, starts_at, ends_at)
        return await _set(unit, slots, state, doctor_id, actor, clock, new_id, reason)

    return await transactions.run(work)


async def set_slot_state(
    state: SlotState,
    *,
    transactions: Commits[SlotsChanged],
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    slot_id: UUID,
    reason: str | None = None,
) -> SlotsChanged:
    """Block or open one slot. Raises InvalidInput, SlotNotFound, PermissionDenied."""
    _check_state(state)
    known = await calendars.slot(actor.clinic_id, slot_id)
    if known is None:
        raise SlotNotFound()
    doctor_id = known.slot.doctor_id

    async def work(unit: UnitOfWork) -> SlotsChanged:
        await lock_calendar(unit, actor, doctor_id)
        now_known = await unit.calendars.slot(actor.clinic_id, slot_id)
        if now_known is None or now_known.slot.state is SlotState.RETIRED:
            raise SlotNotFound()
        return await _set(unit, [now_known.slot], state, doctor_id, actor, clock, new_id, reason)

    return await transactions.run(work)


def _check_state(state: SlotState) -> None:
    if state is SlotState.RETIRED:
        raise InvalidInput("A slot can be OPEN or BLOCKED.", pointer="/status")


async def _set(
    unit: UnitOfWork,
    slots: Sequence[Slot],
    state: SlotState,
    doctor_id: UUID,
    actor: Actor,
    clock: Clock,
    new_id: IdSource,
    reason: str | None,
) -> SlotsChanged:
    changing = tuple(slot for slot in slots if slot.state is not state)
    ids = [slot.id for slot in changing]
    if ids:
        await unit.calendars.set_slot_state(actor.clinic_id, ids, state)
        await unit.events.add(
            event_by(
                actor,
                "block_slots" if state is SlotState.BLOCKED else "unblock_slots",
                "doctor",
                doctor_id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
                detail={"slots": [str(each) for each in ids]},
            )
        )
    hit: Sequence[AppointmentView] = ()
    if state is SlotState.BLOCKED and slots:
        # Read after the slots are locked: a booking that was under way is either in or refused.
        hit = await unit.appointments.occupying(actor.clinic_id, [slot.id for slot in slots])
    return SlotsChanged(tuple(replace(slot, state=state) for slot in changing), tuple(hit))

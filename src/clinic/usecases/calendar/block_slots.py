"""Block and unblock a doctor's slots; appointments in blocked slots are returned, not cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput, SlotNotFound
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.open_slots import lock_calendar
from clinic.usecases.context import Context


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """The slots whose state changed, and the appointments in slots that are now blocked."""

    slots: tuple[Slot, ...]
    appointments: tuple[AppointmentView, ...]


async def set_slots_state(
    context: Context, state: SlotState, *, doctor_id: UUID, starts_at: datetime, ends_at: datetime
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
        await lock_calendar(context, unit, doctor_id)
        slots = await unit.calendars.slots_between(
            context.actor.clinic_id, doctor_id, starts_at, ends_at
        )
        return await _set(context, unit, slots, state, doctor_id)

    return await context.transactions.run(work)


async def set_slot_state(context: Context, state: SlotState, slot_id: UUID) -> SlotsChanged:
    """Block or open one slot. Raises InvalidInput, SlotNotFound, PermissionDenied."""
    _check_state(state)
    known = await context.store.calendars.slot(context.actor.clinic_id, slot_id)
    if known is None:
        raise SlotNotFound()
    doctor_id = known.slot.doctor_id

    async def work(unit: UnitOfWork) -> SlotsChanged:
        await lock_calendar(context, unit, doctor_id)
        now_known = await unit.calendars.slot(context.actor.clinic_id, slot_id)
        if now_known is None or now_known.slot.state is SlotState.RETIRED:
            raise SlotNotFound()
        return await _set(context, unit, [now_known.slot], state, doctor_id)

    return await context.transactions.run(work)


def _check_state(state: SlotState) -> None:
    if state is SlotState.RETIRED:
        raise InvalidInput("A slot can be OPEN or BLOCKED.", pointer="/status")


async def _set(
    context: Context, unit: UnitOfWork, slots: Sequence[Slot], state: SlotState, doctor_id: UUID
) -> SlotsChanged:
    clinic_id = context.actor.clinic_id
    # Together and first, also those whose appointment is in the time of these: locks go by id.
    locked = await _lock_time(unit, clinic_id, doctor_id, slots)
    changing = tuple(slot for slot in slots if slot.state is not state)
    ids = [slot.id for slot in changing]
    if ids:
        await unit.calendars.set_slot_state(context.actor.clinic_id, ids, state)
        await unit.events.add(
            context.event(
                "block_slots" if state is SlotState.BLOCKED else "unblock_slots",
                "doctor",
                doctor_id,
                detail={"slots": [str(each) for each in ids]},
            )
        )
    hit: Sequence[AppointmentView] = ()
    if state is SlotState.BLOCKED and slots:
        # Read after the slots are locked: a concurrent booking is by now either in or refused.
        times = [slot.interval for slot in slots]
        in_time = [
            slot.id for slot in locked if any(slot.interval.overlaps(each) for each in times)
        ]
        hit = await unit.appointments.occupying(clinic_id, in_time)
    return SlotsChanged(tuple(replace(slot, state=state) for slot in changing), tuple(hit))


async def _lock_time(
    unit: UnitOfWork, clinic_id: UUID, doctor_id: UUID, slots: Sequence[Slot]
) -> Sequence[Slot]:
    if not slots:
        return ()
    start = min(slot.starts_at for slot in slots)
    end = max(slot.ends_at for slot in slots)
    return await unit.calendars.lock_slots(clinic_id, doctor_id, start, end)

"""Align a doctor's slots with the hours: the only place where slots are created and retired."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.availability import RANGE_MAX_DAYS, Interval, day_interval, plan_range
from clinic.domain.calendar.slots import Slot, SlotPlan, SlotState, is_covered, plan_slots
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, DoctorNotFound, InvalidInput
from clinic.domain.notifications import day_sheets
from clinic.domain.people.people import Doctor, Role
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context

#: doctors at once: while the rows of one are written, the slots of another are planned
AT_ONCE = 2
#: called with the number of doctors done, of all doctors, and of slots added for the last one
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """What aligning the slots changed."""

    added: int
    retired: int
    #: all appointments ahead that are not within open hours any more; staff should call them
    stranded: tuple[AppointmentView, ...]


async def open_slots(
    context: Context,
    *,
    doctor_id: UUID | None = None,
    until: date | None = None,
    on_progress: Progress | None = None,
    at_once: int = AT_ONCE,
) -> Opened:
    """Open the slots of one doctor, or of all, from now until the day `until` (included; default
    the clinic's horizon). Opening twice adds nothing. Each doctor is a separate transaction,
    `at_once` of them concurrently, and `on_progress` is called after each.

    Raises PermissionDenied, DoctorNotFound, InvalidInput.
    """
    if doctor_id is None:
        permit(context.actor, Operation.OPEN_ALL_CALENDARS)
        doctors = [
            doctor.id for doctor in await context.store.people.doctors(context.actor.clinic_id)
        ]
    else:
        permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
        doctors = [doctor_id]
    opened: list[Opened] = []
    waiting = iter(doctors)

    async def open_next() -> None:
        for each in waiting:
            opened.append(await _open_one(context, each, until=until))
            if on_progress is not None:
                on_progress(len(opened), len(doctors), opened[-1].added)

    await _together([open_next() for _ in range(min(at_once, len(doctors)))])
    return _sum(opened)


async def _together(works: Sequence[Coroutine[None, None, None]]) -> None:
    """Run them concurrently; the first that fails cancels the others, and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _open_one(context: Context, doctor_id: UUID, *, until: date | None) -> Opened:
    async def work(unit: UnitOfWork) -> Opened:
        clinic, doctor = await lock_calendar(context, unit, doctor_id)
        opened = await align_slots(context, unit, clinic=clinic, doctor=doctor, until=until)
        if opened.added or opened.retired:
            await unit.events.add(
                context.event(
                    "open_slots",
                    "doctor",
                    doctor_id,
                    detail={"added": opened.added, "retired": opened.retired},
                )
            )
        return opened

    return await context.transactions.run(work)


async def lock_calendar(
    context: Context, unit: UnitOfWork, doctor_id: UUID
) -> tuple[Clinic, Doctor]:
    """Lock the doctor's calendar and return it with its clinic.

    Raises ClinicNotFound, DoctorNotFound, PermissionDenied.
    """
    clinic = await unit.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    if context.actor.role is Role.PATIENT:
        permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    doctor = await unit.calendars.lock_doctor(context.actor.clinic_id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    return clinic, doctor


async def align_slots(
    context: Context, unit: UnitOfWork, *, clinic: Clinic, doctor: Doctor, until: date | None = None
) -> Opened:
    """Create, retire and bring back the doctor's future slots so that they follow the hours.

    Covers today until the later of `until` (default the clinic's horizon) and the last existing
    slot. The calendar must be locked. Raises InvalidInput when `until` is too far off.
    """
    now = context.clock.now()
    today = clinic.local_date(now)
    if until is not None and not today <= until <= today + timedelta(days=RANGE_MAX_DAYS - 1):
        raise InvalidInput(
            f"Open slots from today up to {RANGE_MAX_DAYS - 1} days ahead.", pointer="/until"
        )
    last = until or today + timedelta(days=clinic.policy.horizon_days)
    last_start = await unit.calendars.last_slot_start(clinic.id, doctor.id)
    if last_start is not None:
        last = max(last, clinic.local_date(last_start))
    first = day_interval(today, clinic.zone).starts_at
    end = day_interval(last, clinic.zone).ends_at
    # Locked first: what is read from here on is not changed by a booking or a cancellation.
    existing = await unit.calendars.lock_slots(clinic.id, doctor.id, first, end)
    planned: list[Interval] = []
    if await _works_here(unit, clinic.id, doctor.id):
        hours = await unit.calendars.availabilities(clinic.id, doctor.id)
        exceptions = await unit.calendars.exceptions(clinic.id, doctor.id)
        planned = plan_range(today, last, hours, exceptions, clinic.zone)
    plan = plan_slots(planned, existing, now)
    for changed, state in ((plan.retire, SlotState.RETIRED), (plan.reopen, SlotState.OPEN)):
        if changed:
            await unit.calendars.set_slot_state(clinic.id, [slot.id for slot in changed], state)
    await unit.calendars.add_slots(
        [
            Slot(
                context.new_id(), clinic.id, doctor.id, doctor.specialty, new.starts_at, new.ends_at
            )
            for new in plan.add
        ]
    )
    await unit.calendars.retake(clinic.id, doctor.id, first, end)
    opened = [*plan.add, *(slot.interval for slot in plan.reopen)]
    await unit.messages.add(
        day_sheets(
            clinic_id=clinic.id,
            doctor_id=doctor.id,
            days=(clinic.local_date(new.starts_at) for new in opened),
            zone=clinic.zone,
            now=now,
            new_id=context.new_id,
        )
    )
    stranded = await _stranded(unit, clinic.id, existing, plan, now)
    return Opened(len(opened), len(plan.retire), stranded)


async def _works_here(unit: UnitOfWork, clinic_id: UUID, doctor_id: UUID) -> bool:
    """Return whether the doctor's account is enabled and they belong to the clinic."""
    account = await unit.accounts.account(doctor_id)
    return account is not None and account.disabled_at is None and clinic_id in account.clinics


async def align_calendars(
    context: Context, unit: UnitOfWork, doctor_id: UUID, clinic_ids: Iterable[UUID]
) -> Opened:
    """Align a doctor's slots at these clinics, when it has changed whether they work there."""
    changed: list[Opened] = []
    for clinic_id in clinic_ids:
        clinic = await unit.people.clinic(clinic_id)
        doctor = await unit.calendars.lock_doctor(clinic_id, doctor_id)
        if clinic and doctor:
            changed.append(await align_slots(context, unit, clinic=clinic, doctor=doctor))
    return _sum(changed)


def _sum(opened: Sequence[Opened]) -> Opened:
    return Opened(
        sum(one.added for one in opened),
        sum(one.retired for one in opened),
        tuple(view for one in opened for view in one.stranded),
    )


async def _stranded(
    unit: UnitOfWork, clinic_id: UUID, before: Sequence[Slot], plan: SlotPlan, now: datetime
) -> tuple[AppointmentView, ...]:
    """Return the appointments ahead that are not wholly within open slots, planned as they are now.

    `before` are the doctor's slots as they were before the plan was carried out.
    """
    retired, reopened = ({slot.id for slot in each} for each in (plan.retire, plan.reopen))
    is_open = [*plan.add, *(slot.interval for slot in plan.reopen)]
    suspects: list[Slot] = []
    for slot in before:
        is_planned = slot.id in reopened or (
            slot.state is not SlotState.RETIRED and slot.id not in retired
        )
        if is_planned and slot.state is not SlotState.BLOCKED:
            is_open.append(slot.interval)
        elif slot.taken and slot.starts_at > now:
            suspects.append(slot)
    is_open.sort()
    # An appointment has the times of its slot.
    outside = [slot.id for slot in suspects if not is_covered(slot.interval, is_open)]
    return tuple(await unit.appointments.occupying(clinic_id, outside)) if outside else ()


def slots_detail(opened: Opened) -> dict[str, object]:
    """Return what the audit trail keeps of a change of slots; appointments by id."""
    return {
        "added": opened.added,
        "retired": opened.retired,
        "stranded": [str(view.appointment.id) for view in opened.stranded],
    }

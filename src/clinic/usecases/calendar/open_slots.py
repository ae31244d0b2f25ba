"""Open doctors' slots from the hours, up to a day or the clinic's horizon."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from clinic.domain.calendar.changes import SlotCounts
from clinic.domain.errors import ConfirmationNeeded
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect, align_doctor, foresee, span_of
from clinic.usecases.calendar.change_calendar import lock_calendar
from clinic.usecases.calendar.inputs import read_inputs
from clinic.usecases.context import Context

#: doctors at once: while the rows of one are written, the slots of another are planned
AT_ONCE = 2
#: called with the number of doctors done, of all doctors, and of slots added for the last one
Progress = Callable[[int, int, int], None]


async def open_slots(
    context: Context,
    *,
    doctor_id: UUID | None = None,
    until: date | None = None,
    on_progress: Progress | None = None,
    at_once: int = AT_ONCE,
) -> CalendarEffect:
    """Open the slots of one doctor, or of all, from now until the day `until` (included; default
    the clinic's horizon), and bring those that are there in line with the inputs. Opening twice
    adds nothing. Each doctor is a separate transaction, `at_once` of them concurrently, and
    `on_progress` is called after each.

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
    opened: list[CalendarEffect] = []
    waiting = iter(doctors)

    async def open_next() -> None:
        for each in waiting:
            # Without the slots: those of all doctors may be too many to keep.
            opened.append(replace(await _open_one(context, each, until=until), alignments=()))
            if on_progress is not None:
                on_progress(len(opened), len(doctors), opened[-1].counts.added)

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


async def _open_one(context: Context, doctor_id: UUID, *, until: date | None) -> CalendarEffect:
    async def work(unit: UnitOfWork) -> CalendarEffect:
        clinic, doctor = await lock_calendar(context, unit, doctor_id)
        span = await span_of(context, unit.calendars, clinic, [doctor.id], until=until)
        effect = await align_doctor(context, unit, clinic, doctor, span)
        if not effect.counts.is_zero:
            event = context.event("open_slots", "doctor", doctor_id, detail=effect.detail)
            await unit.events.add(event)
        return effect

    return await context.transactions.run(work)


async def align_calendars(
    context: Context, unit: UnitOfWork, doctor_id: UUID, clinic_ids: Iterable[UUID]
) -> CalendarEffect:
    """Align a doctor's slots at these clinics, when it has changed whether they work there."""
    changed: list[CalendarEffect] = []
    for clinic_id in sorted(clinic_ids):
        clinic = await unit.people.share_clinic(clinic_id)
        doctor = await unit.calendars.lock_doctor(clinic_id, doctor_id)
        if clinic and doctor:
            span = await span_of(context, unit.calendars, clinic, [doctor.id])
            changed.append(await align_doctor(context, unit, clinic, doctor, span))
    return _sum(changed)


async def foresee_calendars(
    context: Context, doctor_id: UUID, clinic_ids: Iterable[UUID], *, works_here: bool
) -> CalendarEffect:
    """Return what `align_calendars` would change if the doctor worked at these clinics, or did not;
    nothing is locked or written."""
    store, foreseen = context.store, []
    for clinic_id in sorted(clinic_ids):
        clinic = await store.people.clinic(clinic_id)
        doctor = await store.people.doctor(clinic_id, doctor_id)
        if clinic and doctor:
            after = replace(doctor, works_here=works_here)
            inputs = await read_inputs(context, store, clinic, [after])
            span = await span_of(context, store.calendars, clinic, [doctor_id])
            foreseen.append(await foresee(context, store, clinic, span, [after], inputs))
    return replace(_sum(foreseen), as_of=context.clock.now())


def check_kept(effect: CalendarEffect, *, keep_appointments: bool) -> None:
    """Raise ConfirmationNeeded when a doctor who leaves has appointments ahead, and nobody has
    decided what becomes of them."""
    ahead = len(effect.stranded)
    if ahead and not keep_appointments:
        raise ConfirmationNeeded(
            f"{ahead} appointments with this doctor lie ahead. Move or cancel them, or send"
            " appointments: keep.",
            appointmentsAhead=ahead,
        )


def _sum(effects: Sequence[CalendarEffect]) -> CalendarEffect:
    if len(effects) == 1:
        return effects[0]
    return CalendarEffect(
        sum((each.counts for each in effects), SlotCounts()),
        tuple(view for each in effects for view in each.stranded),
    )

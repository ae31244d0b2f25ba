"""Changes of many calendars: look at their progress, and carry them out, doctor by doctor."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.errors import CalendarChangeNotFound, ClinicError, TemporaryFailure
from clinic.domain.people.people import system_actor
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect, align_doctor, span_between, span_of
from clinic.usecases.calendar.change_calendar import lock_calendar
from clinic.usecases.calendar.open_slots import Progress
from clinic.usecases.context import Context
from clinic.usecases.read_clinic import read_clinic

logger = logging.getLogger(__name__)

#: how many days of a doctor are aligned in one transaction
STEP_DAYS = 60
#: the latest changes that are listed, and the stranded appointments that one answer names
LISTED_MAX, STRANDED_MAX = 100, 1_000
#: among how many pieces of the nearest work `finish_change` takes turns
AHEAD = 8


@dataclass(frozen=True, slots=True)
class ChangeProgress:
    """A change, and the appointments ahead in its days that are not within open slots now."""

    change: CalendarChange
    stranded: Sequence[AppointmentView]


async def list_changes(context: Context) -> Sequence[CalendarChange]:
    """Return the latest changes, the newest first. Raises PermissionDenied."""
    permit(context.actor, Operation.CLOSE_CLINIC)
    changes = context.store.calendar_changes
    return await changes.list(context.actor.clinic_id, limit=LISTED_MAX)


async def read_change(context: Context, change_id: UUID) -> ChangeProgress:
    """Return a change with up to STRANDED_MAX appointments.

    Raises PermissionDenied, CalendarChangeNotFound.
    """
    permit(context.actor, Operation.CLOSE_CLINIC)
    change = await context.store.calendar_changes.get(context.actor.clinic_id, change_id)
    if change is None:
        raise CalendarChangeNotFound()
    clinic = await read_clinic(context)
    span = span_between(clinic, change.first, change.last)
    stranded = await context.store.appointments.stranded(
        clinic.id,
        since=max(span.starts_at, context.clock.now()),
        until=span.ends_at,
        limit=STRANDED_MAX,
    )
    return ChangeProgress(change, stranded)


async def carry_on(context: Context, work: CalendarWork) -> CalendarEffect:
    """Align the next STEP_DAYS of a doctor's slots, in one transaction; safe to run twice.

    Raises DoctorNotFound, UnknownHolidayCalendar.
    """

    async def step(unit: UnitOfWork) -> CalendarEffect:
        clinic, doctor = await lock_calendar(context, unit, work.doctor_id)
        last = min(work.last, work.next_day + timedelta(days=STEP_DAYS - 1))
        days = (work.next_day, last)
        span = await span_of(context, unit.calendars, clinic, [doctor.id], days=days)
        effect = await align_doctor(context, unit, clinic, doctor, span)
        next_day = last + timedelta(days=1) if last < work.last else None
        await unit.calendar_changes.advance(work, next_day, effect.counts)
        if not effect.counts.is_zero:
            detail = effect.detail | {"calendarChange": str(work.change_id)}
            event = context.event("align_slots", "doctor", doctor.id, detail=detail)
            await unit.events.add(event)
        return effect

    return await context.transactions.run(step)


async def finish_change(
    context: Context, change_id: UUID, *, on_progress: Progress | None = None
) -> ChangeProgress:
    """Carry out what is left of a change, beside a worker if one runs, and return it.

    `on_progress` is called before each step, with days of doctors and slots. A failure for one
    doctor does not stop the others; then the change is not done. Raises PermissionDenied,
    CalendarChangeNotFound, TemporaryFailure.
    """
    permit(context.actor, Operation.CLOSE_CLINIC)
    clinic_id, changes = context.actor.clinic_id, context.store.calendar_changes
    system = replace(context, actor=system_actor(clinic_id), reason=None)
    failed: set[UUID] = set()
    counted, steps = 0, 0
    while True:
        change = await changes.get(clinic_id, change_id)
        if change is None:
            raise CalendarChangeNotFound()
        found = await changes.next_work(limit=change.doctors, change_id=change_id)
        if on_progress is not None:
            days = change.doctors * _days(change.first, change.last)
            left = sum(_days(work.next_day, work.last) for work in found)
            slots = change.counts.total
            on_progress(days - left, days, slots - counted)
            counted = slots
        todo = [work for work in found if work.doctor_id not in failed]
        if not todo:
            return await read_change(context, change_id)
        # Each time another one, since a worker that runs takes the first.
        nearest = [work for work in todo[:AHEAD] if work.next_day == todo[0].next_day]
        work = nearest[steps % len(nearest)]
        steps += 1
        try:
            await carry_on(system, work)
        except TemporaryFailure:
            raise
        except ClinicError as error:
            failed.add(work.doctor_id)
            logger.warning("slots of doctor %s were not aligned: %s", work.doctor_id, error.code)


def _days(first: date, last: date) -> int:
    return (last - first).days + 1

"""Changes of many calendars: look at their progress, and carry them out, doctor by doctor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.errors import CalendarChangeNotFound
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect, align_doctor, span_between, span_of
from clinic.usecases.calendar.change_calendar import lock_calendar
from clinic.usecases.context import Context
from clinic.usecases.read_clinic import read_clinic

#: how many days of a doctor are aligned in one transaction
STEP_DAYS = 60
#: the latest changes that are listed, and the stranded appointments that one answer names
LISTED_MAX, STRANDED_MAX = 100, 1_000


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

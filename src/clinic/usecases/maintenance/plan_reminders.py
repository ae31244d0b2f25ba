"""Plan reminders of what is booked again after a clinic has changed its lead times."""

from datetime import datetime, timedelta

from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.notifications import reminders_for_schedule
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import AnonymousContext
from clinic.usecases.maintenance.service import Resources, RowCounts, Service

#: how many appointments one transaction plans
BATCH = LIMIT_MAX
#: bookings that read the lead times before they changed are written by then, or have timed out
SETTLED_AFTER = timedelta(seconds=15)
#: those that get reminders
_REMINDED = (Status.BOOKED, Status.CONFIRMED)


async def plan_reminders(context: AnonymousContext, *, batch: int = BATCH) -> int:
    """Plan the reminders of every clinic whose lead times have changed, the nearest appointments
    first, `batch` in each transaction; return of how many appointments.

    Safe to repeat and to run concurrently. Raises TemporaryFailure; what was planned by then stays.
    """

    async def work(unit: UnitOfWork) -> int | None:
        return await _plan_batch(context, unit, context.clock.now(), batch)

    total = 0
    while (count := await context.transactions.run(work)) is not None:
        total += count
    return total


async def _plan_batch(
    context: AnonymousContext, unit: UnitOfWork, now: datetime, batch: int
) -> int | None:
    """Plan the next appointments of one clinic; return how many, None when no work is left."""
    work = await unit.messages.next_reminder_work(changed_before=now - SETTLED_AFTER)
    if work is None:
        return None
    clinic = await unit.people.clinic(work.clinic_id)
    assert clinic is not None
    query = AppointmentQuery(Scope(clinic.id), starts_from=now, statuses=_REMINDED)
    views = await unit.appointments.list(
        system_actor(clinic.id), query, PageRequest(batch, work.after)
    )
    found: list[Appointment] = [view.appointment for view in views[:batch]]
    planned = [
        message
        for one in found
        for message in reminders_for_schedule(
            clinic_id=clinic.id,
            appointment_id=one.id,
            version=one.schedule_version,
            starts_at=one.starts_at,
            policy=clinic.policy,
            now=now,
            new_id=context.new_id,
        )
    ]
    await unit.messages.replace_reminders(clinic.id, [one.id for one in found], planned, now)
    is_last = len(views) <= batch
    after = None if is_last else Keyset(found[-1].starts_at, found[-1].id)
    await unit.messages.advance_reminder_work(work, after)
    return len(found)


async def plan_changed_reminders(resources: Resources) -> RowCounts:
    """Plan reminders until no work is left. Raises TemporaryFailure."""
    return {"appointments": await plan_reminders(resources.context)}


PLAN_REMINDERS = Service(
    "plan-reminders",
    "Plan reminders of what is booked again after their lead times have changed.",
    timedelta(seconds=10),
    plan_changed_reminders,
)

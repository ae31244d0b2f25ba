"""Reading what is around the place of an appointment, inside a unit of work or outside."""

from uuid import UUID

from clinic.domain.appointments.rules import Surroundings
from clinic.domain.calendar.availability import Interval
from clinic.domain.clinic import Clinic
from clinic.usecases.calendar.inputs import Reads, closed_times
from clinic.usecases.context import Context


async def surroundings(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    doctor_id: UUID,
    span: Interval,
    *,
    has_buffers: bool,
) -> Surroundings:
    """Return the doctor's slots that overlap the span; with buffers, which may reach beyond slots
    and into those that are taken, closed time and the doctor's busy times too."""
    start, end = span.starts_at, span.ends_at
    slots = await reads.calendars.slots_between(clinic.id, [doctor_id], start, end)
    if not has_buffers:
        return Surroundings(slots)
    closed = await closed_times(context, reads, clinic, [doctor_id], span)
    busy = await reads.appointments.busy_times(clinic.id, [doctor_id], start, end)
    return Surroundings(slots, closed.get(doctor_id, ()), busy.get(doctor_id, ()))

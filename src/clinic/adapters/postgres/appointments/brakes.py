"""What the limits on a patient's appointments are checked against."""

from uuid import UUID

from clinic.adapters.postgres.appointments.statements import BRAKES
from clinic.adapters.postgres.engine.executors import Executor
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Brakes, Clinic


async def brakes_of(executor: Executor, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
    """Return them for an appointment of the patient in this slot; a long history is not read."""
    policy = clinic.policy
    first = policy.first_counted(slot.starts_at)
    limits = policy.max_open_appointments, policy.max_open_per_doctor, policy.max_bookings_per_day
    given = (clinic.id, patient_id, slot.doctor_id, first, *limits)
    [row] = await executor.fetch(BRAKES, given)
    return Brakes(*row)

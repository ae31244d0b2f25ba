"""What the limits on a patient's appointments are checked against."""

from datetime import timedelta
from uuid import UUID

from clinic.adapters.postgres.appointments.statements import BRAKES
from clinic.adapters.postgres.engine.executors import Executor
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Brakes, Clinic

#: longer than any day at a clinic
_DAY = timedelta(hours=26)


async def brakes_of(executor: Executor, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
    """Return them for an appointment of the patient in this slot.

    None that is still ahead, or was booked today, starts earlier than the slot minus the horizon
    and a day, so a long history is not read.
    """
    policy = clinic.policy
    earliest = slot.starts_at - timedelta(days=policy.horizon_days) - _DAY
    limits = policy.max_open_appointments, policy.max_open_per_doctor, policy.max_bookings_per_day
    given = (clinic.id, patient_id, slot.doctor_id, earliest, *limits)
    [row] = await executor.fetch(BRAKES, given)
    return Brakes(*row)

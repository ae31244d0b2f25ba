"""What the limits on a patient's appointments are checked against, in memory."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from clinic.adapters.memory.tables import Tables
from clinic.domain.appointments.appointments import OPEN
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Brakes, Clinic


def brakes_of(tables: Tables, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
    """Return them for an appointment of the patient in this slot."""
    policy = clinic.policy
    first = policy.first_counted(slot.starts_at)
    mine = [
        one
        for one in tables.appointments.where("patient", (clinic.id, patient_id))
        if one.starts_at > first
    ]
    ahead = [one for one in mine if one.status in OPEN]
    return Brakes(
        _nth_latest((one.starts_at for one in ahead), policy.max_open_appointments),
        _nth_latest(
            (one.starts_at for one in ahead if one.doctor_id == slot.doctor_id),
            policy.max_open_per_doctor,
        ),
        _nth_latest((one.created_at for one in mine), policy.max_bookings_per_day),
    )


def _nth_latest(times: Iterable[datetime], n: int | None) -> datetime | None:
    """Return the n-th latest of the times; None with fewer, or without `n`."""
    found = sorted(times, reverse=True)
    return None if n is None or len(found) < n else found[n - 1]

"""The world that is measured: doctors, patients and slots, all derived from plain numbers.

A slot's number determines its doctor and its time, and a booking's number its slot and patient. So
pgbench, the load client and the yardstick each compute what to book, without conflicts: no booking
is refused, and none is made twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from math import gcd
from uuid import UUID

CLINIC_ID = UUID("00000000-0000-7000-8000-00000000c111")
#: the first user who may list all appointments, and how many there are: each one's requests are
#: limited
OFFICE_ID = UUID("00000000-0000-7000-8000-00000000ade0")
OFFICES = 16
ZONE = "Europe/London"
#: 14 days of a doctor are 196 slots, which is one page
SLOTS_A_DAY, SLOT_MIN = 14, 30
FIRST_START = time(9)
SPECIALTIES = 20
HORIZON_DAYS = 730
#: prefixes of the ids of slots, doctors, patients and sessions
SLOT_IDS, DOCTOR_IDS, PATIENT_IDS, SESSION_IDS = (
    f"00000000-0000-700{kind}-8000-" for kind in range(4)
)
_NEAR_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class World:
    """`doctors` with slots on `days` days from `first_day` on, and `patients`."""

    name: str
    doctors: int
    days: int
    patients: int
    first_day: datetime

    @property
    def times(self) -> int:
        """How many slots each doctor has."""
        return self.days * SLOTS_A_DAY

    @property
    def slots(self) -> int:
        return self.doctors * self.times

    @cached_property
    def stride(self) -> int:
        """The step from one booking's slot to the next one's: all over the table, no slot twice."""
        step = int(self.slots * _NEAR_GOLDEN)
        while gcd(step, self.slots) != 1:
            step += 1
        return step

    def slot_of(self, booking: int) -> int:
        """Return the number of the slot that this booking takes."""
        return booking * self.stride % self.slots

    def pair_of(self, booking: int) -> int:
        """Return the first of the two slots that this booking has to itself. They are on one day,
        which has an even number of slots."""
        return booking * self.stride % (self.slots // 2) * 2

    def patient_of(self, slot: int) -> int:
        """Return the patient who takes it; slots at the same time have different patients."""
        doctor, at = divmod(slot, self.times)
        return (doctor + at * self.doctors) % self.patients

    def start_of(self, slot: int) -> datetime:
        day, place = divmod(slot % self.times, SLOTS_A_DAY)
        return self.first_day + timedelta(days=day, minutes=place * SLOT_MIN)


#: there are at least as many patients as doctors: no patient has two slots at the same time
_SIZES = {"10k": (10, 72), "30k": (30, 72), "100k": (100, 72), "1m": (100, 715), "10m": (1000, 715)}
PATIENTS = 10_000


def world(name: str, now: datetime, *, patients: int = PATIENTS) -> World:
    """Return the world of this size, a name in _SIZES; its first day is the day after tomorrow."""
    doctors, days = _SIZES[name]
    first = datetime.combine(now.astimezone(UTC).date() + timedelta(days=2), FIRST_START, UTC)
    return World(name, doctors, days, patients, first)


def numbered(prefix: str, number: int) -> UUID:
    """Return the id of the slot, doctor, patient or session with this number."""
    return UUID(f"{prefix}{number:012x}")


def office_id(number: int) -> UUID:
    """Return the id of one of the OFFICES, and of its session."""
    return UUID(int=OFFICE_ID.int + number)


def specialty_of(doctor: int) -> str:
    return f"Specialty {doctor % SPECIALTIES}"

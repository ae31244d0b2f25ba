"""Appointments, as stored and as read, and the bookings and changes that are written."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic
from clinic.domain.idempotency import StoredAnswer
from clinic.domain.notifications import Message
from clinic.domain.people.people import Patient
from clinic.domain.status import OCCUPYING as OCCUPYING
from clinic.domain.status import OPEN as OPEN
from clinic.domain.status import Status as Status
from clinic.domain.text import checked_line

TYPE_MAX_CHARS = 80


@dataclass(frozen=True, slots=True)
class Appointment:
    """One patient in one slot. Doctor and times are the slot's, copied."""

    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    patient_id: UUID
    starts_at: datetime
    ends_at: datetime
    type: str | None
    status: Status
    #: rises with every change; the ETag
    version: int
    #: rises only when it moves, swaps or is cancelled; the iCalendar SEQUENCE
    schedule_version: int
    #: the user who set its status
    status_by: UUID
    created_at: datetime

    def is_in_time_of(self, slot: Slot) -> bool:
        """Return whether it keeps some of the slot's time from others."""
        return (
            self.status.occupies
            and self.doctor_id == slot.doctor_id
            and self.starts_at < slot.ends_at
            and slot.starts_at < self.ends_at
        )


@dataclass(frozen=True, slots=True)
class AppointmentView:
    """An appointment for display, with names and the clinic's time zone."""

    appointment: Appointment
    doctor_name: str
    patient_name: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class BookingFacts:
    """What a booking is decided from; None for what does not exist."""

    clinic: Clinic
    slot: Slot | None
    doctor_name: str
    patient: Patient | None
    #: an earlier answer to the same idempotency key
    stored: StoredAnswer | None = None
    #: the patient is neither disabled nor erased, and still belongs to the clinic
    patient_open: bool = True
    #: when the patient's `max_open_appointments`-th latest open appointment starts; None with fewer
    full_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """A new appointment and everything written with it, atomically."""

    appointment: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...]
    #: stored for the idempotency key, if the request has one
    stored: StoredAnswer | None = None

    @property
    def takes(self) -> UUID | None:
        """The slot that the appointment occupies, or None."""
        return self.appointment.slot_id if self.appointment.status.occupies else None


@dataclass(frozen=True, slots=True)
class Change:
    """An appointment before and after, and everything written with the change."""

    before: Appointment
    after: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...] = ()

    @property
    def frees(self) -> UUID | None:
        """The slot that the appointment leaves, or None."""
        leaves = not self.after.status.occupies or self.after.slot_id != self.before.slot_id
        return self.before.slot_id if self.before.status.occupies and leaves else None

    @property
    def takes(self) -> UUID | None:
        """The slot that the appointment moves into, or None."""
        enters = not self.before.status.occupies or self.after.slot_id != self.before.slot_id
        return self.after.slot_id if self.after.status.occupies and enters else None


def checked_type(value: str | None) -> str | None:
    """Return the appointment's type in the form to store. Raises InvalidInput."""
    if value is None:
        return None
    return checked_line(value, "type", max_chars=TYPE_MAX_CHARS, pointer="/type")

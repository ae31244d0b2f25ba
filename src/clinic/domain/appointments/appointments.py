"""Appointments, as stored and as read, and the bookings and changes that are written."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.appointments.resources import HeldResource, occasion_of
from clinic.domain.appointments.types import TYPE_MAX_CHARS as TYPE_MAX_CHARS
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.appointments.types import checked_type as checked_type
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.idempotency import StoredAnswer
from clinic.domain.notifications import Message
from clinic.domain.people.people import Patient
from clinic.domain.status import OCCUPYING as OCCUPYING
from clinic.domain.status import OPEN as OPEN
from clinic.domain.status import Status as Status


@dataclass(frozen=True, slots=True)
class Appointment:
    """One patient's time with a doctor. It begins in a slot, whose doctor and start are copied, and
    may be shorter or last into the slots after it."""

    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    patient_id: UUID
    starts_at: datetime
    ends_at: datetime
    #: the name that its type had when it was booked
    type: str | None
    status: Status
    #: rises with every change; the ETag
    version: int
    #: rises only when it moves, swaps or is cancelled; the iCalendar SEQUENCE
    schedule_version: int
    #: the user who set its status
    status_by: UUID
    created_at: datetime
    #: its type; None when it was booked at a clinic without types
    type_id: UUID | None = None
    #: minutes for which it keeps the doctor before and after the patient's time
    before_min: int = 0
    after_min: int = 0
    #: that of its slot
    lane: int = 1

    @property
    def visible(self) -> Interval:
        """The time that the patient knows of."""
        return Interval(self.starts_at, self.ends_at)

    @property
    def has_buffers(self) -> bool:
        return bool(self.before_min or self.after_min)

    @property
    def busy(self) -> Interval:
        """The time that it keeps from others, while it occupies it."""
        if not self.has_buffers:
            return self.visible
        return Interval(
            self.starts_at - timedelta(minutes=self.before_min),
            self.ends_at + timedelta(minutes=self.after_min),
        )

    @property
    def occasion(self) -> UUID:
        """What it has in common with others of its group."""
        return occasion_of(self.doctor_id, self.starts_at, self.type_id)

    def is_in_time_of(self, slot: Slot) -> bool:
        """Return whether it keeps some of the slot's time from others."""
        is_theirs = self.doctor_id == slot.doctor_id and self.lane == slot.lane
        return is_theirs and self.status.occupies and self.is_busy_in(slot)

    def is_within(self, slot: Slot) -> bool:
        """Return whether the slot holds its whole busy time."""
        if self.before_min or self.after_min:
            return slot.interval.holds(self.busy)
        return slot.starts_at <= self.starts_at and self.ends_at <= slot.ends_at

    def is_busy_in(self, time: "Interval | Slot | Appointment") -> bool:
        """Return whether its busy time overlaps this time."""
        if self.has_buffers:
            busy = self.busy
            return busy.starts_at < time.ends_at and time.starts_at < busy.ends_at
        return self.starts_at < time.ends_at and time.starts_at < self.ends_at


@dataclass(frozen=True, slots=True)
class AppointmentView:
    """An appointment for display, with names and the clinic's time zone."""

    appointment: Appointment
    doctor_name: str
    patient_name: str
    zone: ZoneInfo
    #: rooms and equipment that it has, by kind; none once it is cancelled
    resources: tuple[HeldResource, ...] = ()
    #: where its slot is; None is the clinic's own address
    location_id: UUID | None = None
    location_name: str | None = None


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
    #: the same of those with the slot's doctor, for `max_open_per_doctor`
    doctor_full_until: datetime | None = None
    #: when the patient's `max_bookings_per_day`-th latest appointment was booked; None with fewer
    day_full_since: datetime | None = None
    #: whether the clinic has types that can be booked
    has_types: bool = False
    #: the one that the request names, or the default
    type: AppointmentType | None = None
    #: whether an appointment of the patient at this clinic is completed
    patient_known: bool = False
    #: of the slot's location; None is the clinic's own address
    location_name: str | None = None

    @property
    def brakes(self) -> Brakes:
        """What the limits on the patient's appointments are checked against."""
        return Brakes(self.full_until, self.doctor_full_until, self.day_full_since)


@dataclass(frozen=True, slots=True)
class Booking:
    """A new appointment and everything written with it, atomically."""

    appointment: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...]
    #: stored for the idempotency key, if the request has one
    stored: StoredAnswer | None = None
    #: whether it needs more than its own slot: the slots after it, or time around it
    reaches_beyond: bool = False
    #: kinds of resources of which the store picks one each; BookingDesk.reserve and
    #: Appointments.add refuse it where none is free
    needs: tuple[str, ...] = ()

    @property
    def takes(self) -> UUID | None:
        """The slot that the appointment begins in and occupies, or None."""
        return self.appointment.slot_id if self.appointment.status.occupies else None


@dataclass(frozen=True, slots=True)
class Change:
    """An appointment before and after, and everything written with the change."""

    before: Appointment
    after: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...] = ()
    #: kinds of resources that it needs at a place that it takes; None is what it had before
    needs: tuple[str, ...] | None = None

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

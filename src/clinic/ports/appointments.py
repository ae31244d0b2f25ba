"""Appointments and their trail: reading them, and changing them inside a unit of work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from clinic.domain.appointments.appointments import (
    Appointment,
    AppointmentView,
    Booking,
    Change,
    Status,
)
from clinic.domain.appointments.resources import HeldResource
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Scope


@dataclass(frozen=True, slots=True)
class AppointmentQuery:
    """Which appointments to list; None does not filter. They start in the half-open range from
    `starts_from` to `starts_before`, and not after the clinic's booking horizon, counted from
    `horizon_from`."""

    scope: Scope
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    statuses: tuple[Status, ...] = ()
    horizon_from: datetime | None = None


class ScheduleEntry(NamedTuple):
    """Only the fields of an appointment that a calendar shows: thousands are read at once."""

    #: text, because it is only displayed
    id: str
    patient_name: str
    doctor_name: str
    starts_at: datetime
    ends_at: datetime
    type: str | None
    status: Status
    #: the clinic's, an IANA name
    time_zone: str


@dataclass(frozen=True, slots=True)
class Locked:
    """Rows that no other transaction can change until the unit of work ends, by id."""

    appointments: Mapping[UUID, Appointment]
    slots: Mapping[UUID, Slot]


class AppointmentReader(Protocol):
    async def get(self, scope: Scope, appointment_id: UUID) -> AppointmentView | None:
        """Return the appointment, None when it does not exist within `scope`."""
        ...

    async def list(
        self, asker: Actor, query: AppointmentQuery, page: PageRequest
    ) -> Sequence[AppointmentView]:
        """Return at most `page.one_more` appointments by (starts_at, id), after `page.after`.

        Always earliest first; going backwards, those nearest before `page.after`. Raises
        NotSignedIn unless the session of `asker` is valid, as `BookingDesk.load_facts` does.
        """
        ...

    async def schedule(self, query: AppointmentQuery, limit: int) -> Sequence[ScheduleEntry]:
        """Return at most `limit` appointments, found and ordered as by `list`."""
        ...

    async def trail(self, scope: Scope, appointment_id: UUID) -> Sequence[AuditEntry]:
        """Return the appointment's audit entries by version; empty when it is not in `scope`."""
        ...

    async def occupying(
        self, clinic_id: UUID, slot_ids: Sequence[UUID]
    ) -> Sequence[AppointmentView]:
        """Return the appointments that occupy any of these slots, earliest first."""
        ...

    async def busy_times(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Mapping[tuple[UUID, int], Sequence[Interval]]:
        """Return the busy times of these doctors that overlap `[start, end)`, by doctor and lane,
        earliest first. Lanes without any are left out."""
        ...

    async def lasting(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[AppointmentView]:
        """Return these doctors' appointments that occupy a time, start within `[start, end)`, and
        last beyond the slot that they begin in; earliest first."""
        ...

    async def holding(
        self, clinic_id: UUID, resource_id: UUID, start: datetime, end: datetime | None
    ) -> Sequence[AppointmentView]:
        """Return the appointments that occupy a time and have this resource within `[start, end)`,
        earliest first; without an end, from `start` on."""
        ...

    async def stranded(
        self, clinic_id: UUID, *, since: datetime, until: datetime, limit: int
    ) -> Sequence[AppointmentView]:
        """Return up to `limit` appointments that occupy a time, start within `[since, until)`, and
        are not wholly within open slots of their doctor and lane, at one location; earliest
        first."""
        ...

    async def brakes(self, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
        """Return what the clinic's limits on the patient's appointments are checked against, for
        one in this slot, from those that start after `Policy.first_counted`."""
        ...

    async def count_ahead(self, clinic_id: UUID, now: datetime) -> int:
        """Return how many appointments of the clinic that occupy a time start after `now`."""
        ...


class Appointments(AppointmentReader, Protocol):
    """Appointments inside a unit of work; reads include its own writes."""

    async def lock(
        self, scope: Scope, appointment_ids: Sequence[UUID], slot_ids: Sequence[UUID] = ()
    ) -> Locked:
        """Lock these appointments, their slots and `slot_ids`; return their current state.

        Slots are always locked first, by id, then appointments, by id. Appointments outside `scope`
        and slots outside its clinic are missing from the result. Raises TransactionAborted when an
        appointment has moved meanwhile to a slot that is not locked, or the unit of work must be
        rolled back because of another.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of locked appointments with their audit entries and messages.

        Slots are freed and taken as the changes say. An appointment that takes one gets one free
        resource of each kind that it needs there, the one that it had if that is free. Raises
        SlotTaken when a slot to take is not open and free, NoResourceFree with its `kind` when no
        resource is, PatientBusy when a patient's appointments would overlap, TransactionAborted
        when an appointment no longer equals `before`. After an error nothing may be committed.
        """
        ...

    async def reserve(self, booking: Booking) -> Sequence[HeldResource]:
        """Add one appointment as BookingDesk.reserve does, and return the resources that it gets,
        by kind. After an error, which are those of BookingDesk.reserve, nothing may be committed.
        """
        ...

    async def add(self, bookings: Sequence[Booking]) -> None:
        """Add the appointments of one clinic with their audit entries, messages and answers, all
        or none, and take the slots of those that occupy theirs.

        Checks and waits as BookingDesk.reserve does: a booking whose slot is not open and free is
        refused at once, unless `lock` has already waited for the slot. Locks the patients by id,
        shared, then the slots by id, then writes by patient and time, so that concurrent batches do
        not deadlock; resources are picked after that, one kind after the other. A unit that adds
        twice, or also takes other slots, must first lock all the slots with `lock`.

        Raises for one booking what BookingDesk.reserve raises, SlotTaken, PatientBusy,
        NoResourceFree or IdempotencyConflict, or AlreadyExists when there is an appointment with
        its id; for several, BookingsRefused. The error's `conflicts` lists for each booking every
        conflict that a second read found, including with other bookings added with it, and always
        the reason why it was refused, even if that was gone by then. After such a refusal the unit
        is as it was before
        the call: nothing of the bookings is written, what the call locked is unlocked, and the unit
        may continue and commit. Raises TransactionAborted when it is rolled back because of another
        transaction, after which nothing may be committed. Raises ValueError for bookings of several
        clinics.
        """
        ...

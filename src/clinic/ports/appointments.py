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
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.slots import Slot
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Scope


@dataclass(frozen=True, slots=True)
class AppointmentQuery:
    """Which appointments to list; None does not filter. `starts_from`, `starts_before` are the
    half-open range in which they start; none starts after the clinic's booking horizon, counted
    from `horizon_from`."""

    scope: Scope
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    statuses: tuple[Status, ...] = ()
    horizon_from: datetime | None = None


class ScheduleEntry(NamedTuple):
    """An appointment as a calendar shows it, and nothing else: thousands are read at once."""

    #: as text, because it is only shown
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
    """Rows that nobody else changes until the unit of work ends, by id; absent ones are missing."""

    appointments: Mapping[UUID, Appointment]
    slots: Mapping[UUID, Slot]


class AppointmentReader(Protocol):
    async def get(self, scope: Scope, appointment_id: UUID) -> AppointmentView | None:
        """Return the appointment, or None when it does not exist within `scope`."""
        ...

    async def list(
        self, asker: Actor, query: AppointmentQuery, page: PageRequest
    ) -> Sequence[AppointmentView]:
        """Return at most `page.one_more` appointments by (starts_at, id), beyond `page.after`.

        Always earliest first; going backwards, those nearest before `page.after`. Raises
        NotSignedIn unless the session that `asker` names still counts, as `BookingDesk.load_facts`.
        """
        ...

    async def schedule(self, query: AppointmentQuery, limit: int) -> Sequence[ScheduleEntry]:
        """Return at most `limit` appointments, as `list` finds and orders them."""
        ...

    async def trail(self, scope: Scope, appointment_id: UUID) -> Sequence[AuditEntry]:
        """Return the appointment's audit entries by version; empty when it is not in `scope`."""
        ...

    async def occupying(
        self, clinic_id: UUID, slot_ids: Sequence[UUID]
    ) -> Sequence[AppointmentView]:
        """Return the appointments that occupy any of these slots, earliest first."""
        ...


class Appointments(AppointmentReader, Protocol):
    """Appointments inside a unit of work; what is read includes what it has written."""

    async def lock(
        self, scope: Scope, appointment_ids: Sequence[UUID], slot_ids: Sequence[UUID] = ()
    ) -> Locked:
        """Lock these appointments, the slots they are in, and `slot_ids`; return them as they are.

        Slots are locked by id, then appointments by id, always. Appointments outside `scope` and
        slots outside its clinic are missing from the answer. Raises TransactionAborted when an
        appointment moved meanwhile to a slot that is not locked, or another unit of work gave way.
        """
        ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of locked appointments with their audit entries and messages.

        Slots are freed and taken as the changes say. Raises SlotTaken when a slot to take is not
        open and free, PatientBusy when a patient would be in two places, TransactionAborted when
        an appointment is no longer as `before` says. After an error nothing may be committed.
        """
        ...

    async def add(self, bookings: Sequence[Booking]) -> None:
        """Add the appointments of one clinic with their audit entries, messages and answers, all
        or none, and take the slots of those that occupy theirs.

        Checks and waits as BookingDesk.reserve does: one whose slot is not open and free is refused
        at once, unless `lock` has waited for the slot before. Locks the patients by id, shared,
        then the slots by id, then writes by patient and time, so that batches that meet do not
        deadlock; a unit that adds twice, or takes other slots besides, locks all the slots first by
        `lock`.

        Raises for one booking what BookingDesk.reserve raises, SlotTaken, PatientBusy or
        IdempotencyConflict, besides AlreadyExists when there is an appointment with its id; for
        several, BookingsRefused. `conflicts` of the error names every booking with everything that
        was found in its way by looking once more, other bookings added with it included, and always
        what the booking was refused for, even if that was gone by then. After such a refusal the
        unit is as it was before the call: nothing of the bookings is written, what the call locked
        is unlocked, and the unit may go on and commit. Raises TransactionAborted when it gave way
        to another, after which nothing may be committed. Raises ValueError for bookings of several
        clinics.
        """
        ...

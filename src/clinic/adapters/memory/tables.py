"""The tables of the store and their indexes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from clinic.adapters.memory.table import Indexes, Layer, Rows, Table
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.audit.audit import AuditEntry, AuditEvent
from clinic.domain.audit.change_feed import Snapshot
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic
from clinic.domain.idempotency import StoredAnswer
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.notifications import Message
from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import User
from clinic.domain.people.sessions import Session
from clinic.ports.erasures import Erasure
from clinic.ports.outbox import ReminderWork

#: a clinic's id and the row's
RowKey = tuple[UUID, UUID]
#: a clinic's id, the event's, and its time
EventKey = tuple[UUID, UUID, datetime]
#: a clinic's id, a principal's, and the idempotency key
AnswerKey = tuple[UUID, UUID, str]


@dataclass(frozen=True, slots=True)
class DoctorProfile:
    clinic_id: UUID
    user_id: UUID
    specialty: str
    ended_at: datetime | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class PatientProfile:
    clinic_id: UUID
    user_id: UUID
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StaffProfile:
    clinic_id: UUID
    user_id: UUID
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A resource that an appointment has; when, the appointment says."""

    clinic_id: UUID
    appointment_id: UUID
    resource_id: UUID
    place: int


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """What a user signs in with, and whether the user may still sign in."""

    password_hash: str | None = None
    disabled_at: datetime | None = None
    email_verified_at: datetime | None = None
    link_version: int = 0
    unbound_link_version: int = 0
    email_unproven_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table, committed (`Table`) or as one unit of work sees it (`Layer`)."""

    clinics: Rows[UUID, Clinic]
    users: Rows[UUID, User]
    doctors: Rows[RowKey, DoctorProfile]
    patients: Rows[RowKey, PatientProfile]
    availabilities: Rows[RowKey, Availability]
    exceptions: Rows[RowKey, AvailabilityException]
    closures: Rows[RowKey, Closure]
    leaves: Rows[RowKey, Leave]
    blocks: Rows[RowKey, Block]
    added_places: Rows[RowKey, AddedPlace]
    appointment_types: Rows[RowKey, AppointmentType]
    locations: Rows[RowKey, Location]
    resources: Rows[RowKey, Resource]
    resource_closures: Rows[RowKey, ResourceClosure]
    #: by clinic, appointment and resource
    held: Rows[tuple[UUID, UUID, UUID], HeldRow]
    calendar_changes: Rows[RowKey, CalendarChange]
    #: by clinic, change and doctor
    calendar_work: Rows[tuple[UUID, UUID, UUID], CalendarWork]
    slots: Rows[RowKey, Slot]
    appointments: Rows[RowKey, Appointment]
    audit: Rows[UUID, AuditEntry]
    events: Rows[EventKey, AuditEvent]
    messages: Rows[UUID, Message]
    answers: Rows[AnswerKey, StoredAnswer]
    staff: Rows[RowKey, StaffProfile]
    credentials: Rows[UUID, StoredCredentials]
    sessions: Rows[RowKey, Session]
    preferences: Rows[RowKey, Preferences]
    reminder_work: Rows[UUID, ReminderWork]
    offers: Rows[RowKey, MembershipOffer]
    erasures: Rows[RowKey, Erasure]
    #: what each consumer of the change feed has seen, by its name
    cursors: Rows[str, Snapshot]

    def layer(self) -> "Tables":
        """Return these tables under a new, empty layer of changes."""
        return Tables(**{name: Layer(table) for name, table in self.by_name().items()})

    def by_name(self) -> Mapping[str, Any]:
        """Return every table by its name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def merge(self) -> None:
        """Commit the changes of this layer; no other task may run meanwhile."""
        for table in self.by_name().values():
            table.merge()


def empty_tables() -> Tables:
    """Return the tables of an empty store."""
    by_clinic: Indexes[Any] = {"clinic": lambda row: row.clinic_id}
    by_member: Indexes[Any] = {**by_clinic, "user": lambda row: row.user_id}
    by_doctor: Indexes[Any] = {**by_clinic, "doctor": lambda row: (row.clinic_id, row.doctor_id)}
    by_resource: Indexes[Any] = {"resource": lambda row: (row.clinic_id, row.resource_id)}
    return Tables(
        clinics=Table(),
        users=Table({"email": lambda user: user.email.lower()}),
        doctors=Table(by_member),
        patients=Table(by_member),
        availabilities=Table(by_doctor),
        exceptions=Table(by_doctor),
        closures=Table(by_clinic),
        leaves=Table(by_doctor),
        blocks=Table(by_doctor),
        added_places=Table(by_doctor),
        appointment_types=Table(by_clinic),
        locations=Table(by_clinic),
        resources=Table(by_clinic),
        resource_closures=Table(by_resource),
        held=Table(
            {
                **by_resource,
                "appointment": lambda row: (row.clinic_id, row.appointment_id),
            }
        ),
        calendar_changes=Table(by_clinic),
        calendar_work=Table({"change": lambda work: (work.clinic_id, work.change_id)}),
        slots=Table(by_doctor),
        appointments=Table(
            {
                **by_doctor,
                "patient": lambda row: (row.clinic_id, row.patient_id),
                "slot": lambda row: (row.clinic_id, row.slot_id),
            }
        ),
        audit=Table({"appointment": lambda row: (row.clinic_id, row.appointment_id)}),
        events=Table(),
        messages=Table(),
        answers=Table(),
        staff=Table(by_member),
        credentials=Table(),
        sessions=Table(
            {
                "user": lambda session: session.user_id,
                "token": lambda session: (session.clinic_id, session.token_hash),
            }
        ),
        preferences=Table(),
        reminder_work=Table(),
        offers=Table({**by_clinic, "address": lambda offer: offer.address_tag}),
        erasures=Table(),
        cursors=Table(),
    )

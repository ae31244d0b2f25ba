"""People: one identity each, with a role; role facts live in profiles per clinic."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from clinic.domain.text import checked_line

EMAIL_MAX_CHARS = 254
SPECIALTY_MAX_CHARS = 80
#: the actor_id of what the service itself does, and of requests by nobody known; nobody has this id
SYSTEM_ID = UUID(int=0)


class Role(StrEnum):
    # In C; by their names, as enums have it, every look into a table runs Python.
    __hash__ = str.__hash__

    PATIENT = "PATIENT"
    DOCTOR = "DOCTOR"
    RECEPTIONIST = "RECEPTIONIST"
    ADMIN = "ADMIN"
    #: the service itself (expiry, imports); nobody signs in as it
    SYSTEM = "SYSTEM"


STAFF = frozenset({Role.DOCTOR, Role.RECEPTIONIST, Role.ADMIN, Role.SYSTEM})
#: who runs a clinic's calendars; doctors only their own
OFFICE = frozenset({Role.RECEPTIONIST, Role.ADMIN, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a user in a role at one clinic, and where the request came from."""

    user_id: UUID
    role: Role
    clinic_id: UUID
    request_id: str | None = None
    ip: str | None = None
    session_id: UUID | None = None

    @property
    def is_staff(self) -> bool:
        return self.role in STAFF


def system_actor(clinic_id: UUID) -> Actor:
    """Return the service itself as an actor of the clinic."""
    return Actor(SYSTEM_ID, Role.SYSTEM, clinic_id)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an actor may see, as a filter for SQL: a clinic, or one person's part of it."""

    clinic_id: UUID
    patient_id: UUID | None = None
    doctor_id: UUID | None = None


def scope_of(actor: Actor) -> Scope:
    """Return what `actor` may see: patients and doctors their own, the rest the whole clinic."""
    return Scope(
        actor.clinic_id,
        patient_id=actor.user_id if actor.role is Role.PATIENT else None,
        doctor_id=actor.user_id if actor.role is Role.DOCTOR else None,
    )


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An email address in ASCII, as mail is sent to it and people are looked up by it, and as it
    was typed where that is not ASCII."""

    ascii: str
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """The single identity of a person, whatever they are at which clinic.

    What is typed is checked when it comes in (usecases/checked.py), not here: what was
    accepted by older rules can still be read.
    """

    id: UUID
    name: str
    #: in ASCII, whatever it was typed in; compared without case
    email: str
    role: Role
    phone: str | None = None
    #: as it was typed and is shown, where its domain is not ASCII
    email_typed: str | None = None

    @property
    def shown_email(self) -> str:
        return self.email_typed or self.email


@dataclass(frozen=True, slots=True)
class Doctor:
    """A user as a doctor of one clinic; its id is the user's."""

    clinic_id: UUID
    id: UUID
    name: str
    specialty: str


@dataclass(frozen=True, slots=True)
class Patient:
    """A user as a patient of one clinic; its id is the user's."""

    clinic_id: UUID
    id: UUID
    name: str
    #: as it is shown
    email: str
    phone: str | None = None


def erased_user(user_id: UUID) -> User:
    """Return the pseudonym that an erasure leaves of a patient."""
    return User(user_id, "Erased patient", f"erased-{user_id}@erased.invalid", Role.PATIENT)


def is_erased_user(user: User) -> bool:
    """Say whether nothing but the pseudonym is left; nobody can type such an address."""
    return user == erased_user(user.id)


def checked_specialty(value: str) -> str:
    """Return `value` as it is stored. Raises InvalidInput."""
    return checked_line(value, "specialty", max_chars=SPECIALTY_MAX_CHARS, pointer="/specialty")

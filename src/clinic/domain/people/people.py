"""People: one identity each, with a role; what belongs to a role is in a profile per clinic."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from clinic.domain.text import checked_line

EMAIL_MAX_CHARS = 254
SPECIALTY_MAX_CHARS = 80
#: the actor_id of the service's own actions and of unauthenticated requests; no user has this id
SYSTEM_ID = UUID(int=0)


class Role(StrEnum):
    # Use str's C hash: Enum.__hash__ is Python, and roles are looked up on every request.
    __hash__ = str.__hash__

    PATIENT = "PATIENT"
    DOCTOR = "DOCTOR"
    RECEPTIONIST = "RECEPTIONIST"
    ADMIN = "ADMIN"
    #: the service itself (expiry, imports); not a role to sign in with
    SYSTEM = "SYSTEM"


STAFF = frozenset({Role.DOCTOR, Role.RECEPTIONIST, Role.ADMIN, Role.SYSTEM})
#: who runs a clinic's calendars; doctors only their own
OFFICE = frozenset({Role.RECEPTIONIST, Role.ADMIN, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting: a user in a role at one clinic, and where the request came from."""

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
    """An email address in ASCII, the form used to send mail and to look people up, and the form
    that was typed when that is not ASCII."""

    ascii: str
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """The single identity of a person, at however many clinics.

    Input is checked by the use cases (usecases/contact_rules.py), not here, so that rows
    accepted under older rules can still be read.
    """

    id: UUID
    name: str
    #: the ASCII form; compared without case
    email: str
    role: Role
    phone: str | None = None
    #: the form that was typed and is shown, when its domain is not ASCII
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
    #: the last day on which the doctor works at the clinic
    last_day: date | None = None
    #: False once the account is disabled or the membership has ended
    works_here: bool = True

    def has_left(self, today: date) -> bool:
        """Return whether the doctor works here no more, on this day at the clinic."""
        return not self.works_here or (self.last_day is not None and self.last_day < today)


@dataclass(frozen=True, slots=True)
class Patient:
    """A user as a patient of one clinic; its id is the user's."""

    clinic_id: UUID
    id: UUID
    name: str
    #: the form that is shown
    email: str
    phone: str | None = None


def erased_user(user_id: UUID) -> User:
    """Return the pseudonymous user that replaces an erased patient."""
    return User(user_id, "Erased patient", f"erased-{user_id}@erased.invalid", Role.PATIENT)


def is_erased_user(user: User) -> bool:
    """Return whether only the pseudonym is left; its email address is not accepted as input."""
    return user == erased_user(user.id)


def checked_specialty(value: str) -> str:
    """Return `value` normalized for storage. Raises InvalidInput."""
    return checked_line(value, "specialty", max_chars=SPECIALTY_MAX_CHARS, pointer="/specialty")

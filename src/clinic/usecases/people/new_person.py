"""Adds a person to a clinic: the checks, the profile and the audit entry.

Every use case that adds people goes through here. The doors below differ in who may use them and in
what follows in the same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import Role, User, checked_specialty
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import Context


@dataclass(frozen=True, slots=True)
class Door:
    """Who may add people in which roles, and the action and entity in the audit trail."""

    #: None: anyone may, for themselves
    operation: Operation | None
    roles: frozenset[Role]
    action: str
    entity: str = "user"


ANY_ROLE = Door(Operation.MANAGE_USERS, frozenset(Role) - {Role.SYSTEM}, "add_user")
DOCTORS = Door(Operation.CHANGE_CLINIC, frozenset({Role.DOCTOR}), "add_doctor", "doctor")
PATIENTS = Door(Operation.ADD_PATIENT, frozenset({Role.PATIENT}), "add_patient", "patient")
REGISTRATION = Door(None, frozenset({Role.PATIENT}), "register")


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person who passed the checks of a door; made by `checked_person` only."""

    user: User
    #: for doctors only
    specialty: str | None
    door: Door


def checked_person(
    context: Context,
    user: User,
    door: Door,
    *,
    contacts: ContactRules,
    specialty: str | None = None,
) -> NewPerson:
    """Check a person as entered, and return them in the form to store.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused.
    """
    if door.operation is not None:
        permit(context.actor, door.operation)
    if user.role is Role.SYSTEM:
        raise InvalidInput("No one can sign in as the service itself.", pointer="/role")
    if user.role not in door.roles:
        raise InvalidInput(f"Nobody is added here as a {user.role.value}.", pointer="/role")
    if (user.role is Role.DOCTOR) != (specialty is not None):
        raise InvalidInput("Doctors, and only doctors, have a specialty.", pointer="/specialty")
    user = contacts.checked_user(user)
    return NewPerson(user, checked_specialty(specialty) if specialty is not None else None, door)


async def add_person(
    context: Context,
    unit: UnitOfWork,
    person: NewPerson,
    *,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Add a person and their profile to the actor's clinic, and audit it. Raises EmailInUse."""
    user, clinic_id = person.user, context.actor.clinic_id
    await unit.people.add_user(user)
    if person.specialty is not None:
        await unit.people.add_doctor(clinic_id, user.id, person.specialty)
    elif user.role is Role.PATIENT:
        await unit.people.add_patient(clinic_id, user.id)
    else:
        await unit.accounts.add_staff(clinic_id, user.id)
    door = person.door
    await unit.events.add(context.event(door.action, door.entity, user.id, detail=detail))

"""The doors through which people are added: who may use each, for which roles."""

from uuid import UUID

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.errors import InvalidInput, PermissionDenied
from clinic.domain.people.people import Actor, Role, User
from clinic.usecases.people.new_person import (
    ANY_ROLE,
    DOCTORS,
    PATIENTS,
    REGISTRATION,
    checked_person,
)

CLINIC_ID, ACTOR_ID, USER_ID = (UUID(int=number) for number in (1, 2, 3))
DOORS = [ANY_ROLE, DOCTORS, PATIENTS, REGISTRATION]


def check(door, actor_role, role, *, specialty=None):
    services = in_memory()
    context = services.context(Actor(ACTOR_ID, actor_role, CLINIC_ID))
    user = User(USER_ID, "  Ada Example ", "ada@example.org", role)
    if role is Role.DOCTOR:
        specialty = specialty or "Cardiology"
    return checked_person(context, user, door, specialty=specialty, contacts=services.contacts)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.action)
@pytest.mark.parametrize("role", Role)
def test_door_takes_only_its_roles(door, role):
    if role in door.roles:
        assert check(door, Role.ADMIN, role).user.role is role
    else:
        with pytest.raises(InvalidInput) as refused:
            check(door, Role.ADMIN, role)
        assert refused.value.pointer == "/role"


def test_nobody_is_added_as_the_service_itself():
    assert all(Role.SYSTEM not in door.roles for door in DOORS)


@pytest.mark.parametrize(
    ("door", "role", "allowed"),
    [
        (ANY_ROLE, Role.PATIENT, {Role.ADMIN, Role.SYSTEM}),
        (DOCTORS, Role.DOCTOR, {Role.ADMIN, Role.SYSTEM}),
        (PATIENTS, Role.PATIENT, {Role.RECEPTIONIST, Role.ADMIN, Role.SYSTEM}),
        (REGISTRATION, Role.PATIENT, set(Role)),
    ],
    ids=[door.action for door in DOORS],
)
@pytest.mark.parametrize("actor_role", Role)
def test_door_is_open_to_those_with_its_permission(door, role, allowed, actor_role):
    if actor_role in allowed:
        assert check(door, actor_role, role).user.name == "Ada Example"
    else:
        with pytest.raises(PermissionDenied):
            check(door, actor_role, role)


@pytest.mark.parametrize("role", [Role.PATIENT, Role.ADMIN])
def test_only_doctors_have_a_specialty(role):
    with pytest.raises(InvalidInput) as refused:
        check(ANY_ROLE, Role.ADMIN, role, specialty="Cardiology")
    assert refused.value.pointer == "/specialty"

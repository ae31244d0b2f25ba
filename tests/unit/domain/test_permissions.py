"""The policy is complete, and follows the clinic's rules."""

from uuid import uuid4

import pytest

from clinic.domain.errors import PermissionDenied
from clinic.domain.people.people import Actor, Role
from clinic.domain.permissions import POLICY, Operation, Reach, permit, reach_of

USER_ID, CLINIC_ID = uuid4(), uuid4()


def actor(role: Role) -> Actor:
    return Actor(USER_ID, role, CLINIC_ID)


def test_every_operation_says_something_to_every_role() -> None:
    assert set(POLICY) == set(Operation)
    assert all(set(row) == set(Role) for row in POLICY.values())


def test_patients_never_reach_beyond_themselves_but_for_what_is_public() -> None:
    beyond = {operation for operation in Operation if reach_of(Role.PATIENT, operation) > Reach.OWN}
    assert beyond == {Operation.READ_CLINIC}


def test_nobody_reaches_further_than_an_administrator_and_all_manage_themselves() -> None:
    for operation in Operation:
        reaches = [reach_of(role, operation) for role in (Role.PATIENT, Role.DOCTOR)]
        assert max(reaches) <= reach_of(Role.ADMIN, operation)
    own = POLICY[Operation.MANAGE_OWN_ACCOUNT]
    assert {own[role] for role in Role if role is not Role.SYSTEM} == {Reach.OWN}


@pytest.mark.parametrize("operation", [Operation.MANAGE_USERS, Operation.CHANGE_CLINIC])
@pytest.mark.parametrize("role", [Role.PATIENT, Role.DOCTOR, Role.RECEPTIONIST])
def test_people_and_settings_are_for_administrators(role: Role, operation: Operation) -> None:
    with pytest.raises(PermissionDenied):
        permit(actor(role), operation)
    assert permit(actor(Role.ADMIN), operation) is Reach.CLINIC


@pytest.mark.parametrize(
    ("role", "doctor_id", "allowed"),
    [
        (Role.PATIENT, USER_ID, False),
        (Role.DOCTOR, USER_ID, True),
        (Role.DOCTOR, uuid4(), False),
        (Role.RECEPTIONIST, uuid4(), True),
        (Role.ADMIN, uuid4(), True),
        (Role.SYSTEM, uuid4(), True),
    ],
)
def test_a_calendar_is_its_doctors_and_the_offices(role: Role, doctor_id, allowed: bool) -> None:
    if allowed:
        permit(actor(role), Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    else:
        with pytest.raises(PermissionDenied):
            permit(actor(role), Operation.CHANGE_CALENDAR, doctor_id=doctor_id)

"""People's roles, and what they may see."""

from uuid import uuid4

import pytest

from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import Actor, Role, Scope, checked_specialty, scope_of

CLINIC_ID, USER_ID = uuid4(), uuid4()


def actor(role: Role) -> Actor:
    return Actor(USER_ID, role, CLINIC_ID)


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        (Role.PATIENT, Scope(CLINIC_ID, patient_id=USER_ID)),
        (Role.DOCTOR, Scope(CLINIC_ID, doctor_id=USER_ID)),
        (Role.RECEPTIONIST, Scope(CLINIC_ID)),
        (Role.ADMIN, Scope(CLINIC_ID)),
        (Role.SYSTEM, Scope(CLINIC_ID)),
    ],
)
def test_scope_of_each_role(role: Role, scope: Scope) -> None:
    assert scope_of(actor(role)) == scope


@pytest.mark.parametrize("specialty", ["", " ", "x" * 81, "a\x00"])
def test_specialty_that_is_odd_is_refused(specialty: str) -> None:
    with pytest.raises(InvalidInput):
        checked_specialty(specialty)

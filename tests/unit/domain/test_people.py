"""Who people are and what they may see."""

from uuid import uuid4

import pytest

from clinic.domain.errors import InvalidInput
from clinic.domain.people import (
    Actor,
    Role,
    Scope,
    checked_specialty,
    normalised_email,
    scope_of,
)

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


@pytest.mark.parametrize("email", ["ada@example.org", " Ada.B+c@Example.ORG ", "o'neil@x.y"])
def test_email_is_trimmed_and_keeps_its_case(email: str) -> None:
    assert normalised_email(email) == email.strip()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "a b@example.org",
        "ada@example.org,b@x.y",
        "ä@example.org",
        "a@b@c.org",
        "ada@-x.org",
        "x" * 250 + "@a.org",
        "ada@exa mple.org",
        "ada\r\nBcc:@x.org",
    ],
)
def test_email_that_is_none_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput):
        normalised_email(email)


@pytest.mark.parametrize("specialty", ["", " ", "x" * 81, "a\x00"])
def test_specialty_that_is_odd_is_refused(specialty: str) -> None:
    with pytest.raises(InvalidInput):
        checked_specialty(specialty)

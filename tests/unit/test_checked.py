"""What is typed about people and clinics goes through one door."""

from dataclasses import replace

import pytest

from clinic.adapters.system.email_addresses import WorldEmailAddresses
from clinic.adapters.system.phone_numbers import WorldPhoneNumbers
from clinic.domain.clinic import Clinic
from clinic.domain.contact import Contact
from clinic.domain.errors import InvalidInput, PhoneNumberRefused, UnknownTimeZone
from clinic.domain.people import Role, User
from clinic.testing.builders import new_id
from clinic.usecases.checked import checked_clinic, checked_user

EMAILS = WorldEmailAddresses()
PHONES = WorldPhoneNumbers()
OLD = Clinic(
    new_id(),
    " River\u202eside ",
    "posix/Europe/London",
    contact=Contact("1 Quay\u202e Road", "020 7946", "fr"),
)


def test_clinic_is_stored_as_it_is_compared() -> None:
    typed = Clinic(
        new_id(),
        "  River  side ",
        "Asia/Kathmandu",
        contact=Contact(" Caf\u0065\u0301  Road \r\n\n1 Quay ", "tel:+44 (0)20 7946 0018 x7", "de"),
    )

    stored = checked_clinic(typed, phones=PHONES)

    assert stored.name == "River side"
    assert stored.contact == Contact("Café Road\n1 Quay", "+442079460018;ext=7", "de")
    assert checked_clinic(stored, phones=PHONES) == stored


def test_clinic_that_older_rules_accepted_keeps_what_is_not_changed() -> None:
    changed = checked_clinic(replace(OLD, time_zone="Europe/London"), OLD, phones=PHONES)

    assert changed == replace(OLD, time_zone="Europe/London")


@pytest.mark.parametrize(
    ("change", "error", "pointer"),
    [
        ({"name": "River\u202e"}, InvalidInput, "/name"),
        ({"time_zone": "right/Europe/London"}, UnknownTimeZone, "/timeZone"),
        ({"contact": replace(OLD.contact, address="1 \u2066Quay")}, InvalidInput, "/address"),
        ({"contact": replace(OLD.contact, phone="021")}, PhoneNumberRefused, "/phone"),
        ({"contact": replace(OLD.contact, language="xx")}, InvalidInput, "/language"),
    ],
)
def test_what_is_changed_of_a_clinic_is_checked(change, error, pointer) -> None:
    with pytest.raises(error) as refused:
        checked_clinic(replace(OLD, **change), OLD, phones=PHONES)

    assert refused.value.pointer == pointer


def test_person_is_stored_as_it_is_compared() -> None:
    typed = User(new_id(), " Toma\u0301s ", " Ada@Example.org ", Role.PATIENT, "0044 2079460018")

    stored = checked_user(typed, phones=PHONES, emails=EMAILS)

    assert stored == User(typed.id, "Tomás", "Ada@Example.org", Role.PATIENT, "+442079460018")
    assert checked_user(stored, phones=PHONES, emails=EMAILS) == stored

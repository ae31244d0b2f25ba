"""Input about people and clinics is checked in one place."""

from dataclasses import replace

import pytest

from clinic.adapters.system.email_addresses import WorldEmailAddresses
from clinic.adapters.system.phone_numbers import WorldPhoneNumbers
from clinic.domain.clinic import Clinic
from clinic.domain.contact import Contact
from clinic.domain.errors import InvalidInput, PhoneNumberRefused, UnknownTimeZone
from clinic.domain.people.people import Role, User
from clinic.testing.builders import new_id
from clinic.usecases.contact_rules import ContactRules

CONTACTS = ContactRules(WorldPhoneNumbers(), WorldEmailAddresses())
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

    stored = CONTACTS.checked_clinic(typed)

    assert stored.name == "River side"
    assert stored.contact == Contact("Café Road\n1 Quay", "+442079460018;ext=7", "de")
    assert CONTACTS.checked_clinic(stored) == stored


def test_clinic_that_older_rules_accepted_keeps_what_is_not_changed() -> None:
    changed = CONTACTS.checked_clinic(replace(OLD, time_zone="Europe/London"), OLD)

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
        CONTACTS.checked_clinic(replace(OLD, **change), OLD)

    assert refused.value.pointer == pointer


def test_person_is_stored_as_it_is_compared() -> None:
    typed = User(new_id(), " Toma\u0301s ", " Ada@Example.org ", Role.PATIENT, "0044 2079460018")

    stored = CONTACTS.checked_user(typed)

    assert stored == User(typed.id, "Tomás", "Ada@Example.org", Role.PATIENT, "+442079460018")
    assert CONTACTS.checked_user(stored) == stored

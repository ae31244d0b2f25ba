"""Phone numbers as people write them, and as they are stored."""

import pytest

from clinic.adapters.system.phone_numbers import WorldPhoneNumbers
from clinic.domain.errors import PhoneNumberRefused

LONDON = "+442079460018"
WRITTEN = {
    "+44 20 7946 0018": LONDON,
    "+44 (0)20 7946 0018": LONDON,
    "+44(0)2079460018": LONDON,
    "(+44) 20 7946 0018": LONDON,
    "+44.20.7946.0018": LONDON,
    "+44–20–7946—0018": LONDON,
    "+44/20/7946/0018": LONDON,
    "+44\u00a020\u202f7946\u20090018": LONDON,
    " +44 20\n7946 0018\t": LONDON,
    "\u202a+44 20 7946 0018\u202c": LONDON,
    "+\u0664\u0664 \u0662\u0660 \u0667\u0669\u0664\u0666 \u0660\u0660\u0661\u0668": LONDON,
    "\uff0b\uff14\uff14 \uff12\uff10 7946 0018": LONDON,
    "0044 20 7946 0018": LONDON,
    "tel:+44-20-7946-0018": LONDON,
    "Tel. +44 20 7946 0018": LONDON,
    "tel:7946-0018;phone-context=+4420": LONDON,
    "tel:+44-20-7946-0018;ext=012": f"{LONDON};ext=012",
    f"{LONDON};ext=12": f"{LONDON};ext=12",
    "+44 20 7946 0018 x12": f"{LONDON};ext=12",
    "+44 20 7946 0018x12": f"{LONDON};ext=12",
    "+44 20 7946 0018 ext. 12": f"{LONDON};ext=12",
    "+44 20 7946 0018, Extension: 12": f"{LONDON};ext=12",
    "+44 20 7946 0018 #12": f"{LONDON};ext=12",
    "+44 20 7946 0018,,12#": f"{LONDON};ext=12",
    "+49 30 123456 Durchwahl 12": "+4930123456;ext=12",
    "+49 30 123456 DW 12": "+4930123456;ext=12",
    "+49 30 123456-78": "+493012345678",
    "+49 (0)30 / 12 34 56 App. 7": "+4930123456;ext=7",
    "+33 1 23 45 67 89 poste 12": "+33123456789;ext=12",
    "+39 (0)6 6981 2345": "+390669812345",
    "+34 (0)912 345 678": "+34912345678",
    "+1 (212) 555-0123 x \u0661\u0662": "+12125550123;ext=12",
}
NONE = [
    "",
    " ",
    "+",
    "1",
    "call me",
    "x12",
    "020 7946 0018",
    "++44 20 7946 0018",
    "+44 20 7946 0018x",
    "+44 20 7946 0018;ext=",
    "+44 20 7946 0018 x12 or 13",
    "+44 20 7946 0018 / +44 20 7946 0019",
    "+1-800-FLOWERS",
    "+44 20 7946 0018\x00",
    "+44 20 7946 0018" + "9" * 100,
    "\udc80+44 20 7946 0018",
    "+999 20 7946 0018",
    "+44 20 7946 0018;isub=1",
]


@pytest.mark.parametrize(("written", "stored"), WRITTEN.items(), ids=map(ascii, WRITTEN))
def test_number_is_stored_the_same_however_it_is_written(written, stored):
    assert WorldPhoneNumbers().checked(written) == stored
    assert WorldPhoneNumbers().checked(stored) == stored
    assert WorldPhoneNumbers("GB").checked(stored) == stored


@pytest.mark.parametrize("number", NONE, ids=map(ascii, NONE))
def test_what_is_no_number_is_refused_with_the_field_and_an_example(number):
    with pytest.raises(PhoneNumberRefused) as refused:
        WorldPhoneNumbers().checked(number, "/clinic/phone")

    assert refused.value.pointer == "/clinic/phone"
    assert "+44 20 7946 0958" in refused.value.message


def test_local_number_is_of_the_region_that_was_set():
    numbers = WorldPhoneNumbers("GB")

    assert numbers.checked("020 7946 0018 x12") == f"{LONDON};ext=12"
    assert numbers.checked("\uff10\uff12\uff10 \uff17\uff19\uff14\uff16 0018") == LONDON
    assert numbers.checked("00 49 30 123456") == "+4930123456"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (LONDON, "+44 20 7946 0018"),
        (f"{LONDON};ext=012", "+44 20 7946 0018 x012"),
        ("+4930123456", "+49 30 123456"),
        ("+4930123456;ext=7", "+49 30 123456 ext. 7"),
        ("+390612345678", "+39 06 1234 5678"),
        # In no known range, but shown all the same.
        ("+99920794600", "+99920794600"),
        # Stored by an earlier release, which stored input as typed.
        ("ask at the desk", "ask at the desk"),
        ("020 7946 0018", "020 7946 0018"),
    ],
)
def test_number_is_shown_as_people_write_it(stored, shown):
    assert WorldPhoneNumbers().shown(stored) == shown
    assert WorldPhoneNumbers("GB").shown(stored) == shown

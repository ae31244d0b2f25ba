"""`clinic types add|list|change`."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

NOBODY = str(UUID(int=7))
ALL = ("--limit", "200")


@pytest.fixture
def doctors(line):
    line("clinic", "create", "Riverside", "Europe/London")
    return [
        line.json("doctor", "add", name, f"{name}@example.org", "General")["id"]
        for name in ("ada", "ben")
    ]


def listed(line):
    return line.json("types", "list")


def test_type_with_a_name_and_a_length_is_offered_by_all(line, doctors):
    added = line.json("types", "add", "Check-up", "40")

    assert added == {
        "id": added["id"],
        "name": "Check-up",
        "visibleMin": 40,
        "beforeMin": 0,
        "afterMin": 0,
        "noticeMin": None,
        "horizonDays": None,
        "bookableBy": "patients",
        "offeredBy": None,
        "instructions": None,
        "color": None,
        "needs": [],
        "default": False,
        "active": True,
    }
    assert listed(line) == [added]


def test_type_is_entered_changed_and_cleared(line, doctors):
    ada, ben = doctors
    options = "--before 5 --after 10 --notice 60 --horizon 30 --bookable-by known-patients"
    added = line.json(
        *("types", "add", "Check-up", "40", *options.split()),
        *("--offered-by", f"{ben}:20", "--offered-by", ada),
        *("--instructions", "Bring your card.", "--color", "#2f6fde", "--default"),
    )

    offers = [{"doctorId": ada, "visibleMin": None}, {"doctorId": ben, "visibleMin": 20}]
    assert added == {
        "id": added["id"],
        "name": "Check-up",
        "visibleMin": 40,
        "beforeMin": 5,
        "afterMin": 10,
        "noticeMin": 60,
        "horizonDays": 30,
        "bookableBy": "known_patients",
        "offeredBy": sorted(offers, key=lambda offer: offer["doctorId"]),
        "instructions": "Bring your card.",
        "color": "#2f6fde",
        "needs": [],
        "default": True,
        "active": True,
    }
    for arguments, members in (
        (
            "--name X-ray --minutes 20 --before 0",
            {"name": "X-ray", "visibleMin": 20, "beforeMin": 0},
        ),
        (f"--offered-by {ada}", {"offeredBy": offers[:1]}),
        ("--all-doctors --bookable-by staff", {"offeredBy": None, "bookableBy": "staff"}),
        ("--clear notice --clear horizon", {"noticeMin": None, "horizonDays": None}),
        ("--clear instructions --clear color", {"instructions": None, "color": None}),
        ("--no-default --inactive", {"default": False, "active": False}),
        ("--active", {"active": True}),
    ):
        added = added | members
        assert line.json("types", "change", added["id"], *arguments.split()) == added
    assert listed(line) == [added]


def test_types_are_listed_as_they_are_typed(line, doctors):
    line("types", "add", "Check-up", "40", "--default")
    line(
        *("types", "add", "Surgery", "90", "--before", "15", "--bookable-by", "known-patients"),
        *("--offered-by", f"{doctors[0]}:80"),
    )
    told = line("types", "add", "X-ray", "10")
    assert told == f"Added type {listed(line)[2]['id']}\n"
    told = line("types", "change", listed(line)[2]["id"], "--inactive")
    assert told == f"Changed type {listed(line)[2]['id']}\n"

    head, *lines = line("types", "list").splitlines()

    assert head.split() == [
        "id",
        "name",
        "minutes",
        "bookableBy",
        "offeredBy",
        "default",
        "active",
    ]
    check_up, surgery, x_ray = (" ".join(one.split()[1:]) for one in lines)
    assert check_up == "Check-up 40 patients all yes yes"
    assert surgery == f"Surgery 90 (15 before, 0 after) known-patients {doctors[0]}:80 no yes"
    assert x_ray == "X-ray 10 patients all no no"


def test_change_of_nothing_says_so(line, doctors):
    added = line.json("types", "add", "Check-up", "40")

    told = line("types", "change", added["id"], "--name", "Check-up")

    assert told == "The type is the same as before.\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "CHECK-UP", "20"], "type_name_in_use"),
        (["add", "X-ray", "20", "--default"], "default_type_taken"),
        (["add", "X-ray", "121"], "type_too_long"),
        (["add", "X-ray", "20", "--offered-by", NOBODY], "doctor_not_found"),
        (["add", "X-ray", "20", "--offered-by", "ada"], "invalid_input"),
        (["add", "X-ray", "20", "--offered-by", f"{NOBODY}:x"], "invalid_input"),
        (["add", "X-ray", "20", "--color", "blue"], "invalid_input"),
        (["add", "X-ray", "4"], "invalid_input"),
        (["change", NOBODY, "--minutes", "20"], "appointment_type_not_found"),
        (["change", "ID", "--minutes", "121"], "type_too_long"),
        (["change", "ID", "--all-doctors", "--offered-by", NOBODY], "invalid_input"),
        (["change", "ID", "--clear", "color", "--color", "#000000"], "invalid_input"),
        (["change", "ID", "--before", "241"], "invalid_input"),
    ],
)
def test_type_that_is_not_one_is_refused(line, doctors, arguments, code):
    line("hours", "add", doctors[0], "09:00", "11:00", "--weekdays", "mon")
    known = line.json("types", "add", "Check-up", "40", "--default")

    sent = [known["id"] if each == "ID" else each for each in arguments]
    status, complaint = line.refused("types", *sent)

    assert status == 1
    assert complaint.endswith(f"({code})\n")
    assert listed(line) == [known]


def test_length_that_fits_nowhere_is_refused_with_the_longest_that_does(line, doctors):
    line("hours", "add", doctors[0], "09:00", "11:00", "--weekdays", "mon")

    _, complaint = line.refused("types", "add", "Surgery", "121")

    assert complaint == (
        "clinic: No doctor who offers this type has hours that long: the longest last 120 minutes"
        " without a break. (type_too_long)\n"
    )


def test_patient_may_not_add_a_type(line, doctors):
    patient = line.json("patient", "add", "Ines", "ines@example.org")

    _, complaint = line.refused("types", "add", "X-ray", "20", "--as", patient["id"])

    assert complaint.endswith("(permission_denied)\n")
    assert listed(line) == []


def test_slots_are_listed_in_which_a_type_can_begin(line, ids):
    kind = line.json("types", "add", "Long", "60")

    starts = [
        slot["startsAt"][11:16] for slot in line.json("slots", "list", "--type", "long", *ALL)
    ]
    every = {slot["startsAt"][11:16] for slot in line.json("slots", "list", *ALL)}
    status, refused = line.refused("slots", "list", "--type", "Lang")

    assert starts
    assert set(starts) < every
    assert status == 1
    assert "write one of: Long; did you mean Long? (unknown_type)" in refused
    by_id = line.json("slots", "list", "--type", kind["id"], *ALL)
    assert [slot["startsAt"][11:16] for slot in by_id] == starts


@pytest.mark.parametrize("named", ["name", "id"])
def test_appointment_lasts_as_long_as_the_type_that_is_named(line, ids, named):
    kind = line.json("types", "add", "Long", "60")
    first, *_ = line.json("slots", "list", "--type", "Long", *ALL)
    patient = line.json("patient", "add", "Ines", "ines@example.org")

    booked = line.json("appointments", "book", first["id"], patient["id"], "--type", kind[named])

    start, end = (datetime.fromisoformat(booked[each]) for each in ("startsAt", "endsAt"))
    assert (booked["type"], end - start) == ("Long", timedelta(minutes=60))

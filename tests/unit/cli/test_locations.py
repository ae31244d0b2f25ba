"""`clinic locations add|list|change`, and --location of what is at one."""

from uuid import UUID

import pytest

NOBODY = str(UUID(int=7))


@pytest.fixture
def doctor(line):
    line("clinic", "create", "Riverside", "Europe/London")
    return line.json("doctor", "add", "ada", "ada@example.org", "General")["id"]


def test_location_is_entered_changed_cleared_and_listed(line, doctor):
    options = ("--directions", "Ring twice.", "--phone", "+44 117 496 0000")
    added = line.json(
        *("locations", "add", "Harbour", "--address", "1 Quay Street", "--address", "Bristol"),
        *(*options, "--country", "de", "--subdivision", "be"),
    )

    assert added == {
        "id": added["id"],
        "name": "Harbour",
        "address": "1 Quay Street\nBristol",
        "directions": "Ring twice.",
        "phone": "+441174960000",
        "country": "DE",
        "subdivision": "BE",
        "active": True,
    }
    named = line.json("locations", "change", added["id"], "--name", "Quay", "--clear", "phone")
    assert named == {**added, "name": "Quay", "phone": None}
    moved = line.json("locations", "change", added["id"], "--clear", "country", "--inactive")
    assert moved.pop("slotsOpened")["added"] == 0
    assert moved == {**named, "country": None, "subdivision": None, "active": False}
    assert line.json("locations", "list") == [moved]
    assert "1 Quay Street, Bristol" in line("locations", "list")


def test_hours_places_and_closures_are_at_a_location_and_slots_are_found_by_it(line, doctor):
    harbour, mill = (line.json("locations", "add", name)["id"] for name in ("Harbour", "Mill"))
    at_harbour = ("--location", harbour)
    added = line.json("hours", "add", doctor, "09:00", "10:00", "--on", "2026-11-28", *at_harbour)
    line("hours", "add", doctor, "12:00", "13:00", "--on", "2026-11-28", "--location", mill)
    times = ("--from", "2026-11-28T18:00", "--to", "2026-11-28T18:30")
    place = line.json("places", "add", doctor, *times, *at_harbour)

    found = line.json("slots", "list", *at_harbour)

    assert (added["locationId"], place["locationId"]) == (harbour, harbour)
    assert [slot["locationId"] for slot in found] == [harbour] * 3
    assert len(line.json("slots", "list")) == 5
    closed = line.json("closures", "add", "Flood", "--from", "2026-11-28", *at_harbour)
    assert (closed["locationId"], closed["slotsOpened"]["blocked"]) == (harbour, 3)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("locations", "add", "HARBOUR"), "location_name_in_use"),
        (("locations", "add", "Mill", "--country", "XX"), "unknown_holiday_calendar"),
        (("locations", "change", NOBODY, "--name", "Mill"), "location_not_found"),
        (("slots", "list", "--location", NOBODY), "location_not_found"),
    ],
)
def test_what_is_wrong_is_refused(line, doctor, arguments, code):
    line("locations", "add", "Harbour")

    assert line.refused(*arguments)[1].endswith(f"({code})\n")

"""`clinic closures`, `leave`, `blocks`, `places`, `changes`, hours over midnight, last days."""

import asyncio
import os
import re
import signal
import sys
from uuid import UUID

import pytest

from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.entrypoints.cli import run
from clinic.usecases.calendar import calendar_changes, change_calendar

#: the doctor's hours are 09:00 to 11:00 on Mondays and Tuesdays; today is Monday 2026-11-23
TUESDAY = "2026-11-24"
NOBODY = "01a20000-0000-7000-8000-000000000000"
#: groups of commands with a list
ENTERED = ("closures", "leave", "blocks", "places", "hours")


def free(line, *arguments):
    """Return the day and time of each free slot."""
    found = line.json("slots", "list", "--limit", "200", *arguments)
    return [f"{slot['startsAt'][:10]} {slot['startsAt'][11:16]}" for slot in found]


def book(line, ids, place=0, patient="one"):
    slot = line.json("slots", "list", "--from", TUESDAY, "--limit", "200")[place]
    return line.json("appointments", "book", slot["id"], ids[patient])


def _span(begin, end, day=TUESDAY):
    return ("--from", f"{day}T{begin}", "--to", f"{day}T{end}")


EVENING = _span("18:00", "18:20")


def close(line, *arguments):
    return line.json("closures", "add", "Training", *arguments)


# --- why times can be booked or not


def test_slots_explain_names_each_rule_that_refuses(line, ids):
    close(line, "--from", f"{TUESDAY}T10:00", "--until", TUESDAY)
    book(line, ids)

    day = line("slots", "explain", ids["doctor"], "--from", TUESDAY, "--until", TUESDAY)
    one = line.json("slots", "explain", ids["doctor"], "--at", f"{TUESDAY}T09:10")

    said = [re.split(" {2,}", text) for text in day.splitlines()]
    assert said == [
        ["startsAt", "possible", "why"],
        ["Tue 2026-11-24 09:00", "no", "Sorry, this slot was just taken."],
        ["Tue 2026-11-24 09:30", "yes", "-"],
        ["Tue 2026-11-24 10:00", "no", "The clinic is closed (Training)."],
        ["Tue 2026-11-24 10:30", "no", "The clinic is closed (Training)."],
    ]
    [start] = one["starts"]
    assert (start["possible"], start["slotId"]) == (False, None)
    assert [each["kind"] for each in start["rules"] if each["refuses"]] == ["no_hours"]
    assert [each["startsAt"][:16].replace("T", " ") for each in one["nearest"]] == [
        "2026-11-23 10:00",
        "2026-11-23 10:30",
        "2026-11-24 09:30",
    ]


# --- closures


def test_closure_blocks_slots_until_it_is_deleted(line, ids):
    before = free(line)

    made = close(line, "--from", TUESDAY)
    closed = free(line, "--to", TUESDAY)
    deleted = line.json("closures", "delete", made["id"])

    assert made == {
        "id": made["id"],
        "name": "Training",
        "kind": "once",
        "from": TUESDAY,
        "until": TUESDAY,
        "startTime": None,
        "endTime": None,
        "country": None,
        "subdivision": None,
        "openOn": [],
        "locationId": None,
        "slotsOpened": {
            "added": 0,
            "retired": 0,
            "blocked": 4,
            "unblocked": 0,
            "relocated": 0,
            "stranded": [],
            "note": None,
            "calendarChange": None,
            "asOf": None,
        },
    }
    assert closed == [f"2026-11-23 {time}" for time in ("09:00", "09:30", "10:00", "10:30")]
    assert deleted["slotsOpened"]["unblocked"] == 4
    assert (free(line), line.json("closures", "list")) == (before, [])


def test_closure_tells_the_appointments_and_their_times(line, ids):
    booked = book(line, ids)

    told = line("closures", "add", "Training", "--from", TUESDAY)

    added, counts, heading, columns, row = told.splitlines()
    assert added.startswith("Added closure ")
    assert counts == "0 slots added, 0 retired, 4 blocked, 0 unblocked."
    assert (
        heading
        == "1 appointment not in open slots now, from this change or before; call these patients:"
    )
    assert columns.split() == ["id", "startsAt", "doctor", "patient", "type", "status", "version"]
    assert row.startswith(f"{booked['id']}  Tue 2026-11-24 09:00  Dr Who  Patient 1")


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        (["--from", "2026-11-23T10:00", "--until", "2026-11-24T09:30"], (2, 1)),
        (["--from", "2026-11-23", "--until", "2026-11-24T24:00"], (4, 4)),
        (["--from", "2026-11-23T10:15"], (2, 0)),
        (["--from", "2026-11-23", "--until", "2026-11-24", "--open-on", "2026-11-23"], (0, 4)),
    ],
)
def test_closure_begins_and_ends_at_the_times_that_are_typed(line, ids, arguments, closed):
    line("closures", "add", "Training", *arguments)

    found = free(line, "--to", TUESDAY)
    left = tuple(4 - sum(day in slot for slot in found) for day in ("-23 ", "-24 "))
    assert left == closed


def test_yearly_closure_and_public_holidays_close_days_ahead(line, ids):
    line("slots", "open", "--until", "2027-11-30")
    yearly = close(line, "--from", TUESDAY, "--until", "2026-11-30", "--yearly")
    holidays = line.json(
        "closures", "add", "Bank holidays", "--country", "gb", "--subdivision", "eng"
    )

    days = {slot[:10] for slot in free(line, "--from", "2026-11-23", "--to", "2027-01-05")}
    assert {"2026-11-23", "2026-12-29"} <= days
    # 2026-12-28 is the Monday after a Boxing Day on a Saturday.
    assert not days & {TUESDAY, "2026-11-30", "2026-12-28"}
    assert (yearly["kind"], holidays["kind"]) == ("yearly", "holidays")
    # A Tuesday and a Monday of each year.
    assert yearly["slotsOpened"]["blocked"] == 16
    assert (holidays["country"], holidays["subdivision"]) == ("GB", "ENG")


def test_closures_are_listed_as_they_are_typed(line, ids):
    line("closures", "add", "A", "--from", "2026-11-24T12:00", "--until", "2026-11-26T08:00")
    line(
        "closures", "add", "B", "--country", "DE", "--subdivision", "BE", "--open-on", "2026-12-25"
    )

    head, first, second = line("closures", "list").splitlines()

    assert head.split() == ["id", "name", "kind", "from", "until", "holidays", "openOn"]
    assert first.split()[1:] == ["A", "once", "2026-11-24T12:00", "2026-11-26T08:00", "-", "-"]
    assert second.split()[1:] == ["B", "holidays", "-", "-", "DE-BE", "2026-12-25"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--country", "ZZ"], "unknown_holiday_calendar"),
        (["--country", "DE", "--subdivision", "XX"], "unknown_holiday_calendar"),
        (["--from", "2026-11-25", "--until", TUESDAY], "end_before_start"),
        (["--from", "2026-11-25T12:00", "--until", "2026-11-25T12:00"], "end_before_start"),
        (["--from", TUESDAY, "--until", "2029-02-01"], "range_too_long"),
        (["--from", "2026-11-22"], "time_in_past"),
        (["--from", TUESDAY, "--subdivision", "BE"], "invalid_input"),
        (["--from", "tomorrow"], "invalid_input"),
        (["--from", "2026-11-24T"], "invalid_input"),
        (["--from", "2026-11-24T24:00"], "invalid_input"),
        (["--from", "20261124"], "invalid_input"),
        (["--from", TUESDAY, "--country", "DE"], "invalid_input"),
        (["--country", "DE", "--until", TUESDAY], "invalid_input"),
        (["--country", "DE", "--yearly"], "invalid_input"),
        ([], "invalid_input"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("preview", [[], ["--preview"]], ids=["", "preview"])
def test_closure_that_is_not_one_is_refused(line, ids, arguments, code, preview):
    status, complaint = line.refused("closures", "add", "Training", *arguments, *preview)

    assert status == 1
    assert complaint.endswith(f"({code})\n")
    assert line.json("closures", "list") == []


def test_same_closure_twice_is_refused(line, ids):
    close(line, "--from", TUESDAY)

    _, complaint = line.refused("closures", "add", "Other", "--from", TUESDAY)

    assert complaint == "clinic: The clinic is already closed then. (already_entered)\n"


# --- leave, blocks and added places


def test_leave_blocks_slots_and_has_its_reason(line, ids):
    made = line.json(
        "leave", "add", ids["doctor"], "--from", f"{TUESDAY}T10:00", "--reason", "Conference"
    )
    closed = free(line, "--from", TUESDAY, "--to", TUESDAY)
    table = line("leave", "list", "--doctor", ids["doctor"])
    deleted = line("leave", "delete", made["id"])

    assert (made["doctorId"], made["startTime"], made["reason"]) == (
        ids["doctor"],
        "10:00",
        "Conference",
    )
    assert closed == [f"{TUESDAY} 09:00", f"{TUESDAY} 09:30"]
    assert table.splitlines()[1].split()[2:] == ["2026-11-24T10:00", TUESDAY, "Conference"]
    assert deleted.splitlines() == [
        f"Deleted leave {made['id']}.",
        "0 slots added, 0 retired, 0 blocked, 2 unblocked.",
    ]
    assert line.json("leave", "list") == []


def test_block_blocks_what_it_overlaps(line, ids):
    booked = book(line, ids, place=1)
    made = line.json(
        "blocks",
        *("add", ids["doctor"], "--from", f"{TUESDAY}T09:45", "--to", f"{TUESDAY}T10:15"),
        *("--reason", "Call"),
    )

    assert free(line, "--from", TUESDAY, "--to", TUESDAY) == [
        f"{TUESDAY} 09:00",
        f"{TUESDAY} 10:30",
    ]
    assert made["slotsOpened"]["blocked"] == 2
    assert [one["id"] for one in made["slotsOpened"]["stranded"]] == [booked["id"]]
    listed = line.json("blocks", "list")
    assert listed == [{name: value for name, value in made.items() if name != "slotsOpened"}]
    assert listed[0]["reason"] == "Call"
    assert line.json("blocks", "list", "--from", f"{TUESDAY}T10:15") == []
    assert line.json("blocks", "list", "--to", f"{TUESDAY}T09:45") == []
    # The appointment stays, so that only one slot is free again.
    assert line.json("blocks", "delete", made["id"])["slotsOpened"]["unblocked"] == 2
    assert len(free(line, "--from", TUESDAY, "--to", TUESDAY)) == 3


def test_group_has_places_of_which_one_lane_can_be_blocked(line, ids):
    hours = ("14:00", "14:30", "--on", TUESDAY, "--capacity", "3")
    made = line.json("hours", "add", ids["doctor"], *hours)
    times = ("--from", f"{TUESDAY}T14:00", "--to", f"{TUESDAY}T14:30")

    blocked = line.json("blocks", "add", ids["doctor"], *times, "--lane", "2")

    assert (made["capacity"], made["slotsOpened"]["added"]) == (3, 3)
    assert (blocked["lane"], blocked["slotsOpened"]["blocked"]) == (2, 1)
    [listed] = line.json("slots", "list", *times)
    assert (listed["places"], listed["lane"]) == (2, None)
    every = line.json("slots", "list", *times, "--all")
    assert sorted((slot["lane"], slot["state"]) for slot in every) == [
        (1, "OPEN"),
        (2, "BLOCKED"),
        (3, "OPEN"),
    ]


def test_added_place_is_one_more_slot_until_it_is_deleted(line, ids):
    made = line.json("places", "add", ids["doctor"], *EVENING, "--reason", "Dressing")
    booked = book(line, ids, place=4)
    listed = line.json("places", "list", "--doctor", ids["doctor"])
    table = line("places", "list")
    deleted = line("places", "delete", made["id"])

    assert made == {
        "id": made["id"],
        "doctorId": ids["doctor"],
        "from": "2026-11-24 18:00:00+00:00",
        "to": "2026-11-24 18:20:00+00:00",
        "lane": 1,
        "locationId": None,
        "reason": "Dressing",
        "slotsOpened": {
            "added": 1,
            "retired": 0,
            "blocked": 0,
            "unblocked": 0,
            "relocated": 0,
            "stranded": [],
            "note": None,
            "calendarChange": None,
            "asOf": None,
        },
    }
    assert booked["startsAt"] == made["from"]
    assert listed == [{name: value for name, value in made.items() if name != "slotsOpened"}]
    assert [made["id"] in row for row in table.splitlines()] == [False, True]
    assert deleted.startswith(
        f"Deleted place {made['id']}.\n0 slots added, 1 retired, 0 blocked, 0 unblocked.\n"
        "1 appointment not in open slots now, from this change or before; call these patients:\n"
    )
    assert booked["id"] in deleted
    assert line.json("places", "list") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["closures", "add", "Training", "--from", "DAY", "END", "DAY"],
        ["leave", "add", "DOCTOR", "--from", "DAY", "END", "DAY"],
        ["blocks", "add", "DOCTOR", "--from", "DAY", "END", "DAY"],
        ["slots", "block", "DOCTOR", "--from", "DAY", "END", "DAY"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_end_may_be_typed_either_way(line, ids, arguments):
    def free_after(end):
        places = {"DOCTOR": ids["doctor"], "DAY": TUESDAY, "END": end}
        line(*(places.get(word, word) for word in arguments))
        left = free(line, "--from", TUESDAY, end, TUESDAY)
        for group in ("closures", "leave", "blocks"):
            for one in line.json(group, "list"):
                line(group, "delete", one["id"])
        return left

    assert len(free(line, "--from", TUESDAY, "--until", TUESDAY)) == 4
    assert (free_after("--until"), free_after("--to")) == ([], [])


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["leave", "add", "DOCTOR"], "clinic leave add --help"),
        (["leave", "list", "--nonsense"], "clinic leave list --help"),
        (["leave", "nonsense"], "clinic leave --help"),
        (["serve", "--nonsense"], "clinic serve --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misused_command_names_its_own_help(line, ids, words, command):
    status, complaint = line.refused(*(ids["doctor"] if w == "DOCTOR" else w for w in words))

    assert status == 2
    assert complaint.endswith(f" Try: {command}\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["leave", "add", NOBODY, "--from", TUESDAY], "doctor_not_found"),
        (["leave", "add", "DOCTOR", "--from", "2026-11-22"], "time_in_past"),
        (["leave", "add", "DOCTOR", "--from", TUESDAY, "--until", "2029-12-24"], "range_too_long"),
        (
            ["leave", "add", "DOCTOR", "--from", TUESDAY, "--until", "2026-11-23"],
            "end_before_start",
        ),
        (["leave", "delete", NOBODY], "leave_not_found"),
        (["blocks", "add", NOBODY, "--from", TUESDAY, "--to", TUESDAY], "doctor_not_found"),
        (["blocks", "add", "DOCTOR", "--from", "2026-11-20", "--to", "2026-11-22"], "time_in_past"),
        (["blocks", "add", "DOCTOR", "--from", TUESDAY, "--to", "2026-11-22"], "end_before_start"),
        (["blocks", "delete", NOBODY], "block_not_found"),
        (["places", "add", NOBODY, *EVENING], "doctor_not_found"),
        (["places", "add", "DOCTOR", "--from", TUESDAY, "--to", TUESDAY], "invalid_input"),
        (["places", "add", "DOCTOR", *_span("18:00", "17:40")], "end_before_start"),
        (["places", "add", "DOCTOR", *_span("10:40", "11:10")], "slot_overlap"),
        (["places", "add", "DOCTOR", *_span("07:40", "08:10", "2026-11-23")], "time_in_past"),
        (["places", "delete", NOBODY], "added_place_not_found"),
        (["closures", "delete", NOBODY], "closure_not_found"),
        (["changes", "show", NOBODY], "calendar_change_not_found"),
        (["hours", "add", "DOCTOR", "22:00", "06:00", "--on", TUESDAY], "end_before_start"),
        (["doctor", "last-day", NOBODY, TUESDAY], "doctor_not_found"),
        (["doctor", "last-day", "DOCTOR"], "invalid_input"),
        (["doctor", "last-day", "DOCTOR", TUESDAY, "--clear"], "invalid_input"),
    ],
    ids=" ".join,
)
def test_change_that_is_none_is_refused(line, ids, arguments, code):
    words = [ids["doctor"] if word == "DOCTOR" else word for word in arguments]

    status, complaint = line.refused(*words)

    assert status == 1
    assert complaint.endswith(f"({code})\n")


def test_leave_of_a_doctor_of_another_clinic_is_refused(line, ids):
    other = line.json("clinic", "create", "Second", "Europe/London")["id"]

    for preview in ([], ["--preview"]):
        arguments = ("leave", "add", ids["doctor"], "--from", TUESDAY, "--clinic", other, *preview)
        assert line.refused(*arguments)[1].endswith("(doctor_not_found)\n")


@pytest.mark.parametrize("preview", [[], ["--preview"]], ids=["", "preview"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["closures", "add", "Training", "--from", TUESDAY],
        ["closures", "delete", NOBODY],
        ["leave", "add", "DOCTOR", "--from", TUESDAY],
        ["leave", "delete", NOBODY],
        ["blocks", "add", "DOCTOR", "--from", TUESDAY, "--to", TUESDAY],
        ["blocks", "delete", NOBODY],
        ["places", "add", "DOCTOR", *EVENING],
        ["places", "delete", NOBODY],
        ["hours", "add", "DOCTOR", "12:00", "13:00", "--on", TUESDAY],
        ["doctor", "last-day", "DOCTOR", TUESDAY],
        ["slots", "block", "DOCTOR", *EVENING],
        ["slots", "unblock", "DOCTOR", *EVENING],
        ["user", "disable", "DOCTOR"],
        ["user", "enable", "DOCTOR"],
        ["user", "end-membership", "DOCTOR"],
    ],
    ids=" ".join,
)
def test_patients_may_not_change_or_preview(line, ids, arguments, preview):
    words = [ids["doctor"] if word == "DOCTOR" else word for word in arguments]

    assert line.refused(*words, *preview, "--as", ids["one"]) == (
        1,
        "clinic: Your role may not do this. (permission_denied)\n",
    )


# --- previews


@pytest.mark.parametrize(
    "arguments",
    [
        ["closures", "add", "Training", "--from", TUESDAY],
        ["leave", "add", "DOCTOR", "--from", TUESDAY],
        ["blocks", "add", "DOCTOR", "--from", TUESDAY, "--to", TUESDAY],
        ["places", "add", "DOCTOR", *EVENING],
        ["hours", "delete", "HOURS"],
        ["hours", "add", "DOCTOR", "12:00", "13:00", "--on", TUESDAY],
        ["doctor", "last-day", "DOCTOR", "2026-11-23"],
    ],
    ids=" ".join,
)
def test_preview_says_what_follows_and_changes_nothing(line, ids, arguments):
    booked = book(line, ids)
    [hours] = line.json("hours", "list")
    places = {"DOCTOR": ids["doctor"], "HOURS": hours["id"]}
    words = [places.get(word, word) for word in arguments]
    before = [line.json(group, "list") for group in ENTERED]
    slots = line.json("slots", "list", "--all", "--limit", "200")

    told = line(*words, "--preview")
    foreseen = line.json(*words, "--preview")["slotsOpened"]
    after = [line.json(group, "list") for group in ENTERED]
    unchanged = line.json("slots", "list", "--all", "--limit", "200")
    done = line.json(*words)["slotsOpened"]

    assert told.startswith("This is a preview of ")
    assert "Nothing is changed." in told
    assert (after, unchanged) == (before, slots)
    assert foreseen["asOf"].startswith("2026-11-23 08:00:00")
    assert foreseen | {"asOf": None} == done
    if done["stranded"]:
        assert "1 appointment not in open slots then, from this change or before:\n" in told
        assert booked["id"] in told
    assert bool(done["stranded"]) is ("12:00" not in words and words[0] != "places")


def _counts(told):
    """Return how many slots are added, retired, blocked and unblocked."""
    [line] = [line for line in told.splitlines() if " retire" in line]
    return re.findall(r"\d+", line)


@pytest.mark.parametrize(
    "arguments", [["disable"], ["end-membership"], ["enable"]], ids=lambda words: words[0]
)
def test_preview_of_a_doctor_who_leaves_or_returns_changes_nothing(line, ids, arguments):
    """Given a doctor with eight slots a week, one of which is booked
    When they would be disabled, or their membership would end, or they would be enabled again
    Then the preview has the numbers of the change, and needs no decision about appointments."""
    booked = book(line, ids)
    keep = ["--keep-appointments"] if arguments != ["enable"] else []
    if not keep:
        line("user", "disable", ids["doctor"], "--keep-appointments")
    words = ["user", *arguments, ids["doctor"]]
    people = line.json("user", "list")
    slots = line.json("slots", "list", "--all", "--limit", "200")

    told = line(*words, "--preview")
    after = line.json("user", "list"), line.json("slots", "list", "--all", "--limit", "200")
    done = line(*words, *keep)

    assert after == (people, slots)
    assert told.count("Nothing is changed.") == 1
    assert _counts(told) == _counts(done) != ["0", "0", "0", "0"]
    for answer, when in ((told, "then"), (done, "now")):
        is_stranded = (
            f"1 appointment not in open slots {when}, from this change or before" in answer
        )
        assert is_stranded == (booked["id"] in answer) == bool(keep)


@pytest.mark.parametrize("command", ["disable", "end-membership"])
@pytest.mark.parametrize("preview", [[], ["--preview"]], ids=["", "preview"])
def test_last_administrator_is_refused_in_a_preview_as_well(line, ids, command, preview):
    one, two = (
        line.json("user", "add", name, f"{name}@example.org", "admin")["id"]
        for name in ("alex", "robin")
    )
    line("user", "disable", one)

    assert line.refused("user", command, two, *preview)[1].endswith("(last_administrator)\n")
    line("user", "enable", one)
    line("user", command, two, *preview)


def test_preview_of_blocking_and_opening_slots_changes_nothing(line, ids):
    booked = book(line, ids)
    words = ids["doctor"], "--from", TUESDAY, "--to", TUESDAY
    before = line.json("slots", "list", "--all", "--limit", "200")

    block = line("slots", "block", *words, "--preview")
    after_block = line.json("slots", "list", "--all", "--limit", "200")
    line("slots", "block", *words)
    blocked = line.json("slots", "list", "--all", "--limit", "200")
    unblock = line("slots", "unblock", *words, "--preview")
    after_unblock = line.json("slots", "list", "--all", "--limit", "200")
    again = line("slots", "unblock", *words)

    assert block.startswith(
        "It would block 4 slots. Nothing is changed.\n"
        "1 appointment in slots that would be blocked:\n"
    )
    assert booked["id"] in block
    assert (after_block, after_unblock) == (before, blocked)
    assert unblock == "It would open 4 slots. Nothing is changed.\n"
    assert again == "4 slots opened.\n"


def test_preview_of_a_time_zone_says_how_many_appointments_lie_ahead(line, ids):
    book(line, ids)

    told = line("clinic", "change", "--time-zone", "Europe/Berlin", "--preview")

    assert "Appointments ahead, which get other times on the clock: 1.\n" in told
    assert "Nothing is changed." in told
    assert line.json("clinic", "list")[0]["timeZone"] == "Europe/London"


@pytest.mark.parametrize("confirm", [[], ["--confirm", "2"]], ids=["", "another number"])
def test_zone_with_appointments_ahead_asks_for_an_option_of_the_command(line, ids, confirm):
    book(line, ids)
    change = ("clinic", "change", "--time-zone", "Europe/Berlin")

    _, complaint = line.refused(*change, *confirm)
    before = line.json("clinic", "list")[0]["timeZone"]
    line(*change, "--confirm", "1")

    assert complaint == (
        "clinic: Appointments ahead, which get other times on the clock: 1. Look at --preview,"
        " then give --confirm 1. (confirmation_needed)\n"
    )
    assert before == "Europe/London"
    assert line.json("clinic", "list")[0]["timeZone"] == "Europe/Berlin"


@pytest.mark.parametrize("command", ["disable", "end-membership"])
def test_doctor_who_leaves_appointments_asks_for_an_option_of_the_command(line, ids, command):
    book(line, ids)

    _, complaint = line.refused("user", command, ids["doctor"])
    line("user", command, ids["doctor"], "--keep-appointments")

    assert complaint == (
        "clinic: Appointments ahead with this doctor: 1. Move or cancel them, or give"
        " --keep-appointments. (confirmation_needed)\n"
    )


def test_subdivision_without_a_country_asks_for_the_option(line, ids):
    _, complaint = line.refused("closures", "add", "X", "--from", TUESDAY, "--subdivision", "BE")

    assert complaint == (
        "clinic: --subdivision is for public holidays; give --country, too. (invalid_input)\n"
    )


# --- hours and last days


def test_hours_until_midnight_and_overnight(line, ids):
    until = line("hours", "add", ids["doctor"], "22:00", "24:00", "--on", "2026-11-25")
    line("hours", "add", ids["doctor"], "22:00", "06:00", "--on", "2026-11-27", "--overnight")

    assert "4 slots added" in until
    assert free(line, "--from", "2026-11-25", "--to", "2026-11-25")[-1] == "2026-11-25 23:30"
    assert free(line, "--from", "2026-11-27", "--to", "2026-11-28")[-1] == "2026-11-28 05:30"
    assert [
        (each["startTime"], each["endTime"], each["overnight"])
        for each in line.json("hours", "list")
    ] == [("09:00", "11:00", False), ("22:00", "24:00", False), ("22:00", "06:00", True)]


def test_last_day_is_set_and_cleared(line, ids):
    before = free(line)
    booked = book(line, ids)

    told = line("doctor", "last-day", ids["doctor"], "2026-11-23")
    listed = line.json("doctor", "list")[0]["lastDay"]
    left = free(line)
    cleared = line("doctor", "last-day", ids["doctor"], "--clear")

    assert told.startswith("The last day of Dr Who is 2026-11-23.\n0 slots added, ")
    assert "1 appointment not in open slots now" in told
    assert booked["id"] in told
    assert listed == "2026-11-23"
    assert {slot[:10] for slot in left} == {"2026-11-23"}
    assert cleared.startswith("Dr Who has no last day.\n")
    assert line.json("doctor", "list")[0]["lastDay"] is None
    assert free(line) == before[:4] + before[5:]


# --- changes of many calendars


@pytest.fixture
def few_at_once(monkeypatch):
    """No change is small enough for one transaction."""
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 0)


def test_large_change_is_carried_out_without_a_worker(line, ids, few_at_once):
    booked = book(line, ids)

    told = line("closures", "add", "Training", "--from", TUESDAY).splitlines()

    assert told[1] == "0 slots added, 0 retired, 4 blocked, 0 unblocked."
    assert (
        told[2]
        == "1 appointment not in open slots now, from this change or before; call these patients:"
    )
    assert told[4].startswith(booked["id"])
    assert free(line, "--from", TUESDAY, "--to", TUESDAY) == []
    [change] = line.json("changes", "list")
    assert (change["action"], change["status"], change["blocked"]) == ("add_closure", "done", 4)
    assert (change["doctors"], change["doctorsDone"]) == (1, 1)


def test_large_change_is_left_to_a_worker(line, ids, few_at_once):
    made = close(line, "--from", TUESDAY, "--no-wait")
    change = made["slotsOpened"]["calendarChange"]
    told = line("closures", "delete", made["id"], "--no-wait")
    pending = line("changes", "show", change["id"])
    line("maintenance", "run", "align-calendars")

    assert change["status"] == "pending"
    assert told.splitlines()[1:] == [
        "0 of 1 calendar done; the others follow, the nearest days first, while clinic worker"
        " runs.",
        f"Look at the progress with: clinic changes show {line.json('changes', 'list')[0]['id']}",
    ]
    assert "status       pending\n" in pending
    assert [each["status"] for each in line.json("changes", "list")] == ["done", "done"]
    assert len(free(line, "--from", TUESDAY, "--to", TUESDAY)) == 4


def test_large_change_leaves_others_to_the_worker(line, ids, few_at_once):
    close(line, "--from", "2026-11-30", "--no-wait")

    close(line, "--from", TUESDAY)

    listed = line.json("changes", "list")
    assert [(each["from"], each["status"]) for each in listed] == [
        (TUESDAY, "done"),
        ("2026-11-30", "pending"),
    ]


def test_large_change_carries_out_the_nearest_days_first(line, ids, few_at_once, monkeypatch):
    for number in range(12):
        doctor = line.json("doctor", "add", f"Dr {number}", f"d{number}@example.org", "Time")
        line("hours", "add", doctor["id"], "09:00", "10:00", "--weekdays", "mon")
    carried_out = []
    carry_on = calendar_changes.carry_on

    async def recorded(context, work):
        carried_out.append(work)
        return await carry_on(context, work)

    monkeypatch.setattr(calendar_changes, "carry_on", recorded)

    close(line, "--from", TUESDAY, "--until", "2027-02-20")

    days = [work.next_day for work in carried_out]
    assert days == sorted(days)
    assert [days.count(day) for day in sorted(set(days))] == [13, 13]
    # Not in order, since a worker takes the first one.
    assert [work.doctor_id for work in carried_out[:13]] != sorted(
        work.doctor_id for work in carried_out[:13]
    )


def test_interrupted_change_says_that_it_is_stored(line, ids, few_at_once, monkeypatch, capsys):
    async def interrupted(context, work):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    monkeypatch.setattr(calendar_changes, "carry_on", interrupted)
    # The tests may run in the background of a shell, which ignores the signal.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = run(["closures", "add", "Training", "--from", TUESDAY])
    finally:
        signal.signal(signal.SIGINT, usual)

    answer = capsys.readouterr()
    [change] = line.json("changes", "list")
    assert (status, answer.out) == (130, "")
    assert answer.err == (
        "clinic: stopped waiting; the change is stored, and the slots follow while clinic worker"
        f" runs: clinic changes show {change['id']}\n"
    )
    assert [each["name"] for each in line.json("closures", "list")] == ["Training"]


def test_change_is_shown_with_its_appointments(line, ids, few_at_once):
    booked = book(line, ids)
    made = close(line, "--from", TUESDAY)

    shown = line.json("changes", "show", made["slotsOpened"]["calendarChange"]["id"])
    table = line("changes", "show", shown["id"])

    assert (shown["entityId"], shown["from"], shown["until"]) == (
        made["id"],
        TUESDAY,
        TUESDAY,
    )
    assert [one["id"] for one in shown["stranded"]] == [booked["id"]]
    assert (
        "1 appointment not in open slots now, from this change or before; call these patients:\n"
        in table
    )
    assert "Tue 2026-11-24 09:00" in table


def test_large_change_shows_its_progress_on_a_terminal(line, ids, few_at_once, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")

    closure = ["closures", "add", "Training", "--from", TUESDAY, "--until", "2026-11-25"]
    status = run(closure)

    answer = capsys.readouterr()
    assert status == 0
    assert "2 of 2 days of 1 doctor, 4 slots" in answer.err
    assert " of 1 doctor" not in answer.out


def test_change_that_cannot_be_finished_says_so(line, ids, few_at_once, capsys):
    async def enter_holidays_of_nowhere():
        async with line.services.store.begin() as unit:
            keys = (line.services.new_id(), UUID(ids["clinic"]))
            await unit.closings.add(Closure(*keys, "Nowhere", ClosureKind.HOLIDAYS, country="ZZ"))
            await unit.commit()

    asyncio.run(enter_holidays_of_nowhere())

    status = run(["closures", "add", "Training", "--from", TUESDAY])

    answer = capsys.readouterr()
    assert status == 1
    assert "0 of 1 calendar done" in answer.out
    assert "clinic: the slots of 1 doctor could not be aligned\n" in answer.err
    assert [one["name"] for one in line.json("closures", "list")][-1] == "Training"

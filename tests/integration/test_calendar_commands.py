"""`clinic closures`, `leave`, `blocks`, `places` and `changes` on PostgreSQL, with no worker."""

import json
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
import pytest

from clinic.entrypoints.cli.app import run_command
from clinic.usecases.calendar import change_calendar

SECRET = "of-these-tests-alone-0123456789abcdef"
#: a Monday, some days ahead of whenever this runs
MONDAY = date.today() + timedelta(days=14 - date.today().weekday())  # noqa: DTZ011
DAY = MONDAY.isoformat()


@dataclass(frozen=True)
class Line:
    """Commands on a clinic with three doctors, each with four slots every Monday."""

    capsys: pytest.CaptureFixture[str]
    owner_url: str

    def __call__(self, *arguments):
        """Return the output of a command, which must succeed."""
        status = run_command(arguments)
        answer = self.capsys.readouterr()
        assert (status, answer.err) == (0, "")
        return answer.out

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments):
        """Return the complaint of a command, which must fail."""
        status = run_command(arguments)
        answer = self.capsys.readouterr()
        assert (status, answer.out) == (1, "")
        return answer.err

    def rows(self, query, *parameters):
        with psycopg.connect(self.owner_url) as connection:
            return connection.execute(query, parameters).fetchall()

    def states(self, doctor=None):
        """Return how many slots of that Monday are in each state."""
        found = self.rows(
            "SELECT state, count(*) FROM slots WHERE starts_at::date = %s"
            " AND (%s::uuid IS NULL OR doctor_id = %s) GROUP BY state",
            MONDAY,
            doctor,
            doctor,
        )
        return dict(found)


@pytest.fixture
def line(postgres_urls, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLINIC_DATABASE_URL", postgres_urls.app_url)
    monkeypatch.setenv("CLINIC_SECRET", SECRET)
    monkeypatch.setenv("CLINIC_FAST_PASSWORDS", "true")
    line = Line(capsys, postgres_urls.owner_url)
    line("clinic", "create", "Harbour", "Europe/London")
    for number in range(3):
        doctor = line.json("doctor", "add", f"Dr {number}", f"d{number}@example.org", "Time")
        line("hours", "add", doctor["id"], "09:00", "11:00", "--weekdays", "mon")
    return line


@pytest.fixture
def doctor(line):
    return line.json("doctor", "list")[0]["id"]


def test_what_is_entered_is_stored_and_the_slots_follow(line, doctor):
    line("leave", "add", doctor, "--from", f"{DAY}T10:00", "--reason", "Conference")
    line("blocks", "add", doctor, "--from", f"{DAY}T09:00", "--to", f"{DAY}T09:10")
    early = ("--from", f"{DAY}T08:00", "--to", f"{DAY}T08:20")
    line("places", "add", doctor, *early, "--reason", "Dressing")
    one = line.states(doctor)
    line("closures", "add", "Training", "--from", DAY, "--until", f"{DAY}T10:00")
    all_of_them = line.states()
    last_day = line.json("doctor", "last-day", doctor, f"{MONDAY - timedelta(days=1)}")

    assert one == {"OPEN": 2, "BLOCKED": 3}
    assert all_of_them == {"OPEN": 4, "BLOCKED": 9}
    assert line.states(doctor) == {"RETIRED": 5}
    assert last_day["lastDay"] == str(MONDAY - timedelta(days=1))
    assert line.rows("SELECT first_day, start_time::text, reason FROM leaves") == [
        (MONDAY, "10:00:00", "Conference")
    ]
    assert line.rows("SELECT doctor_id::text, ends_at - starts_at, reason FROM added_places") == [
        (doctor, timedelta(minutes=20), "Dressing")
    ]
    for group in ("closures", "leave", "blocks", "places"):
        (row,) = line.json(group, "list")
        line(group, "delete", row["id"])
    line("doctor", "last-day", doctor, "--clear")
    assert line.states() == {"OPEN": 12, "RETIRED": 1}


def test_previews_write_nothing(line, doctor):
    patient = line.json("patient", "add", "Ada", "ada@example.org")["id"]
    slot = line.json("slots", "list", "--doctor", doctor, "--from", DAY, "--to", DAY)[0]["id"]
    booked = line.json("appointments", "book", slot, patient)

    for arguments in (
        ["closures", "add", "Training", "--from", DAY],
        ["leave", "add", doctor, "--from", DAY],
        ["blocks", "add", doctor, "--from", DAY, "--to", DAY],
        ["doctor", "last-day", doctor, f"{MONDAY - timedelta(days=1)}"],
    ):
        foreseen = line.json(*arguments, "--preview")["slotsOpened"]
        assert [one["id"] for one in foreseen["stranded"]] == [booked["id"]]
        assert foreseen["asOf"] is not None
    evening = ("--from", f"{DAY}T18:00", "--to", f"{DAY}T18:20")
    foreseen = line.json("places", "add", doctor, *evening, "--preview")["slotsOpened"]
    assert (foreseen["added"], foreseen["stranded"]) == (1, [])

    assert line.states() == {"OPEN": 12}
    for group in ("closures", "leave", "blocks", "places"):
        assert line.json(group, "list") == []


def test_large_change_ends_without_a_worker_and_leaves_others_alone(line, monkeypatch):
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 5)
    later = str(MONDAY + timedelta(days=7))
    waiting = line.json("closures", "add", "Outing", "--from", later, "--no-wait")

    done = line.json("closures", "add", "Training", "--from", DAY)

    work = line.rows("SELECT change_id, count(*) FROM calendar_work GROUP BY change_id")
    assert [(str(change_id), count) for change_id, count in work] == [
        (waiting["slotsOpened"]["calendarChange"]["id"], 3)
    ]
    change = done["slotsOpened"]["calendarChange"]
    assert (change["status"], change["doctorsDone"], change["blocked"]) == ("done", 3, 12)
    assert done["slotsOpened"]["blocked"] == 12
    assert line.states() == {"BLOCKED": 12}
    listed = line.json("changes", "list")
    assert [(each["status"], each["doctorsDone"]) for each in listed] == [
        ("done", 3),
        ("pending", 0),
    ]
    line("maintenance", "run", "align-calendars")
    assert line.json("changes", "show", listed[1]["id"])["status"] == "done"
    aligned = line.rows("SELECT DISTINCT actor_role FROM audit_event WHERE action = 'align_slots'")
    assert aligned == [("SYSTEM",)]


def test_changes_that_are_none_are_refused(line, doctor):
    patient = line.json("patient", "add", "Ada", "ada@example.org")["id"]
    here = line.json("clinic", "list")[0]["id"]
    other = line.json("clinic", "create", "Second", "Europe/London")["id"]
    close, until = ["closures", "add", "X", "--from", DAY], f"{MONDAY + timedelta(days=799)}"
    leave = ["leave", "add", doctor, "--from", DAY]
    hours = ("--from", f"{DAY}T10:50", "--to", f"{DAY}T11:10")

    for arguments, code in (
        (["closures", "add", "X", "--country", "ZZ"], "unknown_holiday_calendar"),
        ([*close, "--until", "2020-01-01"], "end_before_start"),
        ([*close, "--until", until], "range_too_long"),
        ([*close, "--preview", "--as", patient], "permission_denied"),
        ([*leave, "--preview", "--as", patient], "permission_denied"),
        (["blocks", "add", doctor, "--from", "2020-01-01", "--to", "2020-01-02"], "time_in_past"),
        (["places", "add", doctor, *hours], "slot_overlap"),
    ):
        assert line.refused(*arguments, "--clinic", here).endswith(f"({code})\n")
    assert line.refused(*leave, "--clinic", other).endswith("(doctor_not_found)\n")

    assert line.states() == {"OPEN": 12}
    for table in ("closures", "leaves", "blocks", "added_places"):
        assert line.rows(f"SELECT count(*) FROM {table}") == [(0,)]

"""Parsing typed times."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.time_parsing import parse_instant, parse_wall_time, parse_weekdays

ZONE = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-11-23", False, datetime(2026, 11, 22, 23, tzinfo=UTC)),
        ("2026-11-23", True, datetime(2026, 11, 23, 23, tzinfo=UTC)),
        ("2026-11-23T09:00", False, datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T09:00", True, datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23T09:00+00:00", False, datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("2026-11-23T09:00:00Z", False, datetime(2026, 11, 23, 9, tzinfo=UTC)),
    ],
)
def test_instant_is_on_the_clinics_clock(text, end, expected):
    assert parse_instant(text, ZONE, "--from", end=end) == expected


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "23.11.2026", "9999-12-31"])
def test_instant_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="--from: write 2026-11-23"):
        parse_instant(text, ZONE, "--from", end=True)


def test_instant_not_given_is_none():
    assert parse_instant(None, ZONE, "--from") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("mon", (1,)), ("mon,wed", (1, 3)), ("mon-fri", (1, 2, 3, 4, 5)), ("Sat - sun", (6, 7))],
)
def test_weekdays(text, expected):
    assert parse_weekdays(text.replace(" ", "")) == expected


@pytest.mark.parametrize("text", ["", "monday", "fri-mon", "mon,fri-tue", "mon-", "-"])
def test_weekdays_that_are_none_are_refused(text):
    with pytest.raises(InvalidInput, match="--weekdays"):
        parse_weekdays(text)


def test_wall_time():
    assert parse_wall_time("09:30", "start") == time(9, 30)


@pytest.mark.parametrize("text", ["", "9", "24:00", "09:60", "nine"])
def test_wall_time_that_is_none_is_refused(text):
    with pytest.raises(InvalidInput, match="start: write a time"):
        parse_wall_time(text, "start")

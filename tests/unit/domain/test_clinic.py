"""A clinic's zone, names and policy."""

from datetime import UTC, date, datetime, timedelta, timezone
from importlib.resources import files
from uuid import uuid4
from zoneinfo import TZPATH, available_timezones, reset_tzpath

import pytest

from clinic.domain.clinic import (
    Clinic,
    Policy,
    checked_date,
    checked_instant,
    checked_name,
    checked_zone,
    iana_zones,
    zone_named,
)
from clinic.domain.errors import (
    BeyondHorizon,
    DatetimeOutOfRange,
    InsideCancelNotice,
    InsideNotice,
    InvalidInput,
    NaiveDatetime,
    SlotInPast,
    UnknownTimeZone,
)

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "",
        "../etc/passwd",
        "Europe/London\x00",
        "UTC+1",
        "posixrules",
        "localtime",
        "Factory",
        "posix/Europe/London",
        "right/Europe/London",
        "europe/london",
        "EUROPE/LONDON",
        "Europe/London ",
        "Europe",
        "zone.tab",
        "x" * 10_000,
    ],
)
def test_zone_that_is_none_of_the_iana_database_is_refused(zone: str) -> None:
    with pytest.raises(UnknownTimeZone) as refused:
        checked_zone(zone)

    assert refused.value.pointer == "/timeZone"
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("europe/london", "Europe/London"),
        ("America/New York", "America/New_York"),
        ("Europe/Kiyv", "Europe/Kyiv"),
        ("Mars/Olympus", None),
    ],
)
def test_the_zone_that_may_be_meant_is_suggested(zone: str, meant: str | None) -> None:
    with pytest.raises(UnknownTimeZone) as refused:
        checked_zone(zone)

    hint = f"; did you mean {meant}?" if meant else "; write one such as Europe/London."
    assert refused.value.message.endswith(hint)


def test_a_zone_that_only_this_machine_has_is_refused(tmp_path, monkeypatch) -> None:
    ours = tmp_path / "Europe" / "Here"
    ours.parent.mkdir()
    ours.write_bytes(files("tzdata").joinpath("zoneinfo", "UTC").read_bytes())
    before = TZPATH
    reset_tzpath([str(tmp_path)])
    try:
        assert "Europe/Here" in available_timezones()
        with pytest.raises(UnknownTimeZone):
            checked_zone("Europe/Here")
    finally:
        reset_tzpath(before)


def test_every_zone_of_the_iana_database_may_be_chosen_and_read() -> None:
    zones = iana_zones()

    assert {"Europe/London", "UTC", "US/Eastern", "Etc/GMT+5", "Asia/Kathmandu"} <= zones
    assert len(zones) > 590
    assert all(zone_named(checked_zone(name)).key == name for name in zones)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\x00b", "a\u202eb"])
def test_name_that_is_odd_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        checked_name(name)


def test_local_date_is_the_clinics_own_day() -> None:
    nepal = Clinic(uuid4(), "Riverside", "Asia/Kathmandu")

    assert nepal.local_date(datetime(2026, 11, 23, 18, 15, tzinfo=UTC)) == date(2026, 11, 24)
    assert nepal.local_date(datetime(2026, 11, 23, 18, 14, tzinfo=UTC)) == date(2026, 11, 23)


def test_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(NaiveDatetime) as refused:
        checked_instant(datetime(2026, 11, 23, 8), "/from")  # noqa: DTZ001

    assert refused.value.pointer == "/from"


@pytest.mark.parametrize("year", [1999, 2200])
def test_instant_and_date_too_far_off_are_refused(year: int) -> None:
    with pytest.raises(DatetimeOutOfRange):
        checked_instant(datetime(year, 6, 1, tzinfo=UTC), "/from")
    with pytest.raises(DatetimeOutOfRange):
        checked_date(date(year, 6, 1), "/date")


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2199, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
        datetime(2000, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_instant_of_another_year_in_utc_is_refused_as_it_would_be_when_read(
    instant: datetime,
) -> None:
    with pytest.raises(DatetimeOutOfRange):
        checked_instant(instant, "/from")


def test_instant_with_any_offset_is_kept() -> None:
    instant = datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=5, minutes=45)))

    assert checked_instant(instant, "/from") is instant


@pytest.mark.parametrize(
    "bounds",
    [
        {"notice_min": -1},
        {"notice_min": 366 * 24 * 60 + 1},
        {"horizon_days": 0},
        {"horizon_days": 731},
        {"cancel_notice_min": -1},
        {"hold_min": 0},
        {"hold_min": 1441},
        {"reminder_leads_min": (0,)},
        {"reminder_leads_min": (60, 60)},
        {"reminder_leads_min": (1, 2, 3, 4, 5, 6)},
    ],
)
def test_policy_out_of_bounds_is_refused(bounds) -> None:
    with pytest.raises(InvalidInput):
        Policy(**bounds)


@pytest.mark.parametrize(
    ("starts_at", "error"),
    [
        (NOW - MINUTE, SlotInPast),
        (NOW, SlotInPast),
        (NOW + MINUTE, InsideNotice),
        (NOW + 59 * MINUTE, InsideNotice),
        (NOW + 60 * MINUTE, None),
        (NOW + timedelta(days=10), None),
        (NOW + timedelta(days=10) + MINUTE, BeyondHorizon),
    ],
)
def test_check_bookable(starts_at: datetime, error) -> None:
    policy = Policy(notice_min=60, horizon_days=10)

    if error is None:
        policy.check_bookable(starts_at, NOW)
    else:
        with pytest.raises(error):
            policy.check_bookable(starts_at, NOW)


def test_check_bookable_with_override_waives_all_but_the_past() -> None:
    policy = Policy(notice_min=60, horizon_days=10)

    policy.check_bookable(NOW + MINUTE, NOW, override=True)
    policy.check_bookable(NOW + timedelta(days=400), NOW, override=True)
    with pytest.raises(SlotInPast):
        policy.check_bookable(NOW, NOW, override=True)


def test_check_bookable_names_the_bound_that_was_crossed() -> None:
    with pytest.raises(InsideNotice) as soon:
        Policy(notice_min=60).check_bookable(NOW + MINUTE, NOW)
    with pytest.raises(BeyondHorizon) as far:
        Policy(horizon_days=10).check_bookable(NOW + timedelta(days=11), NOW)

    assert (soon.value.facts, far.value.facts) == ({"noticeMin": 60}, {"horizonDays": 10})


def test_check_own_change_counts_to_the_minute() -> None:
    policy = Policy(cancel_notice_min=120)
    start = NOW + timedelta(hours=2)

    policy.check_own_change(start, NOW, NOW)
    with pytest.raises(InsideCancelNotice) as refused:
        policy.check_own_change(start, NOW, NOW + MINUTE)

    assert refused.value.facts == {"cancelNoticeMin": 120}


def test_check_own_change_waives_the_notice_for_a_grace_and_never_after_the_start() -> None:
    policy = Policy(cancel_notice_min=120, cancel_grace_min=30)
    start = NOW + timedelta(hours=1)
    almost = timedelta(seconds=1)

    policy.check_own_change(start, NOW, NOW + 30 * MINUTE - almost)
    policy.check_own_change(NOW + 10 * MINUTE, NOW, NOW + 10 * MINUTE - almost)
    with pytest.raises(InsideCancelNotice):
        policy.check_own_change(start, NOW, NOW + 30 * MINUTE)
    with pytest.raises(InsideCancelNotice):
        policy.check_own_change(NOW + 10 * MINUTE, NOW, NOW + 10 * MINUTE)

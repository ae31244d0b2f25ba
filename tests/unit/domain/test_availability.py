"""Wall-clock hours divide into slots, also on days on which the clocks change."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.calendar.availability import (
    RANGE_MAX_DAYS,
    Availability,
    AvailabilityException,
    ExceptionKind,
    Interval,
    check_exception,
    check_overlap,
    day_interval,
    instant_of,
    plan_day,
    plan_range,
)
from clinic.domain.clinic import zone_named
from clinic.domain.errors import (
    AvailabilityOverlap,
    AvailabilityRemainder,
    DatetimeOutOfRange,
    EndBeforeStart,
    InvalidInput,
)
from clinic.testing.strategies import (
    CLOCK_CHANGES,
    Window,
    days_near_a_clock_change,
    weekly_hours,
    windows,
    zone_names,
)

CLINIC, DOCTOR = uuid4(), uuid4()
MONDAY = date(2026, 11, 23)
LONDON = zone_named("Europe/London")
NEW_YORK = zone_named("America/New_York")
LORD_HOWE = zone_named("Australia/Lord_Howe")
KATHMANDU = zone_named("Asia/Kathmandu")


def hours(start: str, end: str, slot_min: int = 30, **changes) -> Availability:
    return Availability(
        changes.pop("id", uuid4()),
        CLINIC,
        changes.pop("doctor_id", DOCTOR),
        time.fromisoformat(start),
        time.fromisoformat(end),
        slot_min,
        **({"weekdays": (1,)} | changes),
    )


def every_day(start: str, end: str, slot_min: int = 30) -> Availability:
    return hours(start, end, slot_min, weekdays=(1, 2, 3, 4, 5, 6, 7))


def exception(kind: ExceptionKind, *times: str, slot_min: int | None = None, day: date = MONDAY):
    start, end = (time.fromisoformat(text) for text in times) if times else (None, None)
    return AvailabilityException(uuid4(), CLINIC, DOCTOR, day, kind, start, end, slot_min)


def starts(planned: list[Interval], zone=UTC) -> list[str]:
    return [f"{slot.starts_at.astimezone(zone):%H:%M}" for slot in planned]


# --- dividing ---


def test_plan_day_divides_into_back_to_back_slots() -> None:
    planned = plan_day(MONDAY, [hours("09:00", "11:00")], [], LONDON)

    nine = datetime(2026, 11, 23, 9, tzinfo=UTC)
    half = timedelta(minutes=30)
    assert planned == [Interval(nine + half * n, nine + half * (n + 1)) for n in range(4)]


def test_plan_day_outside_the_weekdays_is_empty() -> None:
    assert plan_day(MONDAY + timedelta(days=1), [hours("09:00", "11:00")], [], LONDON) == []


def test_plan_day_of_dated_hours_holds_on_that_date_only() -> None:
    dated = hours("09:00", "10:00", weekdays=(), on_date=MONDAY)

    planned = [plan_day(MONDAY + timedelta(days=n), [dated], [], LONDON) for n in (-7, 0, 7)]

    assert [len(day) for day in planned] == [0, 2, 0]


def test_holds_on_includes_both_ends_of_the_validity() -> None:
    term = hours(
        "09:00", "10:00", weekdays=(1, 2), valid_from=MONDAY, valid_until=MONDAY + timedelta(days=7)
    )

    held = [n for n in range(-7, 15) if term.holds_on(MONDAY + timedelta(days=n))]

    assert held == [0, 1, 7]


def test_plan_day_drops_what_overlaps_an_earlier_slot() -> None:
    planned = plan_day(MONDAY, [hours("09:00", "10:00"), hours("09:15", "10:45")], [], LONDON)

    assert starts(planned) == ["09:00", "09:30", "10:15"]


def test_plan_day_with_a_day_off_is_empty() -> None:
    off = exception(ExceptionKind.REMOVE)

    assert plan_day(MONDAY, [hours("09:00", "11:00")], [off], LONDON) == []


def test_plan_day_removes_every_slot_that_meets_the_exception() -> None:
    removed = exception(ExceptionKind.REMOVE, "09:45", "10:00")

    planned = plan_day(MONDAY, [hours("09:00", "11:00")], [removed], LONDON)

    assert starts(planned) == ["09:00", "10:00", "10:30"]


def test_plan_day_adds_hours_with_their_own_length() -> None:
    added = exception(ExceptionKind.ADD, "18:00", "18:40", slot_min=20)

    planned = plan_day(MONDAY, [hours("09:00", "09:30")], [added], LONDON)

    assert starts(planned) == ["09:00", "18:00", "18:20"]


def test_plan_day_passes_over_exceptions_of_other_days() -> None:
    off = exception(ExceptionKind.REMOVE, day=MONDAY + timedelta(days=1))

    assert len(plan_day(MONDAY, [hours("09:00", "11:00")], [off], LONDON)) == 4


def test_plan_range_covers_first_and_last_day() -> None:
    planned = plan_range(MONDAY, MONDAY + timedelta(days=14), [hours("09:00", "09:30")], [], LONDON)

    days = [slot.starts_at.date() for slot in planned]
    assert days == [MONDAY + timedelta(days=n) for n in (0, 7, 14)]


def test_plan_range_that_ends_before_it_begins_is_empty() -> None:
    assert (
        plan_range(MONDAY, MONDAY - timedelta(days=1), [every_day("09:00", "10:00")], [], LONDON)
        == []
    )


def test_plan_range_has_a_bound() -> None:
    assert plan_range(MONDAY, MONDAY + timedelta(days=RANGE_MAX_DAYS - 1), [], [], LONDON) == []

    with pytest.raises(InvalidInput, match=f"at most {RANGE_MAX_DAYS} days"):
        plan_range(MONDAY, MONDAY + timedelta(days=RANGE_MAX_DAYS), [], [], LONDON)


# --- the clocks change ---


@pytest.mark.parametrize(
    ("zone", "day", "wall", "instant"),
    [
        # Inside the gap: the offset before it.
        (LONDON, date(2026, 3, 29), time(1, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (NEW_YORK, date(2026, 3, 8), time(2, 30), datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        (LORD_HOWE, date(2026, 10, 4), time(2, 15), datetime(2026, 10, 3, 15, 45, tzinfo=UTC)),
        # Occurs twice: the first occurrence.
        (LONDON, date(2026, 10, 25), time(1, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (NEW_YORK, date(2026, 11, 1), time(1, 30), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        (LORD_HOWE, date(2026, 4, 5), time(1, 45), datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),
        # A quarter of an hour off.
        (KATHMANDU, date(2026, 3, 29), time(9, 0), datetime(2026, 3, 29, 3, 15, tzinfo=UTC)),
    ],
)
def test_instant_of_a_wall_time(zone, day: date, wall: time, instant: datetime) -> None:
    assert instant_of(day, wall, zone) == instant
    assert instant_of(day, wall.replace(fold=1), zone) == instant


@pytest.mark.parametrize(
    ("zone", "day", "real_min"),
    [
        (LONDON, date(2026, 3, 28), 24 * 60),
        (LONDON, date(2026, 3, 29), 23 * 60),
        (LONDON, date(2026, 10, 25), 25 * 60),
        (LORD_HOWE, date(2026, 4, 5), 24 * 60 + 30),
        (LORD_HOWE, date(2026, 10, 4), 24 * 60 - 30),
    ],
)
def test_day_interval_is_as_long_as_the_day_really_is(zone, day: date, real_min: int) -> None:
    whole = day_interval(day, zone)

    assert whole.ends_at - whole.starts_at == timedelta(minutes=real_min)


@pytest.mark.parametrize(
    ("zone", "day", "window", "expected_utc"),
    [
        # 00:30 to 03:00 on the clock is an hour and a half: 00:30, 01:00 and 01:30.
        (LONDON, date(2026, 3, 29), ("00:30", "03:00"), ["00:30", "01:00", "01:30"]),
        # 00:30 to 02:30 is three hours: 01:30 occurs twice.
        (
            LONDON,
            date(2026, 10, 25),
            ("00:30", "02:30"),
            ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"],
        ),
        # A window inside the gap has no length left.
        (LONDON, date(2026, 3, 29), ("01:30", "02:30"), []),
        (NEW_YORK, date(2026, 3, 8), ("01:30", "03:30"), ["06:30", "07:00"]),
        (NEW_YORK, date(2026, 11, 1), ("01:00", "02:00"), ["05:00", "05:30", "06:00", "06:30"]),
        (LORD_HOWE, date(2026, 10, 4), ("01:30", "03:00"), ["15:00", "15:30"]),
        (LORD_HOWE, date(2026, 4, 5), ("01:30", "02:30"), ["14:30", "15:00", "15:30"]),
        (KATHMANDU, date(2026, 3, 29), ("09:00", "10:00"), ["03:15", "03:45"]),
    ],
)
def test_plan_day_where_the_clocks_change(zone, day, window, expected_utc: list[str]) -> None:
    assert starts(plan_day(day, [every_day(*window)], [], zone)) == expected_utc


@given(data=st.data(), zone_name=zone_names(), window=windows())
def test_plan_day_near_a_clock_change_keeps_to_real_minutes(
    data: st.DataObject, zone_name: str, window: Window
) -> None:
    zone = zone_named(zone_name)
    day = data.draw(days_near_a_clock_change(zone_name))
    template = every_day(f"{window.start}", f"{window.end}", window.slot_min)

    planned = plan_day(day, [template], [], zone)

    step = timedelta(minutes=window.slot_min)
    first, end = (instant_of(day, wall, zone) for wall in (window.start, window.end))
    assert [slot.ends_at - slot.starts_at for slot in planned] == [step] * len(planned)
    assert [two.starts_at - one.ends_at for one, two in pairwise(planned)] == (
        [timedelta()] * (len(planned) - 1 if planned else 0)
    )
    assert len(planned) == max(end - first, timedelta()) // step
    assert all(first <= slot.starts_at and slot.ends_at <= end for slot in planned)
    if planned:
        assert planned[0].starts_at == first


@given(data=st.data(), zone_name=zone_names(), window=windows())
def test_plan_day_away_from_clock_changes_has_every_slot_of_the_wall(
    data: st.DataObject, zone_name: str, window: Window
) -> None:
    day = data.draw(st.dates(date(2026, 1, 1), date(2026, 12, 31)))
    changes = CLOCK_CHANGES[zone_name]
    template = every_day(f"{window.start}", f"{window.end}", window.slot_min)

    planned = plan_day(day, [template], [], zone_named(zone_name))

    if day not in changes:
        minutes = (window.end.hour - window.start.hour) * 60 + window.end.minute
        number = (minutes - window.start.minute) // window.slot_min
        walls = [slot.starts_at.astimezone(zone_named(zone_name)) for slot in planned]
        assert len(planned) == number
        assert walls[0].replace(tzinfo=None) == datetime.combine(day, window.start)


@given(
    data=st.data(),
    zone_name=zone_names(),
    templates=st.lists(weekly_hours(CLINIC, DOCTOR), max_size=4),
)
def test_plan_range_across_a_clock_change_never_overlaps(
    data: st.DataObject, zone_name: str, templates: list[Availability]
) -> None:
    day = data.draw(st.sampled_from(CLOCK_CHANGES[zone_name]))

    planned = plan_range(
        day - timedelta(days=2), day + timedelta(days=2), templates, [], zone_named(zone_name)
    )

    assert all(one.ends_at <= two.starts_at for one, two in pairwise(planned))


def test_plan_range_where_a_day_runs_into_the_next() -> None:
    # In Nuuk, 23:00 on the 28th is followed by midnight: 23:30 would be half past midnight.
    nuuk = zone_named("America/Nuuk")
    eve = date(2026, 3, 28)
    template = every_day("00:00", "23:30")

    days = [plan_day(day, [template], [], nuuk) for day in (eve, eve + timedelta(days=1))]
    planned = plan_range(eve, eve + timedelta(days=1), [template], [], nuuk)

    # It begins on the next day, whose own first slot would overlap it.
    assert starts(days[1], nuuk)[:2] == ["00:00", "00:30"]
    assert planned == days[0] + days[1]


# --- valid hours ---


@pytest.mark.parametrize(
    ("start", "end", "slot_min", "error"),
    [
        ("09:00", "09:00", 30, EndBeforeStart),
        ("11:00", "09:00", 30, EndBeforeStart),
        ("09:00", "10:10", 30, AvailabilityRemainder),
        ("09:00", "09:04", 4, InvalidInput),
        ("00:00", "08:01", 481, InvalidInput),
        ("09:00:30", "10:00:30", 30, InvalidInput),
    ],
)
def test_availability_that_is_no_window_is_refused(start, end, slot_min, error) -> None:
    with pytest.raises(error):
        hours(start, end, slot_min)


def test_availability_remainder_says_how_much_is_left_over() -> None:
    with pytest.raises(AvailabilityRemainder) as refused:
        hours("09:00", "10:10", 30)

    assert refused.value.message == (
        "09:00 to 10:10 is not a whole number of 30-minute slots: 10 minutes are left over."
        " Move the end or change the slot length."
    )
    assert refused.value.facts == {"remainderMin": 10}
    assert refused.value.pointer == "/endTime"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"weekdays": ()}, InvalidInput),
        ({"weekdays": (1,), "on_date": MONDAY}, InvalidInput),
        ({"weekdays": (0,)}, InvalidInput),
        ({"weekdays": (8,)}, InvalidInput),
        ({"weekdays": (), "on_date": date(1999, 12, 31)}, DatetimeOutOfRange),
        ({"valid_from": date(2200, 1, 1)}, DatetimeOutOfRange),
        ({"weekdays": (), "on_date": MONDAY, "valid_from": MONDAY}, InvalidInput),
        ({"valid_from": MONDAY, "valid_until": MONDAY - timedelta(days=1)}, EndBeforeStart),
    ],
)
def test_availability_of_odd_days_is_refused(changes, error) -> None:
    with pytest.raises(error):
        hours("09:00", "10:00", **changes)


def test_availability_sorts_weekdays_and_keeps_each_once() -> None:
    assert hours("09:00", "10:00", weekdays=(5, 1, 5)).weekdays == (1, 5)


def test_availability_with_an_offset_is_refused() -> None:
    with pytest.raises(InvalidInput):
        replace(hours("09:00", "10:00"), start=time(9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "times", "slot_min"),
    [
        (ExceptionKind.ADD, (), 30),
        (ExceptionKind.ADD, ("09:00", "10:00"), None),
        (ExceptionKind.REMOVE, ("09:00", "10:00"), 30),
        (ExceptionKind.REMOVE, ("10:00", "09:00"), None),
    ],
)
def test_exception_that_makes_no_sense_is_refused(kind, times, slot_min) -> None:
    with pytest.raises(InvalidInput):
        exception(kind, *times, slot_min=slot_min)


def test_exception_with_one_end_only_is_refused() -> None:
    with pytest.raises(InvalidInput):
        replace(exception(ExceptionKind.REMOVE), start=time(9))


# --- overlapping hours ---


@pytest.mark.parametrize(
    ("new", "old", "meets"),
    [
        (hours("09:00", "10:00"), hours("09:30", "10:30"), True),
        (hours("09:00", "10:00"), hours("10:00", "11:00"), False),
        (hours("09:00", "10:00"), hours("09:00", "10:00", weekdays=(2,)), False),
        (hours("09:00", "10:00"), hours("09:00", "10:00", weekdays=(), on_date=MONDAY), True),
        (
            hours("09:00", "10:00"),
            hours("09:00", "10:00", weekdays=(), on_date=MONDAY + timedelta(days=1)),
            False,
        ),
        (
            hours("09:00", "10:00", valid_until=date(2026, 6, 30)),
            hours("09:00", "10:00", valid_from=date(2026, 7, 1)),
            False,
        ),
        # From Tuesday to Sunday there is no Monday.
        (
            hours("09:00", "10:00", valid_from=date(2026, 11, 24)),
            hours("09:00", "10:00", valid_until=date(2026, 11, 29)),
            False,
        ),
        (
            hours("09:00", "10:00", valid_from=date(2026, 11, 24)),
            hours("09:00", "10:00", valid_until=date(2026, 11, 30)),
            True,
        ),
        (hours("09:00", "10:00"), hours("09:00", "10:00", doctor_id=uuid4()), False),
    ],
)
def test_check_overlap_of_hours(new: Availability, old: Availability, meets: bool) -> None:
    for one, two in ((new, old), (old, new)):
        if meets:
            with pytest.raises(AvailabilityOverlap) as refused:
                check_overlap(one, [two])
            assert refused.value.facts == {"availabilityId": str(two.id)}
        else:
            check_overlap(one, [two])


def test_check_overlap_passes_over_the_hours_that_are_replaced() -> None:
    old = hours("09:00", "10:00")

    check_overlap(replace(old, end=time(11)), [old])


@pytest.mark.parametrize(
    ("beside", "meets"),
    [
        (hours("09:00", "10:00"), False),
        (hours("09:30", "10:30"), True),
        (hours("09:30", "10:30", weekdays=(2,)), False),
    ],
)
def test_check_exception_of_hours_beside_hours(beside: Availability, meets: bool) -> None:
    added = exception(ExceptionKind.ADD, "10:00", "11:00", slot_min=30)

    if meets:
        with pytest.raises(AvailabilityOverlap):
            check_exception(added, [beside], [], LONDON)
    else:
        check_exception(added, [beside], [], LONDON)


def test_check_exception_of_hours_beside_added_ones() -> None:
    added = exception(ExceptionKind.ADD, "10:00", "11:00", slot_min=30)
    other = exception(ExceptionKind.ADD, "10:30", "11:30", slot_min=30)
    elsewhere = replace(other, id=UUID(int=1), on_date=MONDAY + timedelta(days=1))

    check_exception(added, [], [elsewhere, exception(ExceptionKind.REMOVE)], LONDON)
    with pytest.raises(AvailabilityOverlap):
        check_exception(added, [], [other], LONDON)


def numbered(*exceptions: AvailabilityException) -> list[AvailabilityException]:
    """Return the exceptions as if they were entered one after the other."""
    return [replace(each, id=UUID(int=number)) for number, each in enumerate(exceptions, 1)]


OFF = exception(ExceptionKind.REMOVE)
EVENING = exception(ExceptionKind.ADD, "18:00", "19:00", slot_min=20)
LATE = exception(ExceptionKind.REMOVE, "10:00", "11:00")
INSTEAD = exception(ExceptionKind.ADD, "10:00", "11:00", slot_min=60)


@pytest.mark.parametrize(
    ("entered", "planned"),
    [
        ((OFF, EVENING), ["18:00", "18:20", "18:40"]),
        ((EVENING, OFF), []),
        ((LATE, INSTEAD), ["09:00", "09:30", "10:00"]),
        ((OFF, EVENING, OFF), []),
        ((OFF, INSTEAD, EVENING), ["10:00", "18:00", "18:20", "18:40"]),
    ],
)
def test_exceptions_apply_in_the_order_in_which_they_were_entered(
    entered: tuple[AvailabilityException, ...], planned: list[str]
) -> None:
    known = numbered(*entered)

    for order in (known, known[::-1]):
        slots = plan_day(MONDAY, [hours("09:00", "11:00")], order, LONDON)
        assert starts(slots) == planned


def test_hours_can_be_added_in_place_of_what_was_removed() -> None:
    usual = [hours("09:00", "11:00")]

    check_exception(INSTEAD, usual, numbered(LATE), LONDON)
    check_exception(EVENING, usual, numbered(OFF), LONDON)
    with pytest.raises(AvailabilityOverlap):
        check_exception(INSTEAD, usual, [], LONDON)


@pytest.mark.parametrize(
    ("known", "new", "is_refused"),
    [
        ((), OFF, False),
        ((OFF,), OFF, True),
        ((OFF,), LATE, True),
        ((LATE,), LATE, True),
        ((LATE,), OFF, False),
        ((OFF, EVENING), OFF, False),
        ((EVENING, OFF), OFF, True),
    ],
)
def test_time_is_taken_off_once(
    known: tuple[AvailabilityException, ...], new: AvailabilityException, is_refused: bool
) -> None:
    if not is_refused:
        check_exception(new, [], numbered(*known), LONDON)
        return
    with pytest.raises(AvailabilityOverlap) as refused:
        check_exception(new, [], numbered(*known), LONDON)
    assert refused.value.facts["exceptionId"] in {str(each.id) for each in numbered(*known)}

"""Plans of calendars in zones whose clocks do odd things, with hours over midnight.

Lord Howe changes by half an hour, Troll by two hours, Casablanca for Ramadan, Santiago at midnight,
and Apia left out a whole day.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    Availability,
    AvailabilityException,
    ExceptionKind,
    Interval,
    check_overlap,
    divide,
)
from clinic.domain.calendar.closings import Closure, Leave
from clinic.domain.calendar.plan import CalendarInputs, blocked_by, plan
from clinic.domain.calendar.slots import PlannedSlot, SlotState
from clinic.domain.errors import AvailabilityOverlap
from clinic.testing.stateful import many_holidays
from clinic.testing.strategies import blocks, closures, leaves, nights, places, windows

CLINIC, DOCTOR = UUID(int=1), UUID(int=2)
ODD_DAYS = {
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Pacific/Apia": (date(2011, 12, 30), date(2011, 9, 24), date(2012, 4, 1)),
    "Africa/Casablanca": (date(2026, 2, 15), date(2026, 3, 22)),
    "Antarctica/Troll": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/Santiago": (date(2026, 4, 4), date(2026, 4, 5), date(2026, 9, 6)),
}
DAY = timedelta(days=1)
AROUND = range(-4, 5)
IS_CI = os.environ.get("CI") == "true"
examples = settings(max_examples=120 if IS_CI else 60, deadline=None)


@st.composite
def odd_days(draw: st.DrawFn) -> tuple[ZoneInfo, date]:
    """A zone, and a day on which its clocks change."""
    name = draw(st.sampled_from(sorted(ODD_DAYS)))
    return ZoneInfo(name), draw(st.sampled_from(ODD_DAYS[name]))


@st.composite
def several_hours(draw: st.DrawFn) -> tuple[Availability, ...]:
    """Hours on weekdays that do not overlap on the wall clock."""
    hours: list[Availability] = []
    for place in range(draw(st.integers(1, 3))):
        window = draw(windows() | nights() | nights(slots_max=288))
        new = Availability(
            UUID(int=10 + place),
            CLINIC,
            DOCTOR,
            window.start,
            window.end,
            window.slot_min,
            tuple(draw(st.sets(st.integers(1, 7), min_size=1) | st.just(set(range(1, 8))))),
            overnight=window.overnight,
        )
        try:
            check_overlap(new, hours)
        except AvailabilityOverlap:
            continue
        hours.append(new)
    return tuple(hours)


@st.composite
def several_exceptions(draw: st.DrawFn, day: date) -> tuple[AvailabilityException, ...]:
    """Exceptions of the days around `day`, in the order in which they were entered."""
    found = []
    for place in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(ExceptionKind))
        window = draw(windows(slots_max=8) | nights(slots_max=12))
        is_whole = kind is ExceptionKind.REMOVE and draw(st.booleans())
        found.append(
            AvailabilityException(
                UUID(int=100 + place),
                CLINIC,
                DOCTOR,
                day + DAY * draw(st.integers(-2, 2)),
                kind,
                None if is_whole else window.start,
                None if is_whole else window.end,
                window.slot_min if kind is ExceptionKind.ADD else None,
                not is_whole and window.overnight,
            )
        )
    return tuple(found)


def several_places(now: datetime) -> st.SearchStrategy[list[AddedPlace]]:
    """Added places near `now`, which may overlap each other, and hours."""
    return st.lists(places(CLINIC, DOCTOR, now), max_size=3, unique_by=lambda place: place.id)


@st.composite
def calendars(draw: st.DrawFn) -> tuple[CalendarInputs, date]:
    """Inputs of every kind, and a day on which the clocks change."""
    zone, day = draw(odd_days())
    noon = datetime.combine(day, time(12), zone)
    around = day - 2 * DAY
    return CalendarInputs(
        zone,
        many_holidays,
        last_day=draw(st.none() | st.sampled_from((day, day + DAY))),
        hours=draw(several_hours()),
        exceptions=draw(several_exceptions(day)),
        closures=tuple(draw(st.lists(closures(CLINIC, around), max_size=1))),
        leaves=tuple(draw(st.lists(leaves(CLINIC, DOCTOR, around), max_size=1))),
        blocks=tuple(draw(st.lists(blocks(CLINIC, DOCTOR, noon - 3 * DAY), max_size=2))),
        places=tuple(draw(several_places(noon - 2 * DAY))),
    ), day


def plan_around(inputs: CalendarInputs, day: date) -> list[PlannedSlot]:
    return plan(inputs, day + DAY * AROUND[0], day + DAY * AROUND[-1])


@examples
@given(calendars())
def test_slots_are_sorted_and_apart_and_last_what_they_should(
    calendar: tuple[CalendarInputs, date],
) -> None:
    inputs, day = calendar

    planned = plan_around(inputs, day)

    entries: tuple[Availability | AvailabilityException, ...] = (*inputs.hours, *inputs.exceptions)
    lengths = {timedelta(minutes=each.slot_min) for each in entries if each.slot_min}
    lengths |= {place.ends_at - place.starts_at for place in inputs.places}
    assert {slot.interval.ends_at - slot.starts_at for slot in planned} <= lengths
    assert all(one.interval.ends_at <= two.starts_at for one, two in pairwise(planned))


@examples
@given(calendars())
def test_plan_of_several_days_is_that_of_each(calendar: tuple[CalendarInputs, date]) -> None:
    inputs, day = calendar
    days = [day + DAY * each for each in AROUND]

    each_alone = [slot for one in days for slot in plan(inputs, one, one)]
    halves = [*plan(inputs, days[0], days[4]), *plan(inputs, days[5], days[-1])]

    assert plan_around(inputs, day) == each_alone == halves


@examples
@given(calendars())
def test_added_place_is_planned_unless_hours_or_an_earlier_place_have_its_time(
    calendar: tuple[CalendarInputs, date],
) -> None:
    inputs, day = calendar

    planned = [slot.interval for slot in plan_around(inputs, day)]

    taken = [slot.interval for slot in plan_around(replace(inputs, places=()), day)]
    assert [slot for slot in planned if slot in taken] == taken
    for place in sorted(inputs.places, key=lambda each: each.id):
        works = place.starts_at.astimezone(inputs.zone).date() <= (inputs.last_day or date.max)
        is_planned = works and not any(place.interval.overlaps(other) for other in taken)
        assert (place.interval in planned) == (is_planned or place.interval in taken)
        taken += [place.interval] if is_planned else []
    assert sorted(taken) == planned


@examples
@given(odd_days(), several_hours())
def test_every_stretch_of_hours_that_no_other_meets_is_divided_wholly(
    odd: tuple[ZoneInfo, date], hours: tuple[Availability, ...]
) -> None:
    zone, day = odd
    stretches = [
        (each.window_on(day + DAY * place, zone), each.slot_min)
        for place in AROUND[2:-2]
        for each in hours
        if each.holds_on(day + DAY * place)
    ]
    alone = [
        (one, slot_min)
        for place, (one, slot_min) in enumerate(stretches)
        if not any(one.overlaps(two) for at, (two, _) in enumerate(stretches) if at != place)
    ]

    planned = [slot.interval for slot in plan_around(_only(zone, hours), day)]

    for stretch, slot_min in alone:
        assert [slot for slot in planned if slot.overlaps(stretch)] == [*divide(stretch, slot_min)]
    first, last = day + DAY * AROUND[2], day + DAY * AROUND[-3]
    for slot in planned:
        if first < slot.starts_at.astimezone(zone).date() <= last:
            assert any(_is_within(slot, stretch) for stretch, _ in stretches)


@examples
@given(odd_days(), several_hours())
def test_days_far_from_a_change_have_the_hours_of_the_wall(
    odd: tuple[ZoneInfo, date], hours: tuple[Availability, ...]
) -> None:
    zone, changed = odd
    day = changed + 12 * DAY

    planned = plan(_only(zone, hours), day, day)

    found = {
        _minute(slot.starts_at.astimezone(zone), day) + minute
        for slot in planned
        for minute in range(int((slot.interval.ends_at - slot.starts_at).total_seconds() // 60))
    }
    expected = {
        minute
        for begun in (day - DAY, day)
        for each in hours
        if each.holds_on(begun)
        for slot_start in range(
            _minute(datetime.combine(begun, each.start), day),
            _minute(datetime.combine(begun + DAY * each.overnight, each.end), day),
            each.slot_min,
        )
        if 0 <= slot_start < 24 * 60
        for minute in range(slot_start, slot_start + each.slot_min)
    }
    assert found == expected


@examples
@given(odd_days(), several_hours(), st.integers(-2, 2), st.integers(0, 1), st.booleans())
def test_whole_days_that_are_closed_close_what_has_a_moment_in_them(
    odd: tuple[ZoneInfo, date],
    hours: tuple[Availability, ...],
    begins: int,
    length: int,
    is_leave: bool,
) -> None:
    zone, day = odd
    first = day + DAY * begins
    last = first + DAY * length
    inputs = _only(zone, hours)
    if is_leave:
        inputs = CalendarInputs(
            zone, many_holidays, hours=hours, leaves=(Leave(CLINIC, CLINIC, DOCTOR, first, last),)
        )
    else:
        closure = Closure(CLINIC, CLINIC, "Closed", first=first, last=last)
        inputs = CalendarInputs(zone, many_holidays, hours=hours, closures=(closure,))

    for slot in plan_around(inputs, day):
        local = {_local_date(slot.starts_at, zone), _local_date(slot.interval.ends_at, zone, -1)}
        is_closed = any(first <= each <= last for each in local)
        assert (slot.state is SlotState.BLOCKED) == is_closed


@examples
@given(calendars())
def test_what_is_blocked_says_why_and_what_is_open_is_not_blocked(
    calendar: tuple[CalendarInputs, date],
) -> None:
    inputs, day = calendar

    for slot in plan_around(inputs, day)[::7]:
        why = blocked_by(inputs, slot.interval)
        assert bool(why) == (slot.state is SlotState.BLOCKED)


def test_hours_of_the_next_day_take_the_place_of_a_slot_over_midnight_whatever_the_range() -> None:
    zone, day = ZoneInfo("Europe/London"), date(2026, 5, 4)
    night = Availability(
        UUID(int=10), CLINIC, DOCTOR, time(23, 45), time(0, 15), 30, (1,), overnight=True
    )
    added = AvailabilityException(
        UUID(int=100),
        CLINIC,
        DOCTOR,
        day + DAY,
        ExceptionKind.ADD,
        time(0),
        time(1),
        20,
    )
    inputs = CalendarInputs(zone, many_holidays, hours=(night,), exceptions=(added,))

    both = plan(inputs, day, day + DAY)

    assert plan(inputs, day, day) == []
    assert plan(inputs, day + DAY, day + DAY) == both
    assert [f"{slot.starts_at.astimezone(zone):%H:%M}" for slot in both] == [
        "00:00",
        "00:20",
        "00:40",
    ]


def test_leave_whose_ends_are_one_instant_closes_nothing() -> None:
    # The clocks go from 01:00 to 02:00.
    zone, day = ZoneInfo("Europe/London"), date(2026, 3, 29)
    hours = Availability(UUID(int=10), CLINIC, DOCTOR, time(0), time(4), 40, (7,))
    leave = tuple(
        Leave(CLINIC, CLINIC, DOCTOR, day, day, start, time(2)) for start in (time(1), time(1, 30))
    )
    inputs = CalendarInputs(zone, many_holidays, hours=(hours,), leaves=leave)

    assert [slot.state for slot in plan(inputs, day, day)] == [SlotState.OPEN] * 4


def _only(zone: ZoneInfo, hours: Sequence[Availability]) -> CalendarInputs:
    return CalendarInputs(zone, many_holidays, hours=tuple(hours))


def _is_within(slot: Interval, stretch: Interval) -> bool:
    return stretch.starts_at <= slot.starts_at and slot.ends_at <= stretch.ends_at


def _minute(wall: datetime, day: date) -> int:
    """Return the minutes of the wall clock from the midnight that begins `day`."""
    return int((wall.replace(tzinfo=None) - datetime.combine(day, time(0))).total_seconds() // 60)


def _local_date(instant: datetime, zone: ZoneInfo, later_us: int = 0) -> date:
    return (instant + timedelta(microseconds=later_us)).astimezone(zone).date()

"""Types of appointments: their bounds, and the stretch of hours that one must fit into."""

from dataclasses import replace
from datetime import date, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinic.domain.appointments.types import AppointmentType, Offer, check_fits
from clinic.domain.calendar.availability import (
    Availability,
    AvailabilityException,
    ExceptionKind,
    check_overlap,
    longest_stretch_min,
    plan_range,
)
from clinic.domain.errors import AvailabilityOverlap, InvalidInput, TypeTooLong

CLINIC, DOCTOR = UUID(int=1), UUID(int=2)
CHECK_UP = AppointmentType(UUID(int=3), CLINIC, "Check-up", 40, 10, 15)
MONDAY, TODAY = date(2026, 11, 30), date(2026, 11, 23)


def hours(start, end, *weekdays, overnight=False, **validity):
    return Availability(
        UUID(int=4),
        CLINIC,
        DOCTOR,
        time.fromisoformat(start),
        time.fromisoformat(end),
        30,
        weekdays,
        overnight=overnight,
        **validity,
    )


def added(start, end, day=MONDAY):
    return AvailabilityException(
        UUID(int=5),
        CLINIC,
        DOCTOR,
        day,
        ExceptionKind.ADD,
        time.fromisoformat(start),
        time.fromisoformat(end),
        30,
    )


@pytest.mark.parametrize(
    ("pointer", "change"),
    [
        ("/name", {"name": " "}),
        ("/name", {"name": "x" * 101}),
        ("/visibleMin", {"visible_min": 4}),
        ("/visibleMin", {"visible_min": 481}),
        ("/beforeMin", {"before_min": -1}),
        ("/afterMin", {"after_min": 241}),
        ("/beforeMin", {"visible_min": 480, "before_min": 120, "after_min": 121}),
        ("/beforeMin", {"before_min": 240, "offered_by": (Offer(DOCTOR, 480),)}),
        ("/noticeMin", {"notice_min": -1}),
        ("/horizonDays", {"horizon_days": 0}),
        ("/instructions", {"instructions": "x" * 1001}),
        ("/color", {"color": "#2F6FDE"}),
        ("/offeredBy/1/doctorId", {"offered_by": (Offer(DOCTOR), Offer(DOCTOR, 30))}),
        ("/offeredBy/0/visibleMin", {"offered_by": (Offer(DOCTOR, 4),)}),
    ],
)
def test_member_outside_its_bounds_is_refused(pointer, change):
    with pytest.raises(InvalidInput) as refused:
        replace(CHECK_UP, **change)

    assert refused.value.pointer == pointer


def test_twelve_hours_with_buffers_are_accepted():
    longest = replace(CHECK_UP, visible_min=480, before_min=120, after_min=120)

    assert sum((longest.visible_min, longest.before_min, longest.after_min)) == 720


def test_length_may_differ_by_doctor():
    shorter = replace(CHECK_UP, offered_by=(Offer(DOCTOR, 20), Offer(CLINIC)))

    assert [shorter.visible_min_with(each) for each in (DOCTOR, CLINIC, UUID(int=9))] == [
        20,
        40,
        None,
    ]
    assert shorter.lengths_min == (40, 40, 20)


@pytest.mark.parametrize(
    ("expected", "weekly", "exceptions"),
    [
        (0, (), ()),
        (180, (hours("09:00", "12:00", 1),), ()),
        # A break ends it; none does not, whatever the length of slots.
        (240, (hours("09:00", "12:00", 1), hours("13:00", "17:00", 1)), ()),
        (480, (hours("09:00", "12:00", 1), hours("12:00", "17:00", 1)), ()),
        (180, (hours("09:00", "12:00", 1), hours("12:00", "14:00", 2)), ()),
        # Over midnight, and from Sunday to Monday.
        (240, (hours("22:00", "00:00", 7, overnight=True), hours("00:00", "02:00", 1)), ()),
        (240, (hours("22:00", "02:00", 7, overnight=True),), ()),
        # Hours that never apply on the same day do not adjoin.
        (
            300,
            (
                hours("09:00", "12:00", 1, valid_until=date(2026, 12, 31)),
                hours("12:00", "17:00", 1, valid_from=date(2027, 1, 1)),
            ),
            (),
        ),
        (
            480,
            (
                hours("09:00", "12:00", 1, valid_until=date(2026, 12, 31)),
                hours("12:00", "17:00", 1, valid_from=date(2026, 12, 1)),
            ),
            (),
        ),
        # What is over does not count.
        (
            60,
            (
                hours("09:00", "17:00", 1, valid_until=date(2026, 11, 22)),
                hours("08:00", "09:00", 1),
            ),
            (),
        ),
        (240, (hours("09:00", "12:00", 1),), (added("12:00", "13:00"),)),
        (180, (hours("09:00", "12:00", 1),), (added("12:00", "13:00", date(2026, 12, 1)),)),
        (180, (hours("09:00", "12:00", 1),), (added("12:00", "13:00", date(2026, 11, 16)),)),
        (1440, tuple(hours("00:00", "00:00", day, overnight=True) for day in range(1, 8)), ()),
    ],
)
def test_longest_stretch_of_hours(expected, weekly, exceptions):
    assert longest_stretch_min(weekly, exceptions, TODAY) == expected


def test_search_ends_once_a_stretch_is_long_enough():
    daily = tuple(
        hours(f"{hour:02}:00", f"{hour + 1:02}:00", *range(1, 8)) for hour in range(8, 18)
    )

    assert longest_stretch_min(daily, (), TODAY, enough_min=100) == 120
    assert longest_stretch_min(daily, (), TODAY) == 600


def test_type_must_fit_into_the_hours_of_one_doctor_who_offers_it():
    shorter = replace(CHECK_UP, offered_by=(Offer(DOCTOR, 20), Offer(CLINIC)))

    for fits in ({}, {DOCTOR: 0}, {DOCTOR: 20}, {DOCTOR: 15, CLINIC: 40}, {UUID(int=9): 5}):
        check_fits(shorter, fits)
    for long, longest_min in (({DOCTOR: 15, CLINIC: 35}, 35), ({DOCTOR: 15, CLINIC: 0}, 15)):
        with pytest.raises(TypeTooLong) as refused:
            check_fits(shorter, long)
        assert refused.value.facts == {"longestMin": longest_min}
        assert refused.value.pointer == "/visibleMin"


def test_buffers_may_reach_outside_hours():
    check_fits(CHECK_UP, {DOCTOR: 40})

    with pytest.raises(TypeTooLong):
        check_fits(CHECK_UP, {DOCTOR: 35})


#: without clock changes
ZONE = ZoneInfo("Asia/Kathmandu")


@st.composite
def some_hours(draw):
    """Hours from `TODAY` on that do not overlap: some adjoin, last over midnight, end, or are of
    one date."""
    kept: list[Availability] = []
    for number in range(draw(st.integers(0, 5))):
        start, length = draw(st.integers(0, 11)) * 2, draw(st.integers(1, 6)) * 2
        first = TODAY + timedelta(days=draw(st.integers(0, 15)))
        when = {
            "weekdays": tuple(draw(st.sets(st.integers(1, 7), min_size=1))),
            "valid_from": first,
            "valid_until": draw(st.none() | st.dates(first, first + timedelta(days=15))),
        }
        each = Availability(
            UUID(int=number + 10),
            CLINIC,
            DOCTOR,
            time(start),
            time((start + length) % 24),
            draw(st.sampled_from((30, 60, 120))),
            overnight=start + length >= 24,
            **draw(st.sampled_from((when, {"on_date": first}))),
        )
        try:
            check_overlap(each, kept)
        except AvailabilityOverlap:
            continue
        kept.append(each)
    return kept


@settings(max_examples=300, deadline=None)
@given(weekly=some_hours())
def test_longest_stretch_is_that_of_the_planned_slots(weekly):
    longest = run = timedelta()
    ends_at = None
    for slot in plan_range(TODAY, TODAY + timedelta(days=60), weekly, (), ZONE):
        run = slot.ends_at - slot.starts_at + (run if slot.starts_at == ends_at else timedelta())
        ends_at, longest = slot.ends_at, max(longest, run)

    day = timedelta(days=1)
    found = timedelta(minutes=longest_stretch_min(weekly, (), TODAY))
    assert min(found, day) == min(longest, day)

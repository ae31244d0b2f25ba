"""The plan of a calendar with added places."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.calendar import plan as plan_module
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, Places, plan_places
from clinic.domain.calendar.closings import Block, BlockKind, no_holidays
from clinic.domain.calendar.plan import Blockers, CalendarInputs, plan

DAY = date(2027, 3, 1)
ZERO = UUID(int=0)
MIDNIGHT = datetime(2027, 3, 1, tzinfo=UTC)
HOURS = Availability(
    ZERO, ZERO, ZERO, time(22), time(1), 45, weekdays=tuple(range(1, 8)), overnight=True
)
INPUTS = CalendarInputs(ZoneInfo("UTC"), no_holidays, hours=(HOURS,))


def a_place(number: int, start_min: int, minutes: int) -> AddedPlace:
    starts_at = MIDNIGHT + timedelta(minutes=start_min)
    ends_at = starts_at + timedelta(minutes=minutes)
    return AddedPlace(UUID(int=number), ZERO, ZERO, starts_at, ends_at)


def planned(places: list[AddedPlace], first: date = DAY, last: date = DAY) -> list[tuple[int, int]]:
    found = plan(replace(INPUTS, places=tuple(places)), first, last)
    minute = timedelta(minutes=1)
    times = [each.interval for each in found]
    return [((t.starts_at - MIDNIGHT) // minute, (t.ends_at - MIDNIGHT) // minute) for t in times]


def test_place_beside_the_hours_is_a_slot() -> None:
    by_hours = [(15, 60), (1320, 1365), (1365, 1410), (1410, 1455)]

    assert planned([]) == by_hours
    assert planned([a_place(1, 600, 20)]) == sorted([*by_hours, (600, 620)])


def test_place_in_hours_of_the_eve_is_none() -> None:
    assert planned([a_place(1, 50, 20)]) == planned([])


def test_of_two_places_the_one_that_was_entered_first_is_a_slot() -> None:
    assert planned([a_place(2, 590, 20), a_place(1, 600, 20)]) == planned([a_place(1, 600, 20)])


def test_place_after_the_last_day_is_none() -> None:
    inputs = replace(INPUTS, places=(a_place(1, 600, 20),))

    [of_the_eve] = plan(replace(inputs, last_day=DAY - timedelta(days=1)), DAY, DAY)
    assert of_the_eve.starts_at == MIDNIGHT + timedelta(minutes=15)
    assert plan(replace(inputs, works_here=False), DAY, DAY) == []


@given(
    st.lists(
        st.builds(a_place, st.integers(1, 9), st.integers(0, 4 * 24 * 60), st.integers(5, 480)),
        max_size=8,
        unique_by=lambda place: place.id,
    )
)
def test_days_planned_apart_are_the_days_planned_together(places: list[AddedPlace]) -> None:
    days = [DAY + timedelta(days=number) for number in range(5)]

    together = planned(places, days[0], days[-1])

    assert together == [slot for day in days for slot in planned(places, day, day)]
    assert all(one[1] <= two[0] for one, two in pairwise(together))


def test_place_counts_among_the_most_slots_and_may_last_over_midnight() -> None:
    inputs = replace(INPUTS, hours=(), places=(a_place(1, 0, 20), a_place(2, 1410, 20)))

    assert inputs.most_slots(DAY, DAY) == 2
    assert not inputs.may_last_over_midnight
    assert replace(inputs, places=(a_place(3, 1425, 20),)).may_last_over_midnight


@pytest.fixture
def times_planned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[date, date]]:
    """The days of each time that hours are divided into slots, which takes most of the time."""
    seen: list[tuple[date, date]] = []

    def counted(first: date, last: date, *rest: Any, **more: Any) -> list[Places]:
        seen.append((first, last))
        return plan_places(first, last, *rest, **more)

    monkeypatch.setattr(plan_module, "plan_places", counted)
    return seen


def test_hours_are_planned_no_oftener_for_many_places_than_for_one(
    times_planned: list[tuple[date, date]],
) -> None:
    planned([a_place(1, 600, 5)])
    for_one = len(times_planned)

    places = [a_place(number, 600 + 5 * number, 5) for number in range(100)]
    assert len(planned(places)) == 4 + 100

    assert len(times_planned) == 2 * for_one


def test_what_blocks_many_slots_of_a_day_is_found_out_once(
    times_planned: list[tuple[date, date]],
) -> None:
    block = Block(ZERO, ZERO, ZERO, MIDNIGHT, MIDNIGHT + timedelta(days=1))
    blockers = Blockers(replace(INPUTS, blocks=(block,)))
    slots = [a_place(1, start, 45).interval for start in (1320, 1365, 600, 1320)]

    found = [[by.kind for by in blockers.of(slot)] for slot in slots]

    both = [BlockKind.NO_HOURS, BlockKind.BLOCK]
    assert found == [[BlockKind.BLOCK], [BlockKind.BLOCK], both, [BlockKind.BLOCK]]
    assert len(times_planned) == 1

"""Bringing slots in line with the hours: what is added, retired, kept and reported."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot, SlotPlan, SlotState, plan_slots
from clinic.domain.people.people import Doctor
from clinic.testing.builders import a_slot
from clinic.testing.strategies import intervals

DOCTOR = Doctor(uuid4(), uuid4(), "Dr Hill", "General")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NINE = NOW + timedelta(hours=1)
HALF = timedelta(minutes=30)


def half_hours(*places: int) -> list[Interval]:
    return [Interval(NINE + HALF * place, NINE + HALF * (place + 1)) for place in places]


def slot(place: int, **changes) -> Slot:
    return replace(a_slot(DOCTOR, NINE + HALF * place), **changes)


def test_plan_slots_without_slots_adds_every_one() -> None:
    assert plan_slots(half_hours(0, 1), [], NOW) == SlotPlan(tuple(half_hours(0, 1)), (), ())


def test_plan_slots_that_are_there_changes_nothing() -> None:
    existing = [slot(0), slot(1, state=SlotState.BLOCKED), slot(2, taken=True)]

    assert plan_slots(half_hours(0, 1, 2), existing, NOW) == SlotPlan((), (), ())


def test_plan_slots_adds_none_that_has_begun() -> None:
    begun = Interval(NOW, NOW + HALF)

    assert plan_slots([begun], [], NOW) == SlotPlan((), (), ())


def test_plan_slots_leaves_alone_what_has_begun() -> None:
    begun = a_slot(DOCTOR, NOW)

    assert plan_slots([], [begun], NOW) == SlotPlan((), (), ())


@pytest.mark.parametrize("state", [SlotState.OPEN, SlotState.BLOCKED])
def test_plan_slots_retires_untaken_ones_that_no_hours_make(state: SlotState) -> None:
    gone = slot(1, state=state)

    assert plan_slots(half_hours(0), [slot(0), gone], NOW) == SlotPlan((), (gone,), ())


def test_plan_slots_strands_taken_ones_once() -> None:
    taken, stranded = slot(0, taken=True), slot(1, taken=True, state=SlotState.BLOCKED)

    assert plan_slots([], [taken, stranded], NOW) == SlotPlan((), (), (taken,))


def test_plan_slots_adds_none_where_a_taken_one_stays() -> None:
    taken = slot(0, taken=True)
    quarter = timedelta(minutes=15)
    shorter = [Interval(NINE + quarter * n, NINE + quarter * (n + 1)) for n in range(4)]

    assert plan_slots(shorter, [taken], NOW) == SlotPlan(tuple(shorter[2:]), (), (taken,))


def test_plan_slots_of_another_length_replaces_untaken_ones() -> None:
    hour = Interval(NINE, NINE + HALF * 2)
    old = (slot(0), slot(1))

    assert plan_slots([hour], old, NOW) == SlotPlan((hour,), old, ())


def apart(found: list[Interval]) -> list[Interval]:
    kept: list[Interval] = []
    for interval in sorted(found):
        if not kept or kept[-1].ends_at <= interval.starts_at:
            kept.append(interval)
    return kept


@st.composite
def existing_slots(draw: st.DrawFn) -> list[Slot]:
    return [
        Slot(
            uuid4(),
            DOCTOR.clinic_id,
            DOCTOR.id,
            DOCTOR.specialty,
            interval.starts_at,
            interval.ends_at,
            draw(st.sampled_from((SlotState.OPEN, SlotState.BLOCKED))),
            draw(st.booleans()),
        )
        for interval in apart(draw(st.lists(intervals(), max_size=8)))
    ]


def carried_out(existing: list[Slot], plan: SlotPlan) -> list[Slot]:
    stranded = [replace(one, state=SlotState.BLOCKED) for one in plan.strand]
    ids = {one.id for one in (*plan.retire, *plan.strand)}
    kept = [one for one in existing if one.id not in ids]
    added = [
        replace(slot(0), id=uuid4(), starts_at=new.starts_at, ends_at=new.ends_at)
        for new in plan.add
    ]
    return sorted([*kept, *stranded, *added], key=lambda one: one.starts_at)


@given(
    planned=st.lists(intervals(), max_size=8).map(apart),
    existing=existing_slots(),
    minute=st.integers(0, 24 * 60),
)
def test_plan_slots_carried_out_is_in_line_and_needs_no_second_time(
    planned: list[Interval], existing: list[Slot], minute: int
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)

    plan = plan_slots(planned, existing, now)
    after = carried_out(existing, plan)

    assert all(one.ends_at <= two.starts_at for one, two in pairwise(after))
    assert {one.id for one in existing if one.taken} <= {one.id for one in after}
    assert all(one.starts_at > now for one in plan.add)
    assert all(one.starts_at > now for one in (*plan.retire, *plan.strand))
    ahead = {one.interval for one in after if one.starts_at > now and not one.taken}
    assert ahead <= set(planned)
    assert plan_slots(planned, after, now) == SlotPlan((), (), ())

"""Bringing slots in line with the hours: what is added, retired and brought back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.calendar.availability import CAPACITY_MAX, Interval
from clinic.domain.calendar.plan import is_covered
from clinic.domain.calendar.slots import PlannedSlot, Slot, SlotPlan, SlotState, plan_slots
from clinic.domain.people.people import Doctor
from clinic.testing.builders import a_slot
from clinic.testing.strategies import intervals

DOCTOR = Doctor(uuid4(), uuid4(), "Dr Hill", "General")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NINE = NOW + timedelta(hours=1)
HALF = timedelta(minutes=30)


def half_hours(*places: int) -> list[Interval]:
    return [Interval(NINE + HALF * place, NINE + HALF * (place + 1)) for place in places]


def planned(*times: Interval, state: SlotState = SlotState.OPEN) -> tuple[PlannedSlot, ...]:
    return tuple(PlannedSlot(time, state) for time in times)


def slot(place: int, **changes) -> Slot:
    return replace(a_slot(DOCTOR, NINE + HALF * place), **changes)


def test_plan_slots_without_slots_adds_every_one() -> None:
    assert plan_slots(planned(*half_hours(0, 1)), [], NOW) == SlotPlan(planned(*half_hours(0, 1)))


def test_plan_slots_that_are_there_changes_nothing() -> None:
    blocked = slot(1, state=SlotState.BLOCKED)
    wanted = [*planned(*half_hours(0, 2)), PlannedSlot(blocked.interval, SlotState.BLOCKED)]

    assert plan_slots(wanted, [slot(0), blocked, slot(2, taken=True)], NOW).is_empty


def test_plan_slots_blocks_and_unblocks_those_that_stay() -> None:
    one, two = slot(0), slot(1, state=SlotState.BLOCKED)
    wanted = [PlannedSlot(one.interval, SlotState.BLOCKED), PlannedSlot(two.interval)]

    assert plan_slots(wanted, [one, two], NOW) == SlotPlan(block=(one,), unblock=(two,))


@pytest.mark.parametrize("state", [SlotState.OPEN, SlotState.BLOCKED])
def test_plan_slots_brings_one_back_in_the_state_that_is_planned(state: SlotState) -> None:
    old = slot(0, state=SlotState.RETIRED)

    assert plan_slots(planned(old.interval, state=state), [old], NOW) == SlotPlan(
        back=((old, state),)
    )


def test_plan_slots_adds_none_that_has_begun() -> None:
    begun = Interval(NOW, NOW + HALF)

    assert plan_slots(planned(begun), [], NOW).is_empty


def test_plan_slots_leaves_alone_what_has_begun() -> None:
    begun = a_slot(DOCTOR, NOW)

    assert plan_slots([], [begun], NOW).is_empty


@pytest.mark.parametrize("state", [SlotState.OPEN, SlotState.BLOCKED])
@pytest.mark.parametrize("taken", [False, True])
def test_plan_slots_retires_those_that_no_hours_make(state: SlotState, taken: bool) -> None:
    gone = slot(1, state=state, taken=taken)

    assert plan_slots(planned(*half_hours(0)), [slot(0), gone], NOW) == SlotPlan(retire=(gone,))


def test_plan_slots_brings_a_retired_one_back_and_first_the_one_with_an_appointment() -> None:
    old, booked = (slot(1, state=SlotState.RETIRED, taken=taken) for taken in (False, True))

    for existing in ([old, booked], [booked, old]):
        assert plan_slots(planned(*half_hours(0, 1)), existing, NOW) == SlotPlan(
            planned(*half_hours(0)), back=((booked, SlotState.OPEN),)
        )


def test_plan_slots_adds_them_where_an_appointment_keeps_a_retired_one() -> None:
    kept = slot(0, taken=True, state=SlotState.RETIRED)
    quarter = timedelta(minutes=15)
    shorter = [Interval(NINE + quarter * n, NINE + quarter * (n + 1)) for n in range(4)]

    assert plan_slots(planned(*shorter), [kept], NOW) == SlotPlan(planned(*shorter))


def test_plan_slots_adds_none_in_the_time_of_one_that_has_begun() -> None:
    begun = a_slot(DOCTOR, NOW - HALF / 2)
    beside = Interval(NOW + HALF / 4, NOW + HALF)

    assert plan_slots(planned(beside), [begun], NOW).is_empty


@pytest.mark.parametrize(
    ("by", "is_so"),
    [
        ([], False),
        (half_hours(0), False),
        (half_hours(0, 1), True),
        (half_hours(1, 2), False),
        (half_hours(0, 2), False),
        (half_hours(-1, 0, 1, 2), True),
        ([Interval(NINE - HALF, NINE + HALF * 3)], True),
    ],
)
def test_stretch_is_covered_by_slots_without_a_gap(by: list[Interval], is_so: bool) -> None:
    assert is_covered(Interval(NINE, NINE + HALF * 2), by) is is_so


def test_plan_slots_of_another_length_replaces_untaken_ones() -> None:
    hour = Interval(NINE, NINE + HALF * 2)
    old = (slot(0), slot(1))

    assert plan_slots(planned(hour), old, NOW) == SlotPlan(planned(hour), old)


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
            draw(st.sampled_from(SlotState)),
            draw(st.booleans()),
        )
        for interval in apart(draw(st.lists(intervals(), max_size=8)))
    ]


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedSlot]:
    states = st.sampled_from((SlotState.OPEN, SlotState.BLOCKED))
    found = apart(draw(st.lists(intervals(), max_size=8)))
    return [PlannedSlot(interval, draw(states)) for interval in found]


def carried_out(existing: list[Slot], plan: SlotPlan) -> list[Slot]:
    states = {each.id: SlotState.RETIRED for each in plan.retire}
    states |= {each.id: SlotState.BLOCKED for each in plan.block}
    states |= {each.id: SlotState.OPEN for each in plan.unblock}
    states |= {each.id: state for each, state in plan.back}
    kept = [replace(each, state=states.get(each.id, each.state)) for each in existing]
    added = [
        replace(
            slot(0),
            id=uuid4(),
            starts_at=new.interval.starts_at,
            ends_at=new.interval.ends_at,
            state=new.state,
            lane=new.lane,
        )
        for new in plan.add
    ]
    return [*kept, *added]


@given(wanted=plans(), existing=existing_slots(), minute=st.integers(0, 24 * 60))
def test_plan_slots_carried_out_is_in_line_and_needs_no_second_time(
    wanted: list[PlannedSlot], existing: list[Slot], minute: int
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)

    plan = plan_slots(wanted, existing, now)
    after = carried_out(existing, plan)

    on_calendar = [one for one in after if one.state is not SlotState.RETIRED]
    times = sorted(one.interval for one in on_calendar)
    assert all(one.ends_at <= two.starts_at for one, two in pairwise(times))
    assert {one.id for one in existing} <= {one.id for one in after}
    changed = [*plan.retire, *plan.block, *plan.unblock, *(one for one, _ in plan.back)]
    assert all(one.starts_at > now for one in plan.add)
    assert all(one.starts_at > now for one in changed)
    begun = [one.interval for one in on_calendar if one.starts_at <= now]
    ahead = {(one.interval, one.state) for one in on_calendar if one.starts_at > now}
    assert ahead == {
        (one.interval, one.state)
        for one in wanted
        if one.starts_at > now and not any(one.interval.overlaps(each) for each in begun)
    }
    assert plan_slots(wanted, after, now).is_empty


@st.composite
def lanes(draw: st.DrawFn) -> tuple[list[PlannedSlot], list[Slot]]:
    """A plan with several places at some times and one beside the hours, and slots in some of their
    lanes, also of other times."""
    grid = apart(draw(st.lists(intervals(span_min=300), min_size=1, max_size=5)))
    others = apart(draw(st.lists(intervals(span_min=300), max_size=2)))
    wanted: list[PlannedSlot] = []
    for interval in grid:
        blocked = frozenset(draw(st.sets(st.sampled_from((1, 2, 3)), max_size=1)))
        for lane in range(1, draw(st.integers(0, 3)) + 1):
            state = SlotState.BLOCKED if lane in blocked else SlotState.OPEN
            wanted.append(PlannedSlot(interval, state, lane, blocked))
        if draw(st.booleans()):
            wanted.append(PlannedSlot(interval, SlotState.OPEN, BESIDE, blocked))
    existing: list[Slot] = []
    for lane in (1, 2, 3, 4, BESIDE):
        for interval in others if draw(st.booleans()) else grid:
            # One on the calendar at most, and a retired one.
            known = draw(st.sets(st.sampled_from(SlotState), max_size=2))
            for state in sorted(known - {SlotState.BLOCKED} if SlotState.OPEN in known else known):
                one = replace(
                    slot(0), id=uuid4(), lane=lane, state=state, taken=draw(st.booleans())
                )
                existing.append(
                    replace(one, starts_at=interval.starts_at, ends_at=interval.ends_at)
                )
    by_lane = [each for each in existing if each.state is not SlotState.RETIRED]
    doubles = {
        two.id
        for one, two in combinations(by_lane, 2)
        if one.lane == two.lane and one.interval.overlaps(two.interval)
    }
    return wanted, [each for each in existing if each.id not in doubles]


BESIDE = CAPACITY_MAX + 1


@given(lanes=lanes(), minute=st.integers(-1, 200))
def test_lanes_of_one_start_stand_in_for_each_other(
    lanes: tuple[list[PlannedSlot], list[Slot]], minute: int
) -> None:
    """As many as are planned, those with an appointment first, and each in its lane's state."""
    wanted, existing = lanes
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)

    plan = plan_slots(wanted, existing, now)
    after = carried_out(existing, plan)

    on_calendar = [one for one in after if one.state is not SlotState.RETIRED]
    for one, two in combinations(on_calendar, 2):
        assert one.lane != two.lane or not one.interval.overlaps(two.interval)
    assert plan_slots(wanted, after, now).is_empty
    begun = [one for one in on_calendar if one.starts_at <= now]
    for interval in {each.interval for each in wanted if each.starts_at > now}:
        if any(each.interval.overlaps(interval) for each in begun):
            continue
        here = [one for one in on_calendar if one.interval == interval and one.lane < BESIDE]
        planned = [each for each in wanted if each.interval == interval and each.lane < BESIDE]
        assert len(here) == len(planned)
        assert all(one.state is planned[0].state_in(one.lane) for one in here)
        taken = {one.lane for one in existing if one.interval == interval and one.taken}
        kept = sum(one.taken for one in here)
        assert kept == min(len(planned), len(taken - {BESIDE}))


def test_plan_slots_adds_and_keeps_none_elsewhere_while_one_that_has_begun_lasts() -> None:
    """Given a slot that has begun, and one that follows it beside it, both at one location
    When the hours are at another location now
    Then only what begins after the first one is there."""
    here, there = uuid4(), uuid4()
    running = slot(0, location_id=here)
    minutes = timedelta(minutes=10)
    overlaps = Interval(running.ends_at - minutes, running.ends_at + minutes)
    after = Interval(running.ends_at + minutes, running.ends_at + 3 * minutes)
    beside = replace(
        running, id=uuid4(), starts_at=overlaps.starts_at, ends_at=overlaps.ends_at, lane=2
    )
    wanted = [PlannedSlot(each, location_id=there) for each in (overlaps, after)]

    changes = plan_slots(wanted, [running, beside], running.starts_at + minutes)

    assert changes == SlotPlan(add=(wanted[1],), retire=(beside,))
    same = [replace(each, location_id=here) for each in wanted]
    stays = plan_slots(same, [running, beside], running.starts_at + minutes)
    assert stays == SlotPlan(add=(same[1],))

"""The plan that migration 0025 keeps makes the slots that calendars have."""

import ast
from datetime import time, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.adapters.postgres.migrations import plan_v0025
from clinic.adapters.postgres.migrations.plan_v0025 import DayException, Hours, plan
from clinic.adapters.postgres.migrations.versions import v0025_stored_blocks
from clinic.domain.calendar.availability import (
    Availability,
    AvailabilityException,
    ExceptionKind,
    plan_range,
)
from clinic.domain.clinic import zone_named
from clinic.testing.strategies import (
    CLOCK_CHANGES,
    days_near_a_clock_change,
    weekly_hours,
    windows,
    zone_names,
)

CLINIC, DOCTOR = uuid4(), uuid4()


@st.composite
def hours(draw: st.DrawFn, zone_name: str) -> Availability:
    """Hours on weekdays, perhaps from or until a day, or on one date; some over midnight."""
    of_date = draw(st.booleans())
    day = draw(days_near_a_clock_change(zone_name))
    weekly = draw(weekly_hours(CLINIC, DOCTOR))
    start, end, overnight = weekly.start, weekly.end, False
    if draw(st.booleans()):
        start, end, overnight = time(22), draw(st.sampled_from((time(0), time(2), time(6)))), True
    return Availability(
        weekly.id,
        CLINIC,
        DOCTOR,
        start,
        end,
        30 if overnight else weekly.slot_min,
        () if of_date else weekly.weekdays,
        day if of_date else None,
        None if of_date else draw(st.none() | st.just(day)),
        None if of_date else draw(st.none() | st.just(day + timedelta(days=1))),
        overnight,
    )


@st.composite
def exceptions(draw: st.DrawFn, zone_name: str) -> AvailabilityException:
    """A day, or a range of one, removed or added near a day on which the clocks change."""
    id, day = UUID(int=draw(st.integers(1, 2**64))), draw(days_near_a_clock_change(zone_name))
    kind = draw(st.sampled_from(ExceptionKind))
    if kind is ExceptionKind.REMOVE and draw(st.booleans()):
        return AvailabilityException(id, CLINIC, DOCTOR, day, kind)
    if draw(st.booleans()):
        times, slot_min, overnight = (time(23), time(1)), 30, True
    else:
        window = draw(windows())
        times, slot_min, overnight = (window.start, window.end), window.slot_min, False
    added_min = slot_min if kind is ExceptionKind.ADD else None
    return AvailabilityException(id, CLINIC, DOCTOR, day, kind, *times, added_min, overnight)


@given(data=st.data(), zone_name=zone_names())
def test_it_plans_what_the_calendar_plans(data: st.DataObject, zone_name: str) -> None:
    zone = zone_named(zone_name)
    of_doctor = data.draw(st.lists(hours(zone_name), max_size=4))
    differing = data.draw(st.lists(exceptions(zone_name), max_size=4))
    first = data.draw(st.sampled_from(CLOCK_CHANGES[zone_name])) - timedelta(days=2)
    last = first + timedelta(days=data.draw(st.integers(0, 4)))

    planned = plan(
        first,
        last,
        [
            Hours(
                each.start,
                each.end,
                each.slot_min,
                each.weekdays,
                each.on_date,
                each.valid_from,
                each.valid_until,
                each.overnight,
            )
            for each in of_doctor
        ],
        [
            DayException(each.id, each.on_date, each.start, each.end, each.slot_min, each.overnight)
            for each in differing
        ],
        zone,
    )

    living = plan_range(first, last, of_doctor, differing, zone)
    assert planned == [(slot.starts_at, slot.ends_at) for slot in living]


@pytest.mark.parametrize("module", [plan_v0025, v0025_stored_blocks])
def test_it_does_not_change_with_the_domain(module) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [name for name in imported if name is not None and name.startswith("clinic.")]

    assert {name.rpartition(".")[0] for name in own} <= {"clinic.adapters.postgres.migrations"}

"""Which patient books which slot in the benchmark: no slot twice, no patient in two places."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from clinic.devtools.bench.world import HORIZON_DAYS, SLOT_MIN, world

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.mark.parametrize("name", ["10k", "100k"])
def test_bookings_take_every_slot_once(name: str) -> None:
    there = world(name, NOW)

    assert len({there.slot_of(booking) for booking in range(there.slots)}) == there.slots


def test_bookings_of_two_slots_take_every_pair_once() -> None:
    there = world("10k", NOW)

    pairs = {there.pair_of(booking) for booking in range(there.slots // 2)}

    assert pairs == set(range(0, there.slots, 2))
    assert all(there.start_of(slot).date() == there.start_of(slot + 1).date() for slot in pairs)


@pytest.mark.parametrize("name", ["10k", "100k", "1m", "10m"])
def test_slots_of_one_time_are_different_patients(name: str) -> None:
    there = world(name, NOW)

    for at in (0, 1, there.times - 1):
        slots = [doctor * there.times + at for doctor in range(there.doctors)]
        assert len({there.patient_of(slot) for slot in slots}) == there.doctors


@pytest.mark.parametrize("name", ["10k", "100k", "1m", "10m"])
def test_all_slots_can_be_booked(name: str) -> None:
    there = world(name, NOW)

    first, last = there.start_of(0), there.start_of(there.slots - 1)
    assert first - NOW > timedelta(hours=24)
    assert last - NOW < timedelta(days=HORIZON_DAYS)


def test_slots_of_a_doctor_do_not_overlap() -> None:
    there = world("10k", NOW)

    starts = [there.start_of(slot) for slot in range(there.times)]
    apart = {later - earlier for earlier, later in pairwise(starts)}
    assert min(apart) == timedelta(minutes=SLOT_MIN)


def test_sizes_are_what_they_are_called() -> None:
    sizes = {"10k": 1e4, "100k": 1e5, "1m": 1e6, "10m": 1e7}

    for name, size in sizes.items():
        assert abs(world(name, NOW).slots / size - 1) < 0.02

"""The store comparison on two stores in memory: the use cases keep every promise."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from clinic.adapters.memory.store import MemoryStore
from clinic.testing import StoreComparison
from clinic.testing.stateful_rooms import RoomsComparison

IS_CI = os.environ.get("CI") == "true"


class MemoryComparison(StoreComparison):
    days, steps_taken = 0, 0

    async def open_store(self) -> MemoryStore:
        MemoryComparison.days += 1
        return MemoryStore()

    def teardown(self) -> None:
        MemoryComparison.steps_taken += self.steps
        super().teardown()


class MemoryRooms(RoomsComparison):
    async def open_store(self) -> MemoryStore:
        return MemoryStore()


@pytest.mark.timeout(300)
def test_memory_answers_as_memory_does(record_property) -> None:
    examples = 40 if IS_CI else 25

    run_state_machine_as_test(
        MemoryComparison,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    days, steps = MemoryComparison.days, MemoryComparison.steps_taken
    print(f"{days} random days with {steps} use cases")
    record_property("examples", days)
    assert days >= examples


@pytest.mark.timeout(300)
def test_memory_keeps_every_promise_about_rooms() -> None:
    run_state_machine_as_test(
        MemoryRooms,
        settings=settings(
            max_examples=20 if IS_CI else 10,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

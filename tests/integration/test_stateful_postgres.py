"""Random days simulated on the memory adapter and on PostgreSQL side by side."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing import StoreComparison
from clinic.testing.stateful_rooms import RoomsComparison

IS_CI = os.environ.get("CI") == "true"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", [StoreComparison, RoomsComparison])
def test_postgres_answers_as_memory_does(
    module_postgres_urls, empty_database, record_property, machine: type[StoreComparison]
) -> None:
    examples = (10 if IS_CI else 8) if machine is StoreComparison else 4
    days: list[int] = []

    class PostgresComparison(machine):  # type: ignore[misc, valid-type]
        async def open_store(self) -> PostgresStore:
            empty_database(module_postgres_urls.name)
            store = PostgresStore(module_postgres_urls.app_url)
            await store.open()
            return store

        def teardown(self) -> None:
            days.append(self.steps)
            super().teardown()

    run_state_machine_as_test(
        PostgresComparison,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            # Shrinking takes minutes on a database: add Phase.shrink if a failing example is long.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )

    print(f"{len(days)} random days with {sum(days)} use cases")
    record_property("examples", len(days))
    assert len(days) >= examples

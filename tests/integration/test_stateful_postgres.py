"""Random days simulated on the memory adapter and on PostgreSQL side by side."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing import StoreComparison


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_postgres_answers_as_memory_does(module_postgres_urls, empty_database) -> None:
    class PostgresComparison(StoreComparison):
        async def open_store(self) -> PostgresStore:
            empty_database(module_postgres_urls.name)
            store = PostgresStore(module_postgres_urls.app_url)
            await store.open()
            return store

    run_state_machine_as_test(
        PostgresComparison,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            # Shrinking takes minutes on a database: add Phase.shrink if a failing example is long.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )

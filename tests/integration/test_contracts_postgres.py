"""The PostgreSQL adapter keeps every contract."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from tests.deprecated_names import DeprecatedNames

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing import StoreContract

WAITING = """
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = %s AND NOT granted
)
"""


class TestPostgresStore(DeprecatedNames, StoreContract):
    waits_no_more_than_needed = True

    @pytest.fixture(scope="class")
    async def open_store(self, module_postgres_urls) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(module_postgres_urls.app_url)
        await store.open()
        yield store
        await store.close()

    @pytest.fixture(scope="module")
    def watcher(self, postgres_server) -> Iterator[psycopg.Connection]:
        """A connection that sees all locks."""
        with psycopg.connect(postgres_server.url("postgres", "superuser"), autocommit=True) as one:
            yield one

    @pytest.fixture
    def store(
        self, open_store: PostgresStore, module_postgres_urls, empty_database, watcher
    ) -> PostgresStore:
        empty_database(module_postgres_urls.name)
        self.watcher, self.database = watcher, module_postgres_urls.name
        return open_store

    async def is_anybody_waiting(self) -> bool:
        found = self.watcher.execute(WAITING, [self.database]).fetchone()
        assert found is not None
        return bool(found[0])

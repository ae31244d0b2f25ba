"""The PostgreSQL adapter keeps every contract."""

from collections.abc import AsyncIterator

import pytest

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing import StoreContract


class TestPostgresStore(StoreContract):
    @pytest.fixture(scope="class")
    async def open_store(self, module_postgres_urls) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(module_postgres_urls.app_url)
        await store.open()
        yield store
        await store.close()

    @pytest.fixture
    def store(
        self, open_store: PostgresStore, module_postgres_urls, empty_database
    ) -> PostgresStore:
        empty_database(module_postgres_urls.name)
        return open_store

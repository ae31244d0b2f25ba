"""Connections and rows for the tests of what is particular to PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore


@pytest.fixture(scope="module")
def module_owner(module_postgres_urls) -> Iterator[psycopg.Connection]:
    """The owner's connection to the module's database; each test rolls back."""
    with psycopg.connect(module_postgres_urls.owner_url) as connection:
        yield connection


@pytest.fixture
def owner(module_owner: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The owner's connection, inside a transaction that is undone."""
    yield module_owner
    module_owner.rollback()


@pytest.fixture
async def store(postgres_urls) -> AsyncIterator[PostgresStore]:
    """A store on an empty database, as the application's role."""
    store = PostgresStore(postgres_urls.app_url)
    await store.open()
    yield store
    await store.close()

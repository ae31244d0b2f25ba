"""Connections and rows for the tests of PostgreSQL's specifics."""

from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture(scope="module")
def module_owner(module_postgres_urls) -> Iterator[psycopg.Connection]:
    """The owner's connection to the module's database; each test rolls back."""
    with psycopg.connect(module_postgres_urls.owner_url) as connection:
        yield connection


@pytest.fixture
def owner(module_owner: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The owner's connection, inside a transaction that is rolled back."""
    yield module_owner
    module_owner.rollback()

"""Executors of statements: each on any pooled connection, or all in one transaction."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from clinic.adapters.postgres.engine.batching import Batcher
from clinic.adapters.postgres.engine.errors import meaning_at_commit, translated
from clinic.adapters.postgres.engine.prepared_pool import PreparedPool
from clinic.adapters.postgres.engine.prepared_statements import Row as Row
from clinic.domain.errors import ClinicError, TemporaryFailure, TransactionAborted


class Executor(Protocol):
    """Runs the statements of repositories; raises driver errors as the domain's."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection for SQLAlchemy's statements."""
        ...

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a query with PostgreSQL's placeholders ($1), prepared once.

        For lookups by key: outside a transaction they are planned without sequential scans, hash
        joins and merge joins. Use `connection` for anything else.
        """
        ...

    async def load(self, query: str, parameters: Sequence[object]) -> Row | None:
        """Return the row for one call of a query that answers many calls; see Batcher."""
        ...


class PooledExecutor:
    """Runs each statement by itself, on any connection; sees what is committed."""

    def __init__(self, engine: AsyncEngine, make_pool: Callable[[], PreparedPool]) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._make_pool = make_pool
        self._pool = make_pool()
        self._batchers: dict[str, Batcher] = {}

    async def open(self, timeout_s: float) -> None:
        """Connect; may be retried. Raises TemporaryFailure."""
        try:
            with translated():
                await self._pool.open(timeout_s)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection; `open` may be called again."""
        # A closed pool cannot be reopened.
        pool, self._pool = self._pool, self._make_pool()
        await pool.close()
        await self._engine.dispose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with self._engine.connect() as connection:
                yield connection

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        with translated():
            pool = self._pool
            connection = await pool.acquire()
            try:
                return await connection.fetch(query, parameters)
            finally:
                await pool.release(connection)

    async def load(self, query: str, parameters: Sequence[object]) -> Row | None:
        """Return the row for one call, loaded together with those of other callers."""
        batcher = self._batchers.get(query)
        if batcher is None:
            batcher = self._batchers[query] = Batcher(self.fetch, query)
        return await batcher.load(parameters)

    async def execute(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a writing statement with PostgreSQL's placeholders ($1).

        Raises OutcomeUnknown when the connection is lost meanwhile.
        """
        with translated():
            pool = self._pool
            connection = await pool.acquire()
            try:
                # The statement commits by itself.
                with translated(meaning_at_commit):
                    return await connection.fetch(query, parameters)
            finally:
                await pool.release(connection)


class TransactionExecutor:
    """Runs statements in one transaction, on a connection taken when the first one runs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._failed = False
        self._over = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        self._check_usable()
        try:
            with translated():
                if self._connection is None:
                    self._connection = await self._engine.connect()
                    # Explicitly: COPY and prepared statements bypass SQLAlchemy, which would
                    # otherwise see nothing to commit.
                    await self._connection.begin()
                yield self._connection
        except BaseException:
            self._failed = True
            raise

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[AsyncConnection]:
        """Return the connection; a ClinicError raised inside undoes the statements and their locks,
        and the transaction can continue. TemporaryFailure, TransactionAborted included, and any
        other error end it."""
        refused: ClinicError | None = None
        async with self.connection() as connection:
            nested = await connection.begin_nested()
            try:
                with translated():
                    yield connection
            except TemporaryFailure:
                raise
            except ClinicError as error:
                await nested.rollback()
                refused = error
            else:
                await nested.commit()
        if refused is not None:
            raise refused

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        async with self.connection() as connection:
            driver = await driver_of(connection)
            async with psycopg.AsyncRawCursor(driver) as cursor:
                await cursor.execute(query, parameters, binary=True)
                return await cursor.fetchall()

    async def load(self, query: str, parameters: Sequence[object]) -> Row | None:
        """Return the row for one call, from inside the transaction."""
        rows = await self.fetch(query, [[each] for each in parameters])
        if not rows:
            return None
        _, *found = rows[0]
        return tuple(found)

    async def commit(self) -> None:
        """Commit every change. Raises TransactionAborted after an error, OutcomeUnknown when the
        connection is lost meanwhile, and whatever the writes raise."""
        self._check_usable()
        if self._connection is not None:
            async with self.connection() as connection:
                with translated(meaning_at_commit):
                    await connection.commit()
        self._over = True

    async def end(self) -> None:
        """Release the connection and roll back what is not committed."""
        self._over = True
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        try:
            with translated():
                await connection.close()
        except ClinicError:
            # The connection is lost, and everything uncommitted with it.
            return

    def _check_usable(self) -> None:
        if self._over:
            raise RuntimeError("This unit of work has ended; begin another one.")
        if self._failed:
            # PostgreSQL would answer COMMIT with a silent ROLLBACK.
            raise TransactionAborted("An earlier step of this change failed.")


async def driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection:
    """Return psycopg's connection, in the same transaction."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver

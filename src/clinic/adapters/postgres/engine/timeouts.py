"""Timeouts for a server that is connected but silent, where no request has a deadline.

PostgreSQL's statement_timeout is enforced by the server, which may itself hang.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.adapters.postgres.engine.prepared_statements import Row
from clinic.domain.errors import OutcomeUnknown, TemporaryFailure


@asynccontextmanager
async def within(
    timeout_s: float, *, otherwise: type[TemporaryFailure] = TemporaryFailure
) -> AsyncIterator[None]:
    """Raise `otherwise` when the block takes longer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise otherwise() from error


class TimedExecutor:
    """Runs statements on `executor`, and gives up on each after `timeout_s`."""

    def __init__(self, executor: PooledExecutor, timeout_s: float) -> None:
        self._executor = executor
        self._timeout_s = timeout_s

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a statement with PostgreSQL's placeholders ($1)."""
        async with within(self._timeout_s):
            return await self._executor.fetch(query, parameters)

    async def execute(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a writing statement with PostgreSQL's placeholders ($1).

        Raises OutcomeUnknown when there is no answer in time.
        """
        async with within(self._timeout_s, otherwise=OutcomeUnknown):
            return await self._executor.execute(query, parameters)

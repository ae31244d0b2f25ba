"""Runs a piece of work as one transaction, and retries it when it was rolled back by a conflict."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from clinic.domain.errors import TransactionAborted
from clinic.ports.unit_of_work import UnitOfWork

T = TypeVar("T")

ATTEMPTS = 4
PAUSE_MAX_S = 0.02

Work = Callable[[UnitOfWork], Awaitable[T]]


class TransactionRunner(Protocol):
    """Runs changes as transactions.

    A use case runs one change in it and returns that change's result: the answer stored with the
    change is rendered from that result, so with any other return value the first answer and its
    replay would differ.
    """

    async def run(self, work: Work[T]) -> T:
        """Return what `work` returns, committed."""
        ...


class Transactions:
    """Runs work in a fresh unit of work, up to three more times after TransactionAborted."""

    def __init__(self, begin: Callable[[], UnitOfWork]) -> None:
        self._begin = begin
        #: how often work was retried; alert when it climbs
        self.retried = 0

    async def run(self, work: Work[T]) -> T:
        """Return what `work` returns, committed. Raises what it raises, with nothing written."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._begin() as unit:
                    result = await work(unit)
                    await unit.commit()
                    return result
            except TransactionAborted:
                if attempt == ATTEMPTS:
                    raise
                self.retried += 1
            # A random pause keeps two conflicting transactions from conflicting again.
            await asyncio.sleep(random.uniform(0, PAUSE_MAX_S * attempt))  # noqa: S311
        raise AssertionError("unreachable")

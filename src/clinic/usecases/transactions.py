"""Runs a piece of work as one transaction, and whole again when it had to give way."""

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

    A use case runs one change in it and returns that change's result: an answer that is stored
    with the change is rendered from that result, so any other return value would be answered with
    one thing now and with another when the request is repeated.
    """

    async def run(self, work: Work[T]) -> T:
        """Return what `work` returns, committed."""
        ...


class Transactions:
    """Runs work in a fresh unit of work, up to three more times after TransactionAborted."""

    def __init__(self, begin: Callable[[], UnitOfWork]) -> None:
        self._begin = begin
        #: how often work was run again; an alert when it climbs
        self.retried = 0

    async def run(self, work: Work[T]) -> T:
        """Return what `work` returns, committed. Raises what it raises, nothing written."""
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
            # A little chance keeps two that met from meeting again.
            await asyncio.sleep(random.uniform(0, PAUSE_MAX_S * attempt))  # noqa: S311
        raise AssertionError("unreachable")

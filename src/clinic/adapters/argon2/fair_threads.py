"""Runs work in a few threads, and shares the waiting places fairly among those who ask."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clinic.domain.errors import TemporaryFailure

T = TypeVar("T")


class FairThreads:
    """At most `threads` at work and `waiting_max` waiting; sources take turns.

    When every place is taken, a newcomer gets the latest place of the source that holds most of
    them, so that one source that asks without end refuses nobody but itself.
    """

    def __init__(self, threads: int, waiting_max: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._waiting_max = waiting_max
        #: who waits, by source; the source whose turn it is stands first
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, work: Callable[[], T], source: str) -> T:
        """Return what `work` returns in a thread. Raises TemporaryFailure when too many wait."""
        if self._free:
            self._free -= 1
        else:
            await self._turn(source)
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # A thread cannot be interrupted: it is free when its work ends, whoever still waits for it.
        job.add_done_callback(lambda _: self._next())
        return await asyncio.shield(job)

    async def _turn(self, source: str) -> None:
        """Return when a thread is this caller's. Raises TemporaryFailure."""
        self._make_room(source)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It was this one's turn, just too late.
                self._next()
            raise

    def _make_room(self, source: str) -> None:
        """Refuse this caller, or somebody of the largest source, while every place is taken."""
        self._forget_those_who_left()
        if sum(map(len, self._waiting.values())) < self._waiting_max:
            return
        largest = max(self._waiting, key=lambda each: len(self._waiting[each]))
        mine = len(self._waiting.get(source, ()))
        if mine + 1 >= len(self._waiting[largest]):
            raise _too_many()
        self._waiting[largest].pop().set_exception(_too_many())

    def _forget_those_who_left(self) -> None:
        for source, turns in list(self._waiting.items()):
            left = deque(turn for turn in turns if not turn.done())
            if left:
                self._waiting[source] = left
            else:
                del self._waiting[source]

    def _next(self) -> None:
        """Give the thread to the next source's first caller, or keep it free."""
        while self._waiting:
            source = next(iter(self._waiting))
            turns = self._waiting.pop(source)
            turn = turns.popleft()
            if turns:
                # To the end of the line.
                self._waiting[source] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _too_many() -> TemporaryFailure:
    return TemporaryFailure("Too many people are signing in; try again in a moment.")

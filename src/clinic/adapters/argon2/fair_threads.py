"""A bounded thread pool whose queue is shared fairly among the sources of work."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clinic.domain.errors import TemporaryFailure

T = TypeVar("T")


class FairThreads:
    """Runs at most `threads` jobs and queues at most `waiting_max`; sources take turns.

    When the queue is full, a new caller displaces the latest caller of the source with the most
    places, so that a source that floods the queue only locks itself out.
    """

    def __init__(self, threads: int, waiting_max: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._waiting_max = waiting_max
        #: waiting callers by source; the source whose turn is next comes first
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, work: Callable[[], T], source: str) -> T:
        """Run `work` in a thread; return its result. Raises TemporaryFailure when too many wait."""
        if self._free:
            self._free -= 1
        else:
            await self._turn(source)
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # A thread cannot be interrupted: it is busy until its work ends, even when the caller left.
        job.add_done_callback(lambda _: self._next())
        return await asyncio.shield(job)

    async def _turn(self, source: str) -> None:
        """Wait until this caller has a thread. Raises TemporaryFailure."""
        self._make_room(source)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The caller was cancelled just after it got its thread: pass the thread on.
                self._next()
            raise

    def _make_room(self, source: str) -> None:
        """When the queue is full, refuse this caller or the latest one of the largest source."""
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
                # The source goes to the end of the line.
                self._waiting[source] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _too_many() -> TemporaryFailure:
    return TemporaryFailure("Too many people are signing in; try again in a moment.")

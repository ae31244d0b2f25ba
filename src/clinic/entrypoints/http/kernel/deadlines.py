"""One time limit for all requests, checked a few times a second.

asyncio.timeout would set a timer for each request, which costs more than deciding a booking.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_S = 0.1


class TooLate(Exception):
    """The work took longer than the limit and was cancelled."""


class Deadlines:
    """Cancels work that runs longer than `limit_s`, up to LOOK_S late."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        #: each task's deadline; in order, since all have the same limit
        self._running: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        #: the loop of the timer: an application may be started in one loop after another
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. Raises TooLate when it takes too long."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        cancelled_before = task.cancelling()
        self._running[task] = loop.time() + self._limit_s
        if self._timer is None or self._loop is not loop:
            self._timer, self._loop = loop.call_later(LOOK_S, self._look), loop
        try:
            return await work
        except asyncio.CancelledError as error:
            # A cancellation by others takes precedence.
            if task in self._late and task.uncancel() <= cancelled_before:
                raise TooLate from error
            raise
        finally:
            self._running.pop(task, None)
            self._late.discard(task)

    def release(self) -> None:
        """Remove the limit from the current task."""
        task = asyncio.current_task()
        if task is not None:
            self._running.pop(task, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, deadline in list(self._running.items()):
            if deadline > now:
                break
            del self._running[task]
            self._late.add(task)
            task.cancel()
        self._timer = loop.call_later(LOOK_S, self._look) if self._running else None

"""One limit of time for all requests, looked at a few times a second.

asyncio.timeout sets a timer for each, which costs more than the booking's own decision.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LOOK_S = 0.1


class TooLate(Exception):
    """It took longer than the limit, and was ended."""


class _Running:
    __slots__ = ("deadline", "is_late", "task")

    def __init__(self, task: "asyncio.Task[Any]", deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.is_late = False


class Deadlines:
    """Ends what runs longer than `limit_s`, up to LOOK_S later."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        #: in the order of their deadlines, since all have the same time
        self._running: dict[_Running, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` does. Raises TooLate when that took too long."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        cancelled_before = task.cancelling()
        mine = _Running(task, loop.time() + self._limit_s)
        self._running[mine] = None
        if self._timer is None:
            self._timer = loop.call_later(LOOK_S, self._look)
        try:
            return await work
        except asyncio.CancelledError as error:
            # Whoever else cancelled the task has the last word.
            if mine.is_late and task.uncancel() <= cancelled_before:
                raise TooLate from error
            raise
        finally:
            self._running.pop(mine, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in list(self._running):
            if one.deadline > now:
                break
            del self._running[one]
            one.is_late = True
            one.task.cancel()
        self._timer = loop.call_later(LOOK_S, self._look) if self._running else None

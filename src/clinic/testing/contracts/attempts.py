"""Calls attempted in the background, to see whether they wait and how they end."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

import anyio
from anyio.abc import TaskGroup

from clinic.domain.errors import ClinicError

#: how often to look for a waiting lock, and for how long at most
LOOK_S, PATIENCE_S = 0.002, 10


class Attempt:
    """A call running in a separate task, and its outcome."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._error: ClinicError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._done.is_set()

    async def outcome(self, timeout_s: float = 10) -> type[ClinicError] | None:
        """Wait for the end and return the error's class, None on success."""
        with anyio.fail_after(timeout_s):
            await self._done.wait()
        return type(self._error) if self._error else None

    async def run(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make the call and keep the error that it raises."""
        try:
            await call()
        except ClinicError as error:
            self._error = error
        finally:
            self._done.set()


class Watch(Protocol):
    """Knows whether an attempt waits; a contract's suite does."""

    settle_s: ClassVar[float]

    async def is_anybody_waiting(self) -> bool | None:
        """Return whether a transaction waits for a lock, None when that is unknown."""
        ...


def begin(group: TaskGroup, call: Callable[[], Awaitable[object]]) -> Attempt:
    """Start `call` in the group."""
    started = Attempt()
    group.start_soon(started.run, call)
    return started


async def attempt(group: TaskGroup, call: Callable[[], Awaitable[object]], watch: Watch) -> Attempt:
    """Start `call` in the group and return it once it has ended or waits for a lock."""
    started = begin(group, call)
    if await watch.is_anybody_waiting() is None:
        with anyio.move_on_after(watch.settle_s):
            await started._done.wait()
        return started
    with anyio.fail_after(PATIENCE_S):
        # No database notifies when a transaction begins to wait.
        while not started.has_ended and not await watch.is_anybody_waiting():  # noqa: ASYNC110
            await anyio.sleep(LOOK_S)
    return started


async def outcome_of(call: Callable[[], Awaitable[object]]) -> type[ClinicError] | None:
    """Make the call and return the class of the error it raised, or None."""
    started = Attempt()
    await started.run(call)
    return await started.outcome()

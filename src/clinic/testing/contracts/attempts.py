"""Something tried in the background, to see whether it waits and how it ends."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from clinic.domain.errors import ClinicError


class Attempt:
    """A call running as a task of its own, and what came of it."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._error: ClinicError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._done.is_set()

    async def outcome(self, timeout_s: float = 10) -> type[ClinicError] | None:
        """Wait for the end and return the error's class, or None when it went well."""
        with anyio.fail_after(timeout_s):
            await self._done.wait()
        return type(self._error) if self._error else None

    async def run(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make the call and keep what it refuses."""
        try:
            await call()
        except ClinicError as error:
            self._error = error
        finally:
            self._done.set()


async def attempt(
    group: TaskGroup, call: Callable[[], Awaitable[object]], settle_s: float
) -> Attempt:
    """Start `call` in the group, give it time to end or to meet a lock, and return it."""
    started = Attempt()
    group.start_soon(started.run, call)
    with anyio.move_on_after(settle_s):
        await started._done.wait()
    return started


async def outcome_of(call: Callable[[], Awaitable[object]]) -> type[ClinicError] | None:
    """Make the call and return the class of the error it raised, or None."""
    started = Attempt()
    await started.run(call)
    return await started.outcome()

"""Combines reads of concurrent callers: calls made during one statement share the next.

A short statement costs both sides more to send and receive than to execute.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from clinic.adapters.postgres.engine.prepared_statements import Row

#: most calls that share a statement, and most statements in flight. With larger batches all callers
#: would wait for the same answer, and this process would idle meanwhile.
BATCH_MAX = 8
IN_FLIGHT_MAX = 2

Fetch = Callable[[str, Sequence[object]], Awaitable[list[Row]]]
_Call = tuple[Sequence[object], "asyncio.Future[Row | None]"]


class Batcher:
    """Loads rows with `statement`, whose parameters are one array for each parameter of a call.

    Its rows begin with the number of the call, counted from 1; at most one row per call. It is sent
    after all its calls were made, so each caller sees everything committed before its call.
    """

    def __init__(self, fetch: Fetch, statement: str) -> None:
        self._fetch = fetch
        self._statement = statement
        self._waiting: deque[_Call] = deque()
        self._in_flight = 0
        #: references to running tasks: the event loop holds only weak ones
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, parameters: Sequence[object]) -> Row | None:
        """Return the row for these parameters, without its number, or None. Raises as `fetch`."""
        loaded: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((parameters, loaded))
        if self._in_flight < IN_FLIGHT_MAX:
            self._in_flight += 1
            task = asyncio.create_task(self._run(), name="batch")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await loaded

    async def _run(self) -> None:
        try:
            while self._waiting:
                number = min(BATCH_MAX, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(number)]
                # Leave out callers that have given up.
                batch = [each for each in batch if not each[1].done()]
                if batch:
                    await self._load(batch)
        finally:
            # No await since the queue was found empty, so the next caller starts another run.
            self._in_flight -= 1

    async def _load(self, batch: Sequence[_Call]) -> None:
        columns = [list(column) for column in zip(*(each[0] for each in batch), strict=True)]
        try:
            rows = await self._fetch(self._statement, columns)
        except Exception as error:  # noqa: BLE001 - handed to the callers
            for _, loaded in batch:
                if not loaded.done():
                    loaded.set_exception(error)
            return
        except BaseException:
            for _, loaded in batch:
                loaded.cancel()
            raise
        found = {number: tuple(found) for number, *found in rows}
        for number, (_, loaded) in enumerate(batch, 1):
            if not loaded.done():
                loaded.set_result(found.get(number))

"""Connections at hand: psycopg's pool opens and replaces them, and they are kept here between uses.

Its own lending is made for every case, and costs as much as a short statement does.
"""

import asyncio
from collections import deque

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from clinic.adapters.postgres.hot_connection import HotConnection
from clinic.ports.figures import StoreFigures

#: how soon a server that is away is looked for again while callers wait
LOOK_AGAIN_S = 0.5


class HotPool:
    """At most `size` connections of `opener`; who finds none waits its turn, up to `timeout_s`."""

    def __init__(
        self,
        opener: AsyncConnectionPool[HotConnection],
        *,
        size: int,
        timeout_s: float,
        figures: StoreFigures | None = None,
    ) -> None:
        self._figures = figures or StoreFigures()
        self._opener = opener
        self._timeout_s = timeout_s
        self._free: list[HotConnection] = []
        #: how many more may be lent
        self._left = size
        #: who waits, in the order of coming, and until when
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    async def open(self, timeout_s: float) -> None:
        """Connect; once. Raises psycopg.Error."""
        await self._opener.open()
        self._free.append(await self._opened(timeout_s))

    async def close(self) -> None:
        """Close every connection, those that are lent when they come back."""
        self._closed = True
        while self._free:
            await self._opener.putconn(self._free.pop())
        await self._opener.close()

    async def take(self) -> HotConnection:
        """Return a connection that is up, to be given back. Raises psycopg.Error."""
        if self._left and not self._queue:
            self._left -= 1
        else:
            await self._turn()
        try:
            while self._free:
                connection = self._free.pop()
                if not connection.is_stale():
                    return connection
                await self._replace(connection)
            return await self._opened(self._timeout_s)
        except BaseException:
            self._next()
            raise

    async def _opened(self, timeout_s: float) -> HotConnection:
        """Return a connection of the opener's. Raises psycopg.Error."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                # Each call makes the opener look for its server, which one long wait would not.
                return await self._opener.getconn(min(LOOK_AGAIN_S, left_s))
            except PoolTimeout:
                if left_s <= LOOK_AGAIN_S:
                    raise

    async def give_back(self, connection: HotConnection) -> None:
        """Take a connection back, whatever has become of it."""
        try:
            if self._closed or connection.closed:
                await self._replace(connection)
            else:
                self._free.append(connection)
        finally:
            self._next()

    async def _replace(self, connection: HotConnection) -> None:
        """Let the opener put a new connection in place of this one."""
        await connection.close()
        await self._opener.putconn(connection)

    async def _turn(self) -> None:
        """Return when a connection may be taken, which is then counted. Raises PoolTimeout."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        began_s = loop.time()
        deadline = began_s + self._timeout_s
        self._queue.append((turn, deadline))
        # One timer for all of them: asyncio.timeout would set one for each.
        if self._watch is None:
            self._watch = loop.call_at(deadline, self._look)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # It was this one's turn, just too late.
                self._next()
            raise
        finally:
            self._figures.pool_waits += 1
            self._figures.pool_wait_s += loop.time() - began_s

    def _look(self) -> None:
        """Send away whoever has waited too long; look again when the next one would have."""
        self._watch = None
        loop = asyncio.get_running_loop()
        while self._queue:
            turn, deadline = self._queue[0]
            if not turn.done():
                if deadline > loop.time():
                    self._watch = loop.call_at(deadline, self._look)
                    return
                turn.set_exception(PoolTimeout(f"no connection within {self._timeout_s} s"))
            self._queue.popleft()

    def _next(self) -> None:
        """Pass on what may be lent again: to whoever waits longest, else to anybody."""
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._left += 1

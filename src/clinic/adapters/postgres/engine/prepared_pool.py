"""A pool of prepared connections: psycopg's pool opens and replaces them, this one lends them.

Lending by psycopg's pool covers every case, and costs as much as a short statement does.
"""

import asyncio
from collections import deque

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection
from clinic.ports.figures import StoreFigures

#: how soon a server that is away is tried again while callers wait
RETRY_S = 0.5


class PreparedPool:
    """At most `size` connections of `opener`; callers queue in order for up to `timeout_s`."""

    def __init__(
        self,
        opener: AsyncConnectionPool[PreparedConnection],
        *,
        size: int,
        timeout_s: float,
        figures: StoreFigures | None = None,
    ) -> None:
        self._figures = figures or StoreFigures()
        self._opener = opener
        self._timeout_s = timeout_s
        self._free: list[PreparedConnection] = []
        #: how many more may be lent
        self._left = size
        #: the callers that wait, in order of arrival, and until when
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    async def open(self, timeout_s: float) -> None:
        """Connect; once. Raises psycopg.Error."""
        await self._opener.open()
        self._free.append(await self._opened(timeout_s))

    async def close(self) -> None:
        """Close every connection, those that are lent when they are released."""
        self._closed = True
        while self._free:
            await self._opener.putconn(self._free.pop())
        await self._opener.close()

    async def acquire(self) -> PreparedConnection:
        """Return a connection that is up, to be released. Raises psycopg.Error."""
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

    async def _opened(self, timeout_s: float) -> PreparedConnection:
        """Return a connection of the opener's. Raises psycopg.Error."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                # Each call makes the opener try its server, which one long wait would not.
                return await self._opener.getconn(min(RETRY_S, left_s))
            except PoolTimeout:
                if left_s <= RETRY_S:
                    raise

    async def release(self, connection: PreparedConnection) -> None:
        """Take a connection back, in whatever state it is."""
        try:
            if self._closed or connection.closed:
                await self._replace(connection)
            else:
                self._free.append(connection)
        finally:
            self._next()

    async def _replace(self, connection: PreparedConnection) -> None:
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
            self._watch = loop.call_at(deadline, self._expire)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Its turn came, just too late.
                self._next()
            raise
        finally:
            self._figures.pool_waits += 1
            self._figures.pool_wait_s += loop.time() - began_s

    def _expire(self) -> None:
        """Refuse callers that waited too long; run again when the next one would have."""
        self._watch = None
        loop = asyncio.get_running_loop()
        while self._queue:
            turn, deadline = self._queue[0]
            if not turn.done():
                if deadline > loop.time():
                    self._watch = loop.call_at(deadline, self._expire)
                    return
                turn.set_exception(PoolTimeout(f"no connection within {self._timeout_s} s"))
            self._queue.popleft()

    def _next(self) -> None:
        """Lend again what came back: to the caller that waits longest, else to the next."""
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._left += 1

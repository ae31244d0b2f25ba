"""A pool of prepared connections: psycopg's pool opens and replaces them, this one lends them.

Lending by psycopg's pool covers more cases, but costs as much as a short statement.
"""

import asyncio
from collections import deque

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection
from clinic.ports.figures import StoreFigures

#: how often to retry an unreachable server while callers wait
RETRY_S = 0.5


class PreparedPool:
    """Lends up to `size` connections of `opener`; callers queue in order for up to `timeout_s`."""

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
        #: how many more connections may be lent
        self._left = size
        #: waiting callers, in order of arrival, with their deadlines
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    async def open(self, timeout_s: float) -> None:
        """Connect; call it only once. Raises psycopg.Error."""
        await self._opener.open()
        self._free.append(await self._opened(timeout_s))

    async def close(self) -> None:
        """Close every connection; lent ones are closed when they are released."""
        self._closed = True
        while self._free:
            await self._opener.putconn(self._free.pop())
        await self._opener.close()

    async def acquire(self) -> PreparedConnection:
        """Return a live connection, which the caller must release. Raises psycopg.Error."""
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
        """Return a connection from the opener. Raises psycopg.Error."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                # Each call makes the opener retry the server, which one long wait would not.
                return await self._opener.getconn(min(RETRY_S, left_s))
            except PoolTimeout:
                if left_s <= RETRY_S:
                    raise

    async def release(self, connection: PreparedConnection) -> None:
        """Take a connection back, whatever state it is in."""
        try:
            if self._closed or connection.closed:
                await self._replace(connection)
            else:
                self._free.append(connection)
        finally:
            self._next()

    async def _replace(self, connection: PreparedConnection) -> None:
        """Close the connection and let the opener replace it."""
        await connection.close()
        await self._opener.putconn(connection)

    async def _turn(self) -> None:
        """Wait until a connection may be taken; it is counted as lent. Raises PoolTimeout."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        began_s = loop.time()
        deadline = began_s + self._timeout_s
        self._queue.append((turn, deadline))
        # One timer for all callers: asyncio.timeout would set one for each.
        if self._watch is None:
            self._watch = loop.call_at(deadline, self._expire)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The caller was cancelled just after its turn came: pass the turn on.
                self._next()
            raise
        finally:
            self._figures.pool_waits += 1
            self._figures.pool_wait_s += loop.time() - began_s

    def _expire(self) -> None:
        """Refuse callers that have waited too long; run again at the next one's deadline."""
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
        """Pass a released place to the caller that waits longest, or count it as free."""
        while self._queue:
            turn, _ = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._left += 1

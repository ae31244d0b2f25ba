"""One connection to Redis that many callers share; each gets the reply to its own command.

redis-py lends a connection to one caller at a time and spends 50 µs more in Python per command.
Here it only opens the connection; hiredis packs commands and reads replies. Commands of one turn of
the event loop are sent together (decision record 067 has the figures).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_Command = tuple[str | bytes | int, ...]
#: a caller's future, and its deadline
_Waiter = tuple["asyncio.Future[Any]", float]


class MultiplexedConnection:
    """A connection to the server at `url` (redis://, rediss:// or unix://), opened when needed.

    A command without a reply within `timeout_s` fails together with all later ones: the connection
    is aborted, and the next command opens a new one. The same happens when the server sends
    something unsolicited, since every later reply would go to the wrong caller.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The client would retry three times by itself.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._protocol: _RedisProtocol | None = None
        self._opening: asyncio.Task[_RedisProtocol] | None = None
        self._is_closed = False

    def execute(self, *command: str | bytes | int) -> Awaitable[Any]:
        """Return an awaitable of the reply to a command. Awaiting it raises RedisError, OSError."""
        protocol = self._protocol
        if protocol is None or protocol.is_closed:
            return self._open_and_execute(command)
        return protocol.execute(command)

    def abort(self) -> None:
        """Abort the connection, after a reply that cannot belong to its command."""
        if self._protocol is not None:
            self._protocol.abort(RedisConnectionError("Redis sent the wrong reply"))

    async def close(self) -> None:
        """Close for good."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._protocol is not None:
            self._protocol.abort(RedisConnectionError("closed"))
        await self._redis.aclose()

    async def _open_and_execute(self, command: _Command) -> Any:
        return await (await self._open()).execute(command)

    async def _open(self) -> "_RedisProtocol":
        """Return a new connection's protocol; concurrent callers share it."""
        if self._is_closed:
            raise RedisConnectionError("closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect(), name="redis connect")
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        # A cancelled caller does not cancel it for the others.
        await asyncio.wait((opening,))
        if opening.cancelled():
            raise RedisConnectionError("closed")
        return opening.result()

    def _opened(self, opening: "asyncio.Task[_RedisProtocol]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._protocol = opening.result()
            if self._is_closed:
                self._protocol.abort(RedisConnectionError("closed"))

    async def _connect(self) -> "_RedisProtocol":
        pool: Any = self._redis.connection_pool
        connection = pool.make_connection()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()
        except TimeoutError as error:
            await connection.disconnect(nowait=True)
            raise RedisTimeoutError("Redis does not answer") from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # It has signed in and chosen the database. From here on its streams are ours, since its own
        # reading serves one caller at a time. It must not keep them: it closes them when collected.
        reader, writer = connection._reader, connection._writer
        connection._reader = connection._writer = None
        if reader._buffer or reader.at_eof() or reader.exception():
            writer.transport.abort()
            raise RedisConnectionError("Redis sent something unsolicited")
        return _RedisProtocol(writer, self._timeout_s)


class _RedisProtocol(asyncio.Protocol):
    """Commands and replies on one open connection."""

    def __init__(self, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        # Kept, because it closes its transport when it is collected.
        self._writer = writer
        self._transport = writer.transport
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        #: packed commands that are not sent yet, with their callers
        self._unsent: list[tuple[bytes, _Waiter]] = []
        #: callers whose commands were sent, in the order of the replies
        self._waiting: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.is_closed = False
        self._transport.set_protocol(self)

    def execute(self, command: _Command) -> "asyncio.Future[Any]":
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.is_closed:
            reply.set_exception(RedisConnectionError("Redis closed the connection"))
            return reply
        deadline = self._loop.time() + self._timeout_s
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append((hiredis.pack_command(cast(Any, command)), (reply, deadline)))
        return reply

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent:
            packed, waiters = zip(*unsent, strict=True)
            self._waiting.extend(waiters)
            if self._timer is None:
                self._timer = self._loop.call_at(self._waiting[0][1], self._check_deadline)
            self._transport.write(b"".join(packed))

    def _check_deadline(self) -> None:
        """Abort if the first caller's deadline has passed, else check again at that deadline."""
        self._timer = None
        if not self._waiting:
            return
        deadline = self._waiting[0][1]
        if deadline <= self._loop.time():
            self.abort(RedisTimeoutError("Redis does not answer"))
        else:
            self._timer = self._loop.call_at(deadline, self._check_deadline)

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            # It would count as the next reply.
            self.abort(RedisConnectionError("Redis sent something unsolicited"))
            return
        try:
            self._reader.feed(data)
            while self._waiting and (reply := self._reader.gets()) is not False:
                waiter, _ = self._waiting.popleft()
                # Cancelled by its caller.
                if waiter.done():
                    continue
                if isinstance(reply, hiredis.ReplyError):
                    waiter.set_exception(ResponseError(str(reply)))
                else:
                    waiter.set_result(reply)
        except hiredis.HiredisError as error:
            self.abort(RedisConnectionError(str(error)))
            return
        if not self._waiting and self._reader.has_data():
            self.abort(RedisConnectionError("Redis sent something unsolicited"))

    def connection_lost(self, error: Exception | None) -> None:
        self.abort(RedisConnectionError(str(error or "Redis closed the connection")))

    def abort(self, reason: RedisError) -> None:
        """Close without waiting; every caller that still waits gets `reason`."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [*self._waiting, *(waiter for _, waiter in self._unsent)]
        self._waiting.clear()
        self._unsent.clear()
        for waiter, _ in waiting:
            if not waiter.done():
                waiter.set_exception(reason)
        self._transport.abort()

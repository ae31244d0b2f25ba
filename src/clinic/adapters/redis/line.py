"""One connection to Redis on which many ask at once, each answered in turn.

redis-py lends a connection to one caller at a time and takes 50 µs of Python for a command; here it
opens the connection, and hiredis packs and reads what goes over it. What is asked in one turn of
the event loop leaves in one piece (docs/performance.md has the figures).
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
#: who waits, and until when
_Waiter = tuple["asyncio.Future[Any]", float]


class Line:
    """A connection to the server at `url` (redis://, rediss:// or unix://), opened when needed.

    A question that has no answer within `timeout_s` fails with all behind it: the connection is
    given up then, and the next question opens a new one. So it is when the server says something
    that nobody has asked for, since every later answer would go to the wrong caller.
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
        self._conversation: _Conversation | None = None
        self._opening: asyncio.Task[_Conversation] | None = None
        self._is_closed = False

    def ask(self, *command: str | bytes | int) -> Awaitable[Any]:
        """Return what gives the answer to a command. Awaiting it raises RedisError, OSError."""
        conversation = self._conversation
        if conversation is None or conversation.is_over:
            return self._open_and_ask(command)
        return conversation.ask(command)

    def give_up(self) -> None:
        """Give the connection up, after an answer that cannot be one to what was asked."""
        if self._conversation is not None:
            self._conversation.hang_up(RedisConnectionError("Redis answers something else"))

    async def close(self) -> None:
        """Hang up, for good."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._conversation is not None:
            self._conversation.hang_up(RedisConnectionError("closed"))
        await self._redis.aclose()

    async def _open_and_ask(self, command: _Command) -> Any:
        return await (await self._open()).ask(command)

    async def _open(self) -> "_Conversation":
        """Return a new conversation; those who come meanwhile share it."""
        if self._is_closed:
            raise RedisConnectionError("closed")
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect(), name="redis connect")
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        # Whoever gives up leaves it to the others.
        await asyncio.wait((opening,))
        if opening.cancelled():
            raise RedisConnectionError("closed")
        return opening.result()

    def _opened(self, opening: "asyncio.Task[_Conversation]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._conversation = opening.result()
            if self._is_closed:
                self._conversation.hang_up(RedisConnectionError("closed"))

    async def _connect(self) -> "_Conversation":
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
        # It has signed in and chosen the database. From here on the bytes are ours, since its own
        # reading serves one caller at a time; and so is the end, which it would make when it goes.
        reader, writer = connection._reader, connection._writer
        connection._reader = connection._writer = None
        if reader._buffer or reader.at_eof() or reader.exception():
            writer.transport.abort()
            raise RedisConnectionError("Redis sent something unsolicited")
        return _Conversation(writer, self._timeout_s)


class _Conversation(asyncio.Protocol):
    """Questions and answers on one open connection."""

    def __init__(self, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        # Kept, because it closes its transport when it goes.
        self._writer = writer
        self._transport = writer.transport
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        #: what has yet to be sent, and who asks it
        self._outgoing: list[tuple[bytes, _Waiter]] = []
        #: who waits for what was sent, in the order of the answers
        self._waiting: deque[_Waiter] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.is_over = False
        self._transport.set_protocol(self)

    def ask(self, command: _Command) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.is_over:
            answer.set_exception(RedisConnectionError("Redis closed the connection"))
            return answer
        deadline = self._loop.time() + self._timeout_s
        if not self._outgoing:
            self._loop.call_soon(self._send)
        self._outgoing.append((hiredis.pack_command(cast(Any, command)), (answer, deadline)))
        return answer

    def _send(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing:
            packed, waiters = zip(*outgoing, strict=True)
            self._waiting.extend(waiters)
            if self._watch is None:
                self._watch = self._loop.call_at(self._waiting[0][1], self._look)
            self._transport.write(b"".join(packed))

    def _look(self) -> None:
        """Hang up when the first one has waited too long, else look again when that would be."""
        self._watch = None
        if not self._waiting:
            return
        deadline = self._waiting[0][1]
        if deadline <= self._loop.time():
            self.hang_up(RedisTimeoutError("Redis does not answer"))
        else:
            self._watch = self._loop.call_at(deadline, self._look)

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            # It would be taken for the next answer.
            self.hang_up(RedisConnectionError("Redis sent something unsolicited"))
            return
        try:
            self._reader.feed(data)
            while self._waiting and (answer := self._reader.gets()) is not False:
                waiter, _ = self._waiting.popleft()
                # Who stopped waiting has cancelled it.
                if waiter.done():
                    continue
                if isinstance(answer, hiredis.ReplyError):
                    waiter.set_exception(ResponseError(str(answer)))
                else:
                    waiter.set_result(answer)
        except hiredis.HiredisError as error:
            self.hang_up(RedisConnectionError(str(error)))
            return
        if not self._waiting and self._reader.has_data():
            self.hang_up(RedisConnectionError("Redis sent something unsolicited"))

    def connection_lost(self, error: Exception | None) -> None:
        self.hang_up(RedisConnectionError(str(error or "Redis closed the connection")))

    def hang_up(self, reason: RedisError) -> None:
        """End it; whoever still waits is told why."""
        self.is_over = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        waiting = [*self._waiting, *(waiter for _, waiter in self._outgoing)]
        self._waiting.clear()
        self._outgoing.clear()
        for waiter, _ in waiting:
            if not waiter.done():
                waiter.set_exception(reason)
        self._transport.abort()

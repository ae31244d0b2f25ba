"""Redis responses that are delayed, cut, reset or forged at each of their bytes.

Whatever happens, each request ends, no other caller of the process waits, and no caller gets the
response to another's request.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import hiredis
import pytest
import redis
import uvloop
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from tests.byte_proxy import GARBAGE, HOLD_S, ByteProxy, spoil

from clinic.adapters.redis import RedisIdempotencyCache, idempotency_cache
from clinic.adapters.redis.multiplexed_connection import MultiplexedConnection
from clinic.adapters.redis.rate_limiter import RedisRateLimiter
from clinic.domain.errors import TemporaryFailure
from clinic.domain.idempotency import StoredAnswer
from clinic.domain.rate_limits import Limit
from clinic.testing.builders import a_clinic, a_request, a_stored_answer, new_id

SOON_S = 20.0
#: of a connection whose replies are not late
TIMEOUT_S = 10.0
KINDS = ("hold", "cut", "reset")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on either kind of loop, for a bounded time."""

    async def bounded(main: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(SOON_S):
            await main

    def run_on(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded(main))

    return run_on


@pytest.fixture
def proxy(valkey_url) -> Iterator[ByteProxy]:
    server = urlsplit(valkey_url)
    with ByteProxy(str(server.hostname), int(server.port or 6379)) as proxy:
        yield proxy


@pytest.fixture
def url(valkey_url: str, proxy: ByteProxy) -> str:
    """The store behind the proxy, in which two keys hold their own names."""
    with redis.Redis.from_url(valkey_url) as client:
        client.mset({"one": "one", "three": "three"})
    return valkey_url.replace(f":{urlsplit(valkey_url).port}/", f":{proxy.port}/")


@asynccontextmanager
async def open_connection(
    url: str, timeout_s: float = TIMEOUT_S
) -> AsyncIterator[MultiplexedConnection]:
    connection = MultiplexedConnection(url, timeout_s=timeout_s)
    try:
        yield connection
    finally:
        await connection.close()


async def asked(connection: MultiplexedConnection, *command: str) -> Any:
    """Return the answer, or the error that there is instead of one."""
    try:
        return await connection.execute(*command)
    except (RedisError, OSError) as error:
        return error


async def together(connection: MultiplexedConnection, mark: str) -> list[Any]:
    """Return the answers to three questions that leave in one piece."""
    commands = (("GET", "one"), ("ECHO", mark), ("GET", "three"))
    return await asyncio.gather(*(asked(connection, *command) for command in commands))


async def size_of(connection: MultiplexedConnection, proxy: ByteProxy) -> int:
    """Return how many bytes the three answers have."""
    measured = asyncio.create_task(together(connection, spoil("measure")))
    size = int(await asyncio.to_thread(proxy.told))
    await measured
    return size


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_any_byte_gives_an_answer_to_somebody_else(run, proxy, url, kind) -> None:
    async def spoilt(offset: int) -> None:
        mark = spoil(kind, offset)
        async with open_connection(url) as connection:
            assert await asked(connection, "GET", "one") == b"one"

            answers = await together(connection, mark)

            right = [b"one", mark.encode(), b"three"]
            got = [not isinstance(answer, RedisError | OSError) for answer in answers]
            assert [a for a, is_ in zip(answers, got, strict=True) if is_] == right[: sum(got)]
            assert got == sorted(got, reverse=True)
            assert kind != "hold" or all(got)
            again = await together(connection, "afterwards")
            if kind != "hold" and all(got) and isinstance(again[0], RedisError):
                # The connection was lost after the last byte.
                again = await together(connection, "afterwards")
            assert again == [b"one", b"afterwards", b"three"]

    async def main() -> None:
        async with open_connection(url) as connection:
            size = await size_of(connection, proxy)
        await asyncio.gather(*(spoilt(offset) for offset in range(size + 1)))

    run(main())


def test_answers_that_come_byte_by_byte_fail_when_their_time_is_up(run, url) -> None:
    async def main() -> None:
        async with open_connection(url, 5 * HOLD_S) as connection:
            assert await asked(connection, "GET", "one") == b"one"
            began = time.monotonic()

            answers = await together(connection, spoil("drip", 8))

            assert time.monotonic() - began < SOON_S / 4
            assert answers[0] == b"one" or isinstance(answers[0], RedisTimeoutError)
            assert [type(answer) for answer in answers[1:]] == [RedisTimeoutError] * 2
            assert await together(connection, "") == [b"one", b"", b"three"]

    run(main())


def test_late_answer_goes_to_nobody_else(run, url) -> None:
    async def main() -> None:
        async with open_connection(url, 3 * HOLD_S) as connection:
            assert await asked(connection, "GET", "one") == b"one"
            assert isinstance(await asked(connection, "ECHO", spoil("silence")), RedisTimeoutError)
            assert await asked(connection, "GET", "three") == b"three"

            # Whoever gives up leaves a place in the connection.
            held = asyncio.create_task(asked(connection, "ECHO", spoil("hold")))
            await asyncio.sleep(HOLD_S / 5)
            held.cancel()
            assert await together(connection, "") == [b"one", b"", b"three"]

    run(main())


@pytest.mark.parametrize("offset", [0, 4])
def test_garbage_ends_the_conversation(run, url, offset: int) -> None:
    async def main() -> None:
        async with open_connection(url, 5 * HOLD_S) as connection:
            assert await asked(connection, "GET", "one") == b"one"
            answer = await asked(connection, "ECHO", spoil("garbage", offset))
            assert isinstance(answer, RedisError)
            assert await asked(connection, "GET", "three") == b"three"

    run(main())


@pytest.mark.parametrize("is_later", [False, True], ids=["with an answer", "after it"])
def test_what_nobody_asked_for_is_no_answer(run, url, is_later: bool) -> None:
    """A second copy of a response."""

    async def main() -> None:
        async with open_connection(url) as connection:
            mark = spoil("twice", 0)
            mark = spoil("twice", len(f"${len(mark)}") + len(mark) + 4) if is_later else mark
            for _ in range(3):
                assert await asked(connection, "ECHO", mark) == mark.encode()
                # By then it is there.
                await asyncio.sleep(HOLD_S)
                assert await together(connection, "next") == [b"one", b"next", b"three"]

    run(main())


def test_error_is_for_whoever_asked(run, url) -> None:
    async def main() -> None:
        async with open_connection(url) as connection:
            commands = (("GET", "one"), ("INCR", "one"), ("GET", "three"))
            first, second, third = await asyncio.gather(
                *(asked(connection, *command) for command in commands)
            )

            assert isinstance(second, ResponseError)
            assert (first, third) == (b"one", b"three")

    run(main())


@pytest.fixture
def hanging_url() -> Iterator[str]:
    """A server that accepts connections and sends nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_connecting_that_hangs_ends_for_all_who_wait(run, hanging_url) -> None:
    async def main() -> None:
        async with open_connection(hanging_url, HOLD_S) as connection:
            gone = asyncio.create_task(asked(connection, "GET", "one"))
            await asyncio.sleep(0)
            gone.cancel()
            for _ in range(2):
                answers = await asyncio.gather(*(asked(connection, "GET", "one") for _ in range(3)))
                assert [type(answer) for answer in answers] == [RedisTimeoutError] * 3

    run(main())


def test_closing_while_it_opens_ends_what_waits_and_opens_nothing(run, hanging_url) -> None:
    async def main() -> None:
        connection = MultiplexedConnection(hanging_url, timeout_s=TIMEOUT_S)
        waiting = asyncio.create_task(asked(connection, "GET", "one"))
        await asyncio.sleep(HOLD_S / 5)

        await connection.close()

        assert isinstance(await waiting, RedisError)
        assert isinstance(await asked(connection, "GET", "one"), RedisError)

    run(main())


def test_line_that_opened_once_and_was_lost_opens_again_at_once(run, url) -> None:
    async def main() -> None:
        async with open_connection(url) as connection:
            for _ in range(3):
                assert isinstance(await asked(connection, "ECHO", spoil("cut")), RedisError)
                assert await asked(connection, "GET", "one") == b"one"

    run(main())


def test_count_that_is_none_is_a_failure_of_the_store(run, url) -> None:
    """As if unsolicited data had been taken for the count."""

    async def main() -> None:
        limiter = RedisRateLimiter(url)
        assert (await limiter.hit(Limit("plain", 5, 60), "ada")).remaining == 4
        with pytest.raises(TemporaryFailure):
            await limiter.hit(Limit(spoil("other"), 5, 60), "ada")
        assert (await limiter.hit(Limit("plain", 5, 60), "ada")).remaining == 3
        await limiter.close()

    run(main())


@dataclass
class SpoilingStore:
    """Holds one value, and spoils its first reply to a GET at a byte of the reply.

    As ByteProxy does, which cannot tell one GET of the cache from another: their keys are hashes.
    """

    kind: str | None
    offset: int
    value: bytes = b""
    url: str = ""
    conversations: list[asyncio.Task[None]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.conversations.append(cast("asyncio.Task[None]", asyncio.current_task()))
        commands = hiredis.Reader()
        with suppress(OSError):
            while data := await reader.read(65536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    await self._reply_to(command, writer)
        writer.close()

    async def _reply_to(self, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if command[0] == b"SET":
            self.value = command[2]
        if command[0] != b"GET":
            writer.write(b"+OK\r\n")
            return
        reply = self.reply
        kind, self.kind = self.kind, None
        if kind is None:
            writer.write(reply)
            return
        writer.write(reply[: self.offset])
        if kind == "hold":
            await asyncio.sleep(HOLD_S)
            writer.write(reply[self.offset :])
        elif kind == "cut":
            writer.close()
        elif kind == "garbage":
            writer.write(GARBAGE)

    @property
    def reply(self) -> bytes:
        return b"$%d\r\n%s\r\n" % (len(self.value), self.value)


@asynccontextmanager
async def spoiling_store(
    held: StoredAnswer, kind: str | None = None, offset: int = 0
) -> AsyncIterator[SpoilingStore]:
    store = SpoilingStore(kind, offset)
    async with await asyncio.start_server(store.serve, "127.0.0.1", 0) as server:
        store.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        cache = RedisIdempotencyCache(store.url, timeout_s=TIMEOUT_S)
        await cache.put(held)
        await cache.close()
        yield store
        await asyncio.gather(*store.conversations)


@pytest.mark.parametrize("kind", ["hold", "cut", "silence"])
def test_cache_finds_the_right_copy_or_none_whatever_happens_at_any_byte(
    run, monkeypatch, kind: str
) -> None:
    monkeypatch.setattr(idempotency_cache, "PAUSE_S", 0.0)
    stored = a_stored_answer(a_request(a_clinic(), new_id()))
    timeout_s = 5 * HOLD_S if kind == "silence" else TIMEOUT_S

    async def spoilt(offset: int, some: asyncio.Semaphore) -> bool:
        """Say whether the copy was found at once."""
        async with some, spoiling_store(stored, kind, offset) as store:
            cache = RedisIdempotencyCache(store.url, timeout_s=timeout_s)
            found = await cache.get(stored.request)
            assert found in (None, stored)
            while await cache.get(stored.request) != stored:  # noqa: ASYNC110 - a real server
                await asyncio.sleep(0)
            await cache.close()
        return found is not None

    async def main() -> None:
        async with spoiling_store(stored) as store:
            size = len(store.reply)
        some = asyncio.Semaphore(32)
        found = await asyncio.gather(*(spoilt(offset, some) for offset in range(size + 1)))
        assert found[:size] == [kind == "hold"] * size
        assert found[size]

    run(main())


@pytest.mark.parametrize("offset", [0, 4])
def test_cache_that_gets_garbage_finds_nothing_and_goes_on(run, monkeypatch, offset: int) -> None:
    monkeypatch.setattr(idempotency_cache, "PAUSE_S", 0.0)
    stored = a_stored_answer(a_request(a_clinic(), new_id()))

    async def main() -> None:
        async with spoiling_store(stored, "garbage", offset) as store:
            cache = RedisIdempotencyCache(store.url, timeout_s=5 * HOLD_S)
            assert await cache.get(stored.request) is None
            while await cache.get(stored.request) != stored:  # noqa: ASYNC110 - a real server
                await asyncio.sleep(0)
            await cache.close()

    run(main())


def test_cache_that_gets_another_s_copy_finds_nothing_and_goes_on(run) -> None:
    mine, theirs = (a_stored_answer(a_request(a_clinic(), new_id())) for _ in range(2))

    async def main() -> None:
        async with spoiling_store(theirs) as store:
            cache = RedisIdempotencyCache(store.url, timeout_s=TIMEOUT_S)
            assert await cache.get(mine.request) is None
            assert await cache.get(theirs.request) == theirs
            await cache.close()

    run(main())

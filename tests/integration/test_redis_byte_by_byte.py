"""Answers of Redis that are held back, cut, reset or made up, at each of their bytes.

Whatever happens, a question ends, nobody else of the process waits, and nobody is given the answer
to another one's question.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import uvloop
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from tests.byte_proxy import HOLD_S, ByteProxy, spoil

from clinic.adapters.redis.line import Line
from clinic.adapters.redis.rate_limiter import RedisRateLimiter
from clinic.domain.errors import TemporaryFailure
from clinic.domain.rate_limits import Limit

SOON_S = 20.0
#: of a line whose answers are not late
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
async def open_line(url: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Line]:
    line = Line(url, timeout_s=timeout_s)
    try:
        yield line
    finally:
        await line.close()


async def asked(line: Line, *command: str) -> Any:
    """Return the answer, or the error that there is instead of one."""
    try:
        return await line.ask(*command)
    except (RedisError, OSError) as error:
        return error


async def together(line: Line, mark: str) -> list[Any]:
    """Return the answers to three questions that leave in one piece."""
    commands = (("GET", "one"), ("ECHO", mark), ("GET", "three"))
    return await asyncio.gather(*(asked(line, *command) for command in commands))


async def size_of(line: Line, proxy: ByteProxy) -> int:
    """Return how many bytes the three answers have."""
    measured = asyncio.create_task(together(line, spoil("measure")))
    size = int(await asyncio.to_thread(proxy.told))
    await measured
    return size


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_at_any_byte_gives_an_answer_to_somebody_else(run, proxy, url, kind) -> None:
    async def spoilt(offset: int) -> None:
        mark = spoil(kind, offset)
        async with open_line(url) as line:
            assert await asked(line, "GET", "one") == b"one"

            answers = await together(line, mark)

            right = [b"one", mark.encode(), b"three"]
            got = [not isinstance(answer, RedisError | OSError) for answer in answers]
            assert [a for a, is_ in zip(answers, got, strict=True) if is_] == right[: sum(got)]
            assert got == sorted(got, reverse=True)
            assert kind != "hold" or all(got)
            again = await together(line, "afterwards")
            if kind != "hold" and all(got) and isinstance(again[0], RedisError):
                # The connection was lost after the last byte.
                again = await together(line, "afterwards")
            assert again == [b"one", b"afterwards", b"three"]

    async def main() -> None:
        async with open_line(url) as line:
            size = await size_of(line, proxy)
        await asyncio.gather(*(spoilt(offset) for offset in range(size + 1)))

    run(main())


def test_answers_that_come_byte_by_byte_fail_when_their_time_is_up(run, url) -> None:
    async def main() -> None:
        async with open_line(url, 5 * HOLD_S) as line:
            assert await asked(line, "GET", "one") == b"one"
            began = time.monotonic()

            answers = await together(line, spoil("drip", 8))

            assert time.monotonic() - began < SOON_S / 4
            assert answers[0] == b"one" or isinstance(answers[0], RedisTimeoutError)
            assert [type(answer) for answer in answers[1:]] == [RedisTimeoutError] * 2
            assert await together(line, "") == [b"one", b"", b"three"]

    run(main())


def test_late_answer_goes_to_nobody_else(run, url) -> None:
    async def main() -> None:
        async with open_line(url, 3 * HOLD_S) as line:
            assert await asked(line, "GET", "one") == b"one"
            assert isinstance(await asked(line, "ECHO", spoil("silence")), RedisTimeoutError)
            assert await asked(line, "GET", "three") == b"three"

            # Whoever gives up leaves a place in the line.
            held = asyncio.create_task(asked(line, "ECHO", spoil("hold")))
            await asyncio.sleep(HOLD_S / 5)
            held.cancel()
            assert await together(line, "") == [b"one", b"", b"three"]

    run(main())


@pytest.mark.parametrize("offset", [0, 4])
def test_garbage_ends_the_conversation(run, url, offset: int) -> None:
    async def main() -> None:
        async with open_line(url, 5 * HOLD_S) as line:
            assert await asked(line, "GET", "one") == b"one"
            answer = await asked(line, "ECHO", spoil("garbage", offset))
            assert isinstance(answer, RedisError)
            assert await asked(line, "GET", "three") == b"three"

    run(main())


@pytest.mark.parametrize("is_later", [False, True], ids=["with an answer", "after it"])
def test_what_nobody_asked_for_is_no_answer(run, url, is_later: bool) -> None:
    """A second copy of an answer."""

    async def main() -> None:
        async with open_line(url) as line:
            mark = spoil("twice", 0)
            mark = spoil("twice", len(f"${len(mark)}") + len(mark) + 4) if is_later else mark
            for _ in range(3):
                assert await asked(line, "ECHO", mark) == mark.encode()
                # By then it is there.
                await asyncio.sleep(HOLD_S)
                assert await together(line, "next") == [b"one", b"next", b"three"]

    run(main())


def test_error_is_for_whoever_asked(run, url) -> None:
    async def main() -> None:
        async with open_line(url) as line:
            commands = (("GET", "one"), ("INCR", "one"), ("GET", "three"))
            first, second, third = await asyncio.gather(
                *(asked(line, *command) for command in commands)
            )

            assert isinstance(second, ResponseError)
            assert (first, third) == (b"one", b"three")

    run(main())


@pytest.fixture
def hanging_url() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_connecting_that_hangs_ends_for_all_who_wait(run, hanging_url) -> None:
    async def main() -> None:
        async with open_line(hanging_url, HOLD_S) as line:
            gone = asyncio.create_task(asked(line, "GET", "one"))
            await asyncio.sleep(0)
            gone.cancel()
            for _ in range(2):
                answers = await asyncio.gather(*(asked(line, "GET", "one") for _ in range(3)))
                assert [type(answer) for answer in answers] == [RedisTimeoutError] * 3

    run(main())


def test_closing_while_it_opens_ends_what_waits_and_opens_nothing(run, hanging_url) -> None:
    async def main() -> None:
        line = Line(hanging_url, timeout_s=TIMEOUT_S)
        waiting = asyncio.create_task(asked(line, "GET", "one"))
        await asyncio.sleep(HOLD_S / 5)

        await line.close()

        assert isinstance(await waiting, RedisError)
        assert isinstance(await asked(line, "GET", "one"), RedisError)

    run(main())


def test_line_that_opened_once_and_was_lost_opens_again_at_once(run, url) -> None:
    async def main() -> None:
        async with open_line(url) as line:
            for _ in range(3):
                assert isinstance(await asked(line, "ECHO", spoil("cut")), RedisError)
                assert await asked(line, "GET", "one") == b"one"

    run(main())


def test_count_that_is_none_is_a_failure_of_the_store(run, url) -> None:
    """As when something unasked for has been taken for it."""

    async def main() -> None:
        limiter = RedisRateLimiter(url)
        assert (await limiter.hit(Limit("plain", 5, 60), "ada")).remaining == 4
        with pytest.raises(TemporaryFailure):
            await limiter.hit(Limit(spoil("other"), 5, 60), "ada")
        assert (await limiter.hit(Limit("plain", 5, 60), "ada")).remaining == 3
        await limiter.close()

    run(main())

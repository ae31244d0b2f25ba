"""The cache of answers when Redis loses data, is down, hangs, or sends garbage."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from clinic.adapters.redis import RedisIdempotencyCache
from clinic.domain.idempotency import StoredAnswer
from clinic.testing import IdempotencyCacheContract
from clinic.testing.builders import a_clinic, a_request, a_stored_answer, new_id

pytestmark = pytest.mark.anyio

#: the cache's timeout of 50 ms, with a margin for a busy machine
#: much less than waiting for each of them, or without a limit, would take
BRIEFLY_S = 1.0
#: enough even on a busy machine, for tests that need a stored copy
PATIENTLY_S = 30.0


@pytest.fixture
async def cache(valkey_url: str) -> AsyncIterator[RedisIdempotencyCache]:
    cache = RedisIdempotencyCache(valkey_url, timeout_s=PATIENTLY_S)
    yield cache
    await cache.close()


class TestRedisIdempotencyCache(IdempotencyCacheContract):
    """The contract of the cache, on Valkey."""


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as redis:
        yield redis


def _an_answer() -> StoredAnswer:
    return a_stored_answer(a_request(a_clinic(), new_id()))


async def test_answer_is_forgotten_after_a_day_and_named_by_a_hash(
    cache: RedisIdempotencyCache, redis: Redis
) -> None:
    stored = _an_answer()

    await cache.put(stored)

    (name,) = await redis.keys()
    assert stored.request.key.encode() not in name
    assert stored.request.principal_id.hex.encode() not in name
    assert 86_000 < await redis.ttl(name) <= 86_400


async def test_flushed_cache_knows_nothing(cache: RedisIdempotencyCache, redis: Redis) -> None:
    stored = _an_answer()
    await cache.put(stored)

    await redis.flushdb()

    assert await cache.get(stored.request) is None


async def test_garbage_in_the_cache_is_no_answer(
    cache: RedisIdempotencyCache, redis: Redis
) -> None:
    stored = _an_answer()
    await cache.put(stored)
    (name,) = await redis.keys()

    for garbage in (b"", b"garbage", b"\x93\x01\x02\x03"):
        await redis.set(name, garbage)
        assert await cache.get(stored.request) is None


async def test_answer_of_somebody_else_is_not_handed_out(
    cache: RedisIdempotencyCache, redis: Redis
) -> None:
    mine, theirs = _an_answer(), _an_answer()
    await cache.put(mine)
    (name,) = await redis.keys()
    await cache.put(theirs)
    (other,) = set(await redis.keys()) - {name}

    await redis.rename(other, name)

    assert await cache.get(mine.request) is None


async def test_cache_without_a_server_knows_nothing_and_says_so_fast() -> None:
    cache = RedisIdempotencyCache("redis://127.0.0.1:1/0")
    stored = _an_answer()
    began = time.monotonic()

    await cache.put(stored)
    found = await cache.get(stored.request)

    assert found is None
    assert time.monotonic() - began < BRIEFLY_S
    await cache.close()


async def test_cache_without_a_server_is_not_certain_to_have_forgotten() -> None:
    cache = RedisIdempotencyCache("redis://127.0.0.1:1/0")

    assert not await cache.forget([b"n" * 32])
    # No request is sent for a while, which leaves it uncertain too.
    assert not await cache.forget([b"n" * 32])
    assert await cache.forget([])
    await cache.close()


async def test_server_that_hangs_costs_a_moment_once() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with _a_server(say_nothing) as (url, visits):
        cache = RedisIdempotencyCache(url)
        stored = _an_answer()
        times_s = []
        for _ in range(20):
            began = time.monotonic()
            assert await cache.get(stored.request) is None
            times_s.append(time.monotonic() - began)
        await cache.close()

    assert times_s[0] < BRIEFLY_S
    # It was not asked again.
    assert sum(times_s[1:]) < BRIEFLY_S
    assert len(visits) == 1


async def test_server_that_drips_is_not_waited_for() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        for _ in range(150):
            # Each byte comes within the socket's timeout.
            writer.write(b"+")
            await asyncio.sleep(0.02)

    async with _a_server(drip) as (url, _):
        cache = RedisIdempotencyCache(url)
        began = time.monotonic()

        assert await cache.get(_an_answer().request) is None

        assert time.monotonic() - began < BRIEFLY_S
        await cache.close()


@asynccontextmanager
async def _a_server(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[asyncio.Task[None]]]]:
    """Yield the URL of a server that is not Redis, and the list of its connections."""
    visits: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        visits.append(visit)
        try:
            with suppress(OSError):
                await behave(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", visits
        await asyncio.gather(*visits)


async def test_cache_is_asked_again_after_a_pause(
    cache: RedisIdempotencyCache, redis: Redis, valkey_url: str
) -> None:
    stored = _an_answer()
    await cache.put(stored)
    impatient = RedisIdempotencyCache(valkey_url)
    await redis.client_pause(200)
    assert await impatient.get(stored.request) is None

    found, deadline_s = None, time.monotonic() + PATIENTLY_S
    while found is None and time.monotonic() < deadline_s:
        await asyncio.sleep(0.05)
        found = await impatient.get(stored.request)

    assert found == stored
    await impatient.close()

"""Rate limits in Valkey: the contract, across several processes, and without Valkey."""

import asyncio
import subprocess
import sys
import time

import pytest

from clinic.adapters.redis.rate_limiter import PAUSE_S, RedisRateLimiter
from clinic.domain.errors import TemporaryFailure
from clinic.domain.rate_limits import Limit
from clinic.testing import RateLimiterContract

LIMIT = Limit("sign-in", 20, 60)
#: sends 100 hits at once, and returns how many were allowed
HITTER = """
import asyncio, sys
from clinic.adapters.redis.rate_limiter import RedisRateLimiter
from clinic.domain.rate_limits import Limit

async def main():
    limiter = RedisRateLimiter(sys.argv[1])
    hits = [limiter.hit(Limit("sign-in", 20, 60), "one key") for _ in range(100)]
    print(sum(verdict.allowed for verdict in await asyncio.gather(*hits)))
    await limiter.close()

asyncio.run(main())
"""


class TestRedisRateLimiter(RateLimiterContract):
    @pytest.fixture
    async def limiter(self, valkey_url):
        limiter = RedisRateLimiter(valkey_url)
        yield limiter
        await limiter.close()


def test_three_processes_at_once_never_exceed_the_quota(valkey_url):
    hitters = [
        subprocess.Popen([sys.executable, "-c", HITTER, valkey_url], stdout=subprocess.PIPE)
        for _ in range(3)
    ]

    allowed = [int(hitter.communicate()[0]) for hitter in hitters]

    assert sum(allowed) == 20


async def test_a_store_that_is_gone_is_told_at_once_and_not_asked_again_for_a_while():
    visits = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        limiter = RedisRateLimiter(f"redis://127.0.0.1:{port}/0")
        began = time.monotonic()
        for _ in range(50):
            with pytest.raises(TemporaryFailure):
                await limiter.hit(LIMIT, "ada")
        pauses = (time.monotonic() - began) / PAUSE_S
        await limiter.close()

    assert 1 <= visits <= 1 + pauses

"""Every contract, on the adapters in memory."""

import pytest
from tests.deprecated_names import DeprecatedNames

from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache
from clinic.adapters.memory.rate_limiter import MemoryRateLimiter
from clinic.adapters.memory.store import MemoryStore
from clinic.domain.rate_limits import Limit
from clinic.testing import IdempotencyCacheContract, RateLimiterContract, StoreContract

LIMIT = Limit("sign-in", 5, 60)


class TestMemoryStore(DeprecatedNames, StoreContract):
    settle_s = 0.001

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestMemoryIdempotencyCache(IdempotencyCacheContract):
    @pytest.fixture
    def cache(self) -> MemoryIdempotencyCache:
        return MemoryIdempotencyCache()


class TestMemoryRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> MemoryRateLimiter:
        return MemoryRateLimiter()

    @pytest.mark.anyio
    async def test_window_is_never_longer_than_it_is_however_the_clock_rounds(self) -> None:
        # As a float, a minute after this is a little more than a minute later.
        limiter = MemoryRateLimiter(lambda: 32753.8264771386)

        verdict = await limiter.hit(LIMIT, "ada")

        assert (verdict.reset_s, verdict.wait_s) == (60, 60)

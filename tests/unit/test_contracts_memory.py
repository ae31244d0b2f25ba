"""The adapters in memory keep every contract."""

import pytest

from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache
from clinic.adapters.memory.rate_limiter import MemoryRateLimiter
from clinic.adapters.memory.store import MemoryStore
from clinic.testing import IdempotencyCacheContract, RateLimiterContract, StoreContract


class TestMemoryStore(StoreContract):
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

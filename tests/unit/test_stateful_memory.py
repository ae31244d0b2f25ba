"""The store comparison on two stores in memory: the use cases keep every promise."""

from hypothesis import HealthCheck, settings

from clinic.adapters.memory.store import MemoryStore
from clinic.testing import StoreComparison


class MemoryComparison(StoreComparison):
    async def open_store(self) -> MemoryStore:
        return MemoryStore()


TestMemoryComparison = MemoryComparison.TestCase
TestMemoryComparison.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

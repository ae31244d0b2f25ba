"""Partitions, made with the owner's rights."""

from clinic.adapters.postgres.engine.executors import PooledExecutor


class PostgresPartitions:
    """Calls the owner's functions: the service's own role cannot create or drop tables."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def make_next(self) -> str | None:
        """Make the nearest missing partition and return its name, or None if none is missing."""
        rows = await self._executor.execute("SELECT clinic_make_next_partition()", ())
        name: str | None = rows[0][0]
        return name

    async def index_closed_months(self) -> int:
        """Complete the indexes of months that are over; return how many pieces were missing."""
        rows = await self._executor.execute("SELECT clinic_index_closed_months()", ())
        count: int = rows[0][0]
        return count

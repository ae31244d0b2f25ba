"""Partitions, made in their owner's name."""

from clinic.adapters.postgres.engine.executors import PooledExecutor


class PostgresPartitions:
    """Calls the owner's function: the service's own role makes no tables, and drops none."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def make_next(self) -> str | None:
        """Make the nearest partition that is missing and return its name; None without one."""
        rows = await self._executor.execute("SELECT clinic_make_next_partition()", ())
        name: str | None = rows[0][0]
        return name

    async def index_closed_months(self) -> int:
        """Complete the indexes of months that are over; return how many pieces were missing."""
        rows = await self._executor.execute("SELECT clinic_index_closed_months()", ())
        count: int = rows[0][0]
        return count

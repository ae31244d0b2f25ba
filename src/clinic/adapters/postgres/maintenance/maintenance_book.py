"""Leases and results of the maintenance services, a row for each."""

from datetime import timedelta
from uuid import UUID

from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.ports.maintenance import MaintenanceHistory, ServiceRecord, Turn

# $1 service, $2 token, $3 period, $4 retry, $5 lease in seconds. Of two workers that find it due,
# the second waits for the first and checks the row again. A start or a lease in the future dates
# from before the clock was set back. Only a run that begins writes.
_CLAIM = """
WITH again AS (
    UPDATE maintenance_runs
    SET token = $2, started_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => $5)
    WHERE service = $1 AND CASE
        WHEN lease_until IS NOT NULL THEN
            NOT lease_until BETWEEN clock_timestamp()
                AND clock_timestamp() + make_interval(secs => $5)
        ELSE started_at IS NULL OR NOT clock_timestamp() BETWEEN started_at AND started_at
            + make_interval(secs => CASE WHEN failures > 0 THEN $4::float8 ELSE $3 END)
        END
    RETURNING started_at
),
first AS (
    INSERT INTO maintenance_runs (service, token, started_at, lease_until)
    SELECT $1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $5)
    WHERE NOT EXISTS (SELECT FROM maintenance_runs WHERE service = $1)
    ON CONFLICT DO NOTHING RETURNING started_at
)
SELECT started_at FROM again UNION ALL SELECT started_at FROM first
"""

#: $1 service, $2 token
_OURS = "WHERE service = $1 AND token = $2 RETURNING 1"

_RENEW = f"""
UPDATE maintenance_runs SET lease_until = clock_timestamp() + make_interval(secs => $3) {_OURS}
"""

_SUCCEED = f"""
UPDATE maintenance_runs
SET token = NULL, lease_until = NULL, failures = 0, succeeded_at = clock_timestamp(),
    duration_ms = $3, row_count = $4
{_OURS}
"""

_FAIL = f"""
UPDATE maintenance_runs SET token = NULL, lease_until = NULL, failures = failures + 1 {_OURS}
"""

_GIVE_BACK = f"""
UPDATE maintenance_runs SET token = NULL, lease_until = NULL, started_at = NULL {_OURS}
"""

_HISTORY = """
SELECT clock_timestamp(), (SELECT min(created_at) FROM clinics),
       service, started_at, lease_until, succeeded_at, duration_ms, row_count, failures
FROM (SELECT) always LEFT JOIN maintenance_runs ON true
"""


class PostgresMaintenanceBook:
    """A row for each service, leased by the worker that runs it."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def claim(
        self, service: str, *, token: UUID, period: timedelta, retry: timedelta, lease: timedelta
    ) -> Turn | None:
        """Begin a run, or return None when it is not due or is already under way."""
        times = (period.total_seconds(), retry.total_seconds(), lease.total_seconds())
        rows = await self._executor.execute(_CLAIM, (service, token, *times))
        return Turn(service, token, rows[0][0]) if rows else None

    async def renew(self, turn: Turn, *, lease: timedelta) -> bool:
        """Extend the lease; return False when another worker has the turn."""
        rows = await self._executor.execute(
            _RENEW, (turn.service, turn.token, lease.total_seconds())
        )
        return bool(rows)

    async def succeed(self, turn: Turn, *, duration_ms: int, row_count: int) -> None:
        """End the run."""
        await self._executor.execute(_SUCCEED, (turn.service, turn.token, duration_ms, row_count))

    async def fail(self, turn: Turn) -> None:
        """End the run and count the failure."""
        await self._executor.execute(_FAIL, (turn.service, turn.token))

    async def give_back(self, turn: Turn) -> None:
        """End the run as if it had not begun."""
        await self._executor.execute(_GIVE_BACK, (turn.service, turn.token))

    async def history(self) -> MaintenanceHistory:
        """Return the records of every service that has ever run."""
        rows = await self._executor.fetch(_HISTORY, ())
        records = {service: ServiceRecord(*rest) for _, _, service, *rest in rows if service}
        return MaintenanceHistory(rows[0][0], rows[0][1], records)

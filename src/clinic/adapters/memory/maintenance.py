"""The record of maintenance services in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clinic.ports.maintenance import MaintenanceHistory, ServiceRecord, Turn


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Kept:
    record: ServiceRecord
    token: UUID | None = None


class MemoryMaintenanceBook:
    """Claims, leases and records; `now` stands in for the database's clock."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        #: replaced by tests
        self.now: Callable[[], datetime] = _now

    async def claim(
        self, service: str, *, token: UUID, period: timedelta, retry: timedelta, lease: timedelta
    ) -> Turn | None:
        now = self.now()
        kept = self._kept.setdefault(service, _Kept(ServiceRecord()))
        if not _is_due(kept.record, now, period=period, retry=retry, lease=lease):
            return None
        kept.token = token
        kept.record = replace(kept.record, started_at=now, lease_until=now + lease)
        return Turn(service, token, now)

    async def renew(self, turn: Turn, *, lease: timedelta) -> bool:
        kept = self._of(turn)
        if kept is not None:
            kept.record = replace(kept.record, lease_until=self.now() + lease)
        return kept is not None

    async def succeed(self, turn: Turn, *, duration_ms: int, row_count: int) -> None:
        if kept := self._of(turn):
            kept.token = None
            kept.record = ServiceRecord(
                kept.record.started_at, None, self.now(), duration_ms, row_count
            )

    async def fail(self, turn: Turn) -> None:
        if kept := self._of(turn):
            kept.token = None
            failures = kept.record.failures + 1
            kept.record = replace(kept.record, lease_until=None, failures=failures)

    async def give_back(self, turn: Turn) -> None:
        if kept := self._of(turn):
            kept.token = None
            kept.record = replace(kept.record, started_at=None, lease_until=None)

    async def history(self) -> MaintenanceHistory:
        records = {name: kept.record for name, kept in self._kept.items()}
        return MaintenanceHistory(self.now(), None, records)

    def _of(self, turn: Turn) -> _Kept | None:
        kept = self._kept.get(turn.service)
        return kept if kept is not None and kept.token == turn.token else None


def _is_due(
    record: ServiceRecord, now: datetime, *, period: timedelta, retry: timedelta, lease: timedelta
) -> bool:
    if record.lease_until is not None:
        # A lease that ends later than any could was taken before the clock was set back.
        return not now <= record.lease_until <= now + lease
    if record.started_at is None or record.started_at > now:
        return True
    return now - record.started_at >= (retry if record.failures else period)


class MemoryPartitions:
    """Does nothing: tables in memory are not partitioned."""

    async def make_next(self) -> None:
        """Do nothing: there is nothing to make."""

    async def index_closed_months(self) -> int:
        """Return 0: there is nothing to index."""
        return 0

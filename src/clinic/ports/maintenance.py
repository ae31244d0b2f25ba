"""The record of maintenance services, and what only the database's owner may otherwise do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to run a service until the lease runs out."""

    service: str
    token: UUID
    #: by the database's clock
    began_at: datetime


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """How the runs of one service went; times are the database's."""

    #: None until the first run, and after one that was given back
    started_at: datetime | None = None
    #: while a run is under way
    lease_until: datetime | None = None
    #: when the last successful run ended, how long it took and how many rows it made or removed
    succeeded_at: datetime | None = None
    duration_ms: int | None = None
    row_count: int | None = None
    #: failed runs since then
    failures: int = 0


@dataclass(frozen=True, slots=True)
class MaintenanceHistory:
    """How every service has run, by name."""

    #: by the database's clock
    now: datetime
    #: when the first clinic was added; None while there is none, or where nobody can know
    in_use_since: datetime | None = None
    records: Mapping[str, ServiceRecord] = field(default_factory=dict)


class MaintenanceBook(Protocol):
    """Who runs which service, and how the runs went. The database's clock decides.

    Each call is a transaction of its own. Raises TemporaryFailure.
    """

    async def claim(
        self, service: str, *, token: UUID, period: timedelta, retry: timedelta, lease: timedelta
    ) -> Turn | None:
        """Begin a run, or return None when it is not due: while another run's lease lasts, or less
        than `period` after the last run began (`retry` after one that failed).

        A run whose lease has run out, because its worker died, is due at once. Of several callers
        one gets the turn.
        """
        ...

    async def renew(self, turn: Turn, *, lease: timedelta) -> bool:
        """Extend the lease to `lease` from now; return False when the turn is somebody else's."""
        ...

    async def succeed(self, turn: Turn, *, duration_ms: int, row_count: int) -> None:
        """End the run. Does nothing when the turn is somebody else's."""
        ...

    async def fail(self, turn: Turn) -> None:
        """End the run and count the failure. Does nothing when the turn is somebody else's."""
        ...

    async def give_back(self, turn: Turn) -> None:
        """End the run as if it had not begun: the service is due at once.

        Does nothing when the turn is somebody else's.
        """
        ...

    async def history(self) -> MaintenanceHistory:
        """Return how every service that has ever run went."""
        ...


class Partitions(Protocol):
    """Monthly partitions, in a database that has any."""

    async def make_next(self) -> str | None:
        """Make the nearest partition that is missing, in a transaction of its own, and return its
        name; None when none is missing, or when a migration is making them.

        Drops nothing, and takes no name and no date. Raises TransactionAborted when it would have
        had to wait for others for long.
        """
        ...

    async def index_closed_months(self) -> int:
        """Complete the indexes of months that are over, which readers of what was committed look
        into, and return how many pieces were missing. Raises TransactionAborted likewise."""
        ...

"""The record of maintenance runs, and operations otherwise reserved to the database's owner."""

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
    """The outcome of one service's runs; times are the database's."""

    #: None until the first run, and after a run that was given back
    started_at: datetime | None = None
    #: set during a run
    lease_until: datetime | None = None
    #: when the last successful run ended, its duration, and how many rows it made or removed
    succeeded_at: datetime | None = None
    duration_ms: int | None = None
    row_count: int | None = None
    #: failed runs since then
    failures: int = 0


@dataclass(frozen=True, slots=True)
class MaintenanceHistory:
    """The records of all services, by name."""

    #: by the database's clock
    now: datetime
    #: when the first clinic was added; None while there is none, or when that is not known
    in_use_since: datetime | None = None
    records: Mapping[str, ServiceRecord] = field(default_factory=dict)


class MaintenanceBook(Protocol):
    """Which worker runs which service, and how the runs went, by the database's clock.

    Each call is its own transaction. Raises TemporaryFailure.
    """

    async def claim(
        self, service: str, *, token: UUID, period: timedelta, retry: timedelta, lease: timedelta
    ) -> Turn | None:
        """Begin a run, or return None when none is due: while another run's lease lasts, or less
        than `period` after the last run began (`retry` after one that failed).

        A service whose lease has run out, because its worker died, is due at once. Of several
        callers one gets the turn.
        """
        ...

    async def renew(self, turn: Turn, *, lease: timedelta) -> bool:
        """Extend the lease to `lease` from now; return False when another caller has the turn."""
        ...

    async def succeed(self, turn: Turn, *, duration_ms: int, row_count: int) -> None:
        """End the run. Does nothing when another caller has the turn."""
        ...

    async def fail(self, turn: Turn) -> None:
        """End the run and count the failure. Does nothing when another caller has the turn."""
        ...

    async def give_back(self, turn: Turn) -> None:
        """End the run as if it had not begun: the service is due at once.

        Does nothing when another caller has the turn.
        """
        ...

    async def history(self) -> MaintenanceHistory:
        """Return the record of every service that has ever run."""
        ...


class Partitions(Protocol):
    """Monthly partitions, for databases that have them."""

    async def make_next(self) -> str | None:
        """Create the nearest missing partition, in its own transaction, and return its name; None
        when none is missing, or when a migration is creating them.

        Drops nothing, and takes no name and no date. Raises TransactionAborted when it would have
        to wait long for other transactions.
        """
        ...

    async def index_closed_months(self) -> int:
        """Complete the indexes of past months, which readers of the change feed use, and return how
        many pieces were missing. Raises TransactionAborted likewise."""
        ...

"""The feed of all committed changes, for named consumers that each go through it once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from clinic.domain.audit.audit import AuditEntry, AuditEvent


class FeedError(Exception):
    """A consumer cannot continue from its cursor."""


class UnknownConsumer(FeedError):
    """No consumer with this name has subscribed."""


class CursorMoved(FeedError):
    """Another copy of this consumer has advanced meanwhile: drop the batch and read again."""


class CursorStale(FeedError):
    """The cursor belongs to another database, or to transactions that this one does not have: it
    was restored, or failed over while the batch was being processed."""


class Start(Enum):
    """Where a consumer begins."""

    #: at what is committed from now on
    NOW = "now"
    #: at the oldest row
    BEGINNING = "beginning"


@dataclass(frozen=True, slots=True)
class Committed:
    """A row of the audit trail, and the number of the transaction that wrote it."""

    transaction: int
    record: AuditEntry | AuditEvent


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """Rows that a consumer has not seen yet, ordered by transaction, then by time and id: whole
    transactions, at most `limit` rows in all, or a single larger transaction."""

    consumer: str
    changes: Sequence[Committed]
    #: whether more rows may be available now
    has_more: bool
    #: the snapshots seen before this batch and after it, in the form of pg_snapshot
    seen: str
    next: str
    #: the database, and its timeline, that the batch was read from
    origin: str


class ChangeFeed(Protocol):
    """Reads what was committed: changes of appointments and every other audited event.

    An open transaction does not delay the rows of others; its own are delivered after its commit.
    Each call is its own transaction. Raises TemporaryFailure.
    """

    async def subscribe(self, consumer: str, start: Start = Start.NOW) -> None:
        """Create a cursor for a consumer, unless it has one. Raises ValueError for a name that is
        empty or longer than 50 characters."""
        ...

    async def restart(self, consumer: str, start: Start) -> None:
        """Move the cursor to the beginning or to now, from anywhere. Raises UnknownConsumer."""
        ...

    async def rebind(self, consumer: str) -> None:
        """Keep the cursor although the database's identity has changed: for a server that continues
        the numbering of transactions, as after pg_upgrade, not for one restored from a dump.

        Raises UnknownConsumer, and CursorStale when the database has not reached the cursor.
        """
        ...

    async def unsubscribe(self, consumer: str) -> None:
        """Remove the consumer, if there is one."""
        ...

    async def read(self, consumer: str, *, limit: int) -> FeedBatch:
        """Return rows that the consumer has not seen, about `limit` (at least 1) at a time.

        Delivers at least once: reads return the same rows until a unit of work has advanced past
        them. A row whose text is erased later is not delivered again. Empty batches need not all be
        advanced past, but some should be: a read scans from where the cursor was last advanced to.
        Raises UnknownConsumer, CursorStale.
        """
        ...


class FeedCursors(Protocol):
    """Advances a cursor inside the unit of work that processes the batch."""

    async def advance(self, batch: FeedBatch) -> None:
        """Move the consumer's cursor past the batch, at the commit.

        Of two copies of a consumer only one gets past a batch; the other waits for it and raises
        CursorMoved. Raises CursorStale.
        """
        ...

"""Everything that was committed, for named consumers that each go through it once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from clinic.domain.audit.audit import AuditEntry, AuditEvent


class FeedError(Exception):
    """A consumer cannot go on as it is."""


class UnknownConsumer(FeedError):
    """Nobody has subscribed under this name."""


class CursorMoved(FeedError):
    """Another copy of this consumer has gone on meanwhile: drop the batch and read again."""


class CursorStale(FeedError):
    """The cursor is of another database, or of transactions that this one does not have: it was
    restored, or failed over while the batch was worked on."""


class Start(Enum):
    """Where a consumer begins."""

    #: with what is committed from now on
    NOW = "now"
    #: with everything that there is
    BEGINNING = "beginning"


@dataclass(frozen=True, slots=True)
class Committed:
    """A row of the audit trail, and the number of the transaction that wrote it."""

    transaction: int
    record: AuditEntry | AuditEvent


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """What a consumer has not seen yet, in the order of transactions, and within one by time and
    id: whole transactions, at most as many rows as were asked for, or a single transaction."""

    consumer: str
    changes: Sequence[Committed]
    #: whether there may be more at once
    has_more: bool
    #: what had been seen before and has been after this batch, as pg_snapshot writes it
    seen: str
    next: str
    #: which database, and which of its timelines, the batch was read from
    origin: str


class ChangeFeed(Protocol):
    """Reading what was committed: changes of appointments and every other audited event.

    A transaction that is still open holds up nobody else's; its own rows come after its commit.
    Each call is a transaction of its own. Raises TemporaryFailure.
    """

    async def subscribe(self, consumer: str, start: Start = Start.NOW) -> None:
        """Make a cursor for a consumer, unless it has one. Raises ValueError for a name that is
        empty or longer than 50 characters."""
        ...

    async def restart(self, consumer: str, start: Start) -> None:
        """Put the cursor at the beginning or at now, whatever it was. Raises UnknownConsumer."""
        ...

    async def rebind(self, consumer: str) -> None:
        """Keep the cursor although the database has got another identity: for a server that goes on
        numbering transactions, as after pg_upgrade, and not for one restored from a dump.

        Raises UnknownConsumer, and CursorStale when the database has not come that far.
        """
        ...

    async def unsubscribe(self, consumer: str) -> None:
        """Forget the consumer, if there is one."""
        ...

    async def read(self, consumer: str, *, limit: int) -> FeedBatch:
        """Return what the consumer has not seen, about `limit` rows (at least 1) at a time.

        Reading again gives it again until a unit of work has advanced past it: at least once. A
        row of the trail whose text is erased meanwhile is not given again. An empty batch need not
        be advanced past each time, but should be now and then: the next look begins where the last
        one got to. Raises UnknownConsumer, CursorStale.
        """
        ...


class FeedCursors(Protocol):
    """Advancing a cursor, inside the unit of work that does what the batch calls for."""

    async def advance(self, batch: FeedBatch) -> None:
        """Move the consumer's cursor past the batch, at the commit.

        Of two copies of a consumer one gets past a batch; the other waits for it, and raises
        CursorMoved. Raises CursorStale.
        """
        ...

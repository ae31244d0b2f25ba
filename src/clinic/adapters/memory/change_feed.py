"""The change feed in memory: transactions are numbered and tracked as PostgreSQL does it."""

from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.audit.change_feed import (
    BEGINNING,
    Snapshot,
    advanced,
    check_consumer,
    check_limit,
    whole_transactions,
)
from clinic.ports.change_feed import (
    Committed,
    CursorMoved,
    FeedBatch,
    Start,
    UnknownConsumer,
)


class MemoryChangeFeed:
    """Reads the trails in the order of the transactions that wrote them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(self, consumer: str, start: Start = Start.NOW) -> None:
        check_consumer(consumer)
        if self._cursors.get(consumer) is None:
            self._cursors.put(consumer, self._at(start))

    async def restart(self, consumer: str, start: Start) -> None:
        self._seen(consumer)
        self._cursors.put(consumer, self._at(start))

    async def rebind(self, consumer: str) -> None:
        self._seen(consumer)

    async def unsubscribe(self, consumer: str) -> None:
        self._cursors.remove(consumer)

    async def read(self, consumer: str, *, limit: int) -> FeedBatch:
        check_limit(limit)
        seen, now = self._seen(consumer), self._database.snapshot()
        found = sorted(
            (
                Committed(xid, record)
                for xid, record in self._database.records()
                if not seen.sees(xid)
            ),
            key=_place,
        )
        xids = [each.transaction for each in found]
        count, through = whole_transactions(xids, limit)
        if count == 0 and through is not None:
            count = xids.count(through)
        has_more = count < len(found)
        return FeedBatch(
            consumer,
            found[:count],
            has_more,
            str(seen),
            str(advanced(seen, now, through=through if has_more else None)),
            "memory",
        )

    def _at(self, start: Start) -> Snapshot:
        return self._database.snapshot() if start is Start.NOW else BEGINNING

    @property
    def _cursors(self) -> Rows[str, Snapshot]:
        return self._database.tables.cursors

    def _seen(self, consumer: str) -> Snapshot:
        seen = self._cursors.get(consumer)
        if seen is None:
            raise UnknownConsumer(consumer)
        return seen


class MemoryFeedCursors:
    """Moves cursors with a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def advance(self, batch: FeedBatch) -> None:
        await self._transaction.lock(("cursor", batch.consumer))
        cursors = self._transaction.tables.cursors
        seen = cursors.get(batch.consumer)
        if seen is None:
            self._transaction.fail(UnknownConsumer(batch.consumer))
        if str(seen) != batch.seen:
            self._transaction.fail(CursorMoved(batch.consumer))
        cursors.put(batch.consumer, Snapshot.parse(batch.next))


def _place(committed: Committed) -> tuple[object, ...]:
    record = committed.record
    return (committed.transaction, record.at, record.id)

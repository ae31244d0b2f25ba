"""The change feed: rows of both trails in the order of the transactions that wrote them.

No index sorts rows by transaction, since every booking would have to maintain it. A BRIN index
tells which pages may hold a transaction's number, so reading a range of numbers costs a lookup in
each partition's index and reading the pages of the range.
"""

from collections.abc import Sequence
from typing import Any

from clinic.adapters.postgres.engine.executors import Executor, PooledExecutor, Row
from clinic.adapters.postgres.engine.mapping import Columns, Layout, of_table
from clinic.domain.audit.audit import Action, AuditEntry, AuditEvent
from clinic.domain.audit.change_feed import (
    BEGINNING,
    Snapshot,
    advanced,
    check_consumer,
    check_limit,
    whole_transactions,
)
from clinic.domain.people.people import Role
from clinic.domain.status import Status
from clinic.ports.change_feed import (
    Committed,
    CursorMoved,
    CursorStale,
    FeedBatch,
    Start,
    UnknownConsumer,
)

#: how many transactions the first read covers; doubled until there are enough rows
RANGE_FIRST = 4_096
#: transactions that were running and are older than this are looked up one by one
NEAR = 10_000

_WRITTEN = of_table("t", "xid")
_COMMON = of_table(
    "t",
    *("id", "clinic_id", "at", "actor_id", "actor_role", "action", "reason"),
    *("request_id", "ip", "session_id"),
)
_OF_ENTRY = {
    "appointment_id": "uuid",
    "from_status": "text",
    "to_status": "text",
    "from_slot_id": "uuid",
    "to_slot_id": "uuid",
    "version": "integer",
}
_OF_EVENT = {
    "entity": "text",
    "entity_id": "uuid",
    "detail": "jsonb",
    "outcome": "text",
    "patient_id": "uuid",
}
_ENTRY, _EVENT = of_table("t", *_OF_ENTRY), of_table("t", *_OF_EVENT)


def _nothing(columns: dict[str, str]) -> Columns:
    return Columns(**{name: f"NULL::{kind}" for name, kind in columns.items()})


_NOW = Columns(snapshot="now.snapshot")
_FEED = Layout(_NOW, _WRITTEN, _COMMON, _ENTRY, _EVENT)
_TRAILS = {
    "audit_appointment": Layout(_WRITTEN, _COMMON, _ENTRY, _nothing(_OF_EVENT)),
    "audit_event": Layout(_WRITTEN, _COMMON, _nothing(_OF_ENTRY), _EVENT),
}
_ORDER = "ORDER BY xid, at, id LIMIT $5"


def _statement(*conditions: str) -> str:
    """Return the statement that reads, in order, the rows that meet any of the conditions, and the
    snapshot it reads them in: one row with the snapshot alone if no row does.

    $1 and $2 are the range, $3 the first transaction not seen, $4 those running then, $5 the limit.
    """
    parts = [
        f"(SELECT {layout.sql} FROM {table} t WHERE {condition} {_ORDER})"
        for table, layout in _TRAILS.items()
        for condition in conditions
    ]
    return f"""
        SELECT now.snapshot, found.*
        FROM (SELECT pg_current_snapshot()::text AS snapshot) now
        LEFT JOIN LATERAL ({" UNION ALL ".join(parts)} {_ORDER}) found ON true
    """


# The range comes first, so that it selects the pages to read.
_IN_RANGE = "t.xid >= $1 AND t.xid < $2 AND (t.xid >= $3 OR t.xid = ANY ($4))"
_READ = _statement(_IN_RANGE)
#: also takes $6, transactions below the range that were running
_READ_WITH_OLD = _statement(_IN_RANGE, "t.xid = ANY ($6::bigint[])")

_SYSTEM = "SELECT system_identifier::text FROM pg_control_system()"
#: includes the timeline: a promoted standby or a point-in-time restore starts a new one
_ORIGIN = f"(({_SYSTEM}) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8))"
_LOOK = f"""
SELECT seen, system, {_ORIGIN}, pg_current_snapshot()::text FROM change_feeds WHERE consumer = $1
"""
_SUBSCRIBE = f"""
INSERT INTO change_feeds (consumer, seen, system)
SELECT $1, coalesce($2, pg_current_snapshot()::text), ({_SYSTEM})
ON CONFLICT DO NOTHING RETURNING 1
"""
_RESTART = f"""
UPDATE change_feeds
SET seen = coalesce($2, pg_current_snapshot()::text), system = ({_SYSTEM}),
    advanced_at = clock_timestamp()
WHERE consumer = $1 RETURNING 1
"""
_REBIND = f"UPDATE change_feeds SET system = ({_SYSTEM}) WHERE consumer = $1 RETURNING 1"
_UNSUBSCRIBE = "DELETE FROM change_feeds WHERE consumer = $1 RETURNING 1"
# Of two that advance the cursor at once, the second waits for the first and then finds it moved.
_ADVANCE = f"""
UPDATE change_feeds SET seen = $3, advanced_at = clock_timestamp()
WHERE consumer = $1 AND seen = $2 AND $4 = {_ORIGIN} RETURNING 1
"""


class PostgresChangeFeed:
    """Reads what the stored snapshot of a consumer does not see."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def subscribe(self, consumer: str, start: Start = Start.NOW) -> None:
        """Make a cursor for a consumer, unless it has one."""
        check_consumer(consumer)
        await self._executor.execute(_SUBSCRIBE, (consumer, _stored(start)))

    async def restart(self, consumer: str, start: Start) -> None:
        """Move the cursor to the beginning or to now. Raises UnknownConsumer."""
        if not await self._executor.execute(_RESTART, (consumer, _stored(start))):
            raise UnknownConsumer(consumer)

    async def rebind(self, consumer: str) -> None:
        """Keep the cursor on a new server that continues the numbers of transactions.

        Raises UnknownConsumer, CursorStale.
        """
        seen, _, _, now = await _look(self._executor, consumer)
        _check_reached(consumer, Snapshot.parse(seen), Snapshot.parse(now))
        await self._executor.execute(_REBIND, (consumer,))

    async def unsubscribe(self, consumer: str) -> None:
        """Forget the consumer, if there is one."""
        await self._executor.execute(_UNSUBSCRIBE, (consumer,))

    async def read(self, consumer: str, *, limit: int) -> FeedBatch:
        """Return what the consumer has not seen. Raises UnknownConsumer, CursorStale."""
        check_limit(limit)
        stored, system, origin, now_text = await _look(self._executor, consumer)
        if system != origin.partition("/")[0]:
            raise CursorStale(
                f"The cursor of {consumer} is of another database server: this one was restored"
                " from a dump, or upgraded. Restart the consumer, or rebind it after pg_upgrade."
            )
        seen = Snapshot.parse(stored)
        _check_reached(consumer, seen, Snapshot.parse(now_text))
        found, now, through = await self._unseen(seen, limit)
        after = advanced(seen, now, through=through)
        return FeedBatch(consumer, found, through is not None, stored, str(after), origin)

    async def _unseen(
        self, seen: Snapshot, limit: int
    ) -> tuple[Sequence[Committed], Snapshot, int | None]:
        """Return rows that `seen` does not see, the snapshot that they were read in, and the last
        transaction up to which they are complete, or None if nothing is left."""
        old = [xid for xid in seen.running if xid < seen.xmax - NEAR]
        first = min((xid for xid in seen.running if xid not in old), default=seen.xmax)
        length = RANGE_FIRST
        while True:
            beyond = seen.xmax + length
            parameters = (first, beyond, seen.xmax, list(seen.running), limit + 1)
            statement = _READ_WITH_OLD if old else _READ
            rows = await self._executor.fetch(statement, (*parameters, *([old] if old else [])))
            now, found = _committed(rows)
            count, through = whole_transactions([each.transaction for each in found], limit)
            if through is None and beyond < now.xmax:
                length *= 2
                continue
            if count == 0 and through is not None:
                return await self._whole(through), now, through
            return found[:count], now, through

    async def _whole(self, xid: int) -> list[Committed]:
        """Return every row of one transaction that has ended, however many there are."""
        _, found = _committed(await self._executor.fetch(_READ, (xid, xid + 1, xid, [], None)))
        return found


class PostgresFeedCursors:
    """Moves cursors inside a transaction."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def advance(self, batch: FeedBatch) -> None:
        """Move the cursor past the batch. Raises CursorMoved, CursorStale, UnknownConsumer."""
        async with self._executor.connection():
            moved = await self._executor.fetch(
                _ADVANCE, (batch.consumer, batch.seen, batch.next, batch.origin)
            )
            if moved:
                return
            _, _, origin, _ = await _look(self._executor, batch.consumer)
            if origin != batch.origin:
                raise CursorStale(
                    f"The batch of {batch.consumer} was read before the database was restored or"
                    " failed over; drop it and read again."
                )
            raise CursorMoved(batch.consumer)


async def _look(executor: Executor, consumer: str) -> Row:
    rows = await executor.fetch(_LOOK, (consumer,))
    if not rows:
        raise UnknownConsumer(consumer)
    return rows[0]


def _check_reached(consumer: str, seen: Snapshot, now: Snapshot) -> None:
    """Raise CursorStale if the cursor has seen transactions that this database has yet to begin."""
    if seen.xmax > now.xmax:
        raise CursorStale(
            f"The cursor of {consumer} has seen transactions up to {seen.xmax}, but this database"
            f" is only at {now.xmax}: it was restored. Restart the consumer."
        )


def _stored(start: Start) -> str | None:
    return str(BEGINNING) if start is Start.BEGINNING else None


def _committed(rows: Sequence[Row]) -> tuple[Snapshot, list[Committed]]:
    """Return the snapshot that the rows were read in, and what was committed."""
    found = []
    for row in rows:
        (now,), (xid,), common, entry, event = _FEED.parts(row)
        if xid is not None:
            found.append(Committed(xid, _record(common, entry, event)))
    return Snapshot.parse(now), found


def _record(
    common: Sequence[Any], entry: Sequence[Any], event: Sequence[Any]
) -> AuditEntry | AuditEvent:
    values: dict[str, Any] = _COMMON.named(common)
    values["actor_role"] = Role(values["actor_role"])
    of_event = _EVENT.named(event)
    if of_event["entity"] is not None:
        return AuditEvent(**values, **of_event)
    values |= _ENTRY.named(entry)
    values["action"] = Action(values["action"])
    values["to_status"] = Status(values["to_status"])
    values["from_status"] = Status(values["from_status"]) if values["from_status"] else None
    return AuditEntry(**values)

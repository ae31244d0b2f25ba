"""The seals over the trails, on a separate connection for sealing and verifying."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Table

from clinic.adapters.postgres.engine.connections import conninfo
from clinic.adapters.postgres.engine.errors import translated
from clinic.adapters.postgres.engine.timeouts import within
from clinic.adapters.postgres.schema.audit import audit_appointment, audit_event, audit_seals
from clinic.adapters.postgres.schema.messaging import notification
from clinic.domain.audit.audit import ERASE_USER
from clinic.domain.audit.seals import FIRST_FORMAT, Seal, Trail, TrailRow
from clinic.domain.errors import AuditUnavailable

STATEMENT_TIMEOUT_MS = 60_000
#: longer than the statement timeout, which a server that hangs does not enforce
ANSWER_TIMEOUT_S = 75.0
FIRST_XID = 1
_TABLES: dict[Trail, Table] = {
    Trail.APPOINTMENT: audit_appointment,
    Trail.EVENT: audit_event,
    Trail.NOTIFICATION: notification,
}
_FIRST_RUNNING = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_SEAL = ", ".join(column.name for column in audit_seals.c)

# The xid of the row after the next `limit`, or of the oldest transaction that is still running:
# everything below is finished.
_NEXT_CUT = f"""
WITH waiting AS (
    (SELECT xid FROM audit_appointment WHERE xid >= %(from)s ORDER BY xid LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT xid FROM audit_event WHERE xid >= %(from)s ORDER BY xid LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT xid FROM notification WHERE xid >= %(from)s ORDER BY xid LIMIT %(limit)s + 1)
),
cut AS (
    SELECT (SELECT xid FROM waiting ORDER BY xid OFFSET %(limit)s LIMIT 1) AS beyond,
           (SELECT min(xid) FROM waiting) AS first
)
SELECT {_FIRST_RUNNING}, CASE WHEN beyond = first THEN beyond + 1 ELSE beyond END FROM cut
"""


class PostgresSealBook:
    """Reads the trails and adds seals, as the role in `url`; it connects when it is first used."""

    def __init__(self, url: str) -> None:
        self._conninfo = conninfo(url, statement_timeout_ms=STATEMENT_TIMEOUT_MS)
        self._connection: psycopg.AsyncConnection[dict[str, Any]] | None = None
        self._busy = asyncio.Lock()

    async def seals(self, *, after_seq: int = 0, limit: int) -> Sequence[Seal]:
        """Return at most `limit` seals by number, beyond `after_seq`."""
        rows = await self._all(
            f"SELECT {_SEAL} FROM audit_seals WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s",
            {"after": after_seq, "limit": limit},
        )
        return [_seal_of(row) for row in rows]

    async def last(self) -> Seal | None:
        """Return the last seal, or None."""
        rows = await self._all(f"SELECT {_SEAL} FROM audit_seals ORDER BY seq DESC LIMIT 1", {})
        return _seal_of(rows[0]) if rows else None

    async def add(self, seal: Seal) -> None:
        """Add a seal. Raises AlreadyExists when another sealer was faster."""
        values = ", ".join(f"%({column.name})s" for column in audit_seals.c)
        parameters = {column.name: getattr(seal, column.name) for column in audit_seals.c}
        await self._all(
            f"INSERT INTO audit_seals ({_SEAL}) VALUES ({values}) RETURNING seq", parameters
        )

    async def unsealed(self, xid_from: int, *, limit: int) -> tuple[int, Sequence[TrailRow]]:
        """Return finished rows from `xid_from` on, and the first transaction beyond them.

        Raises AuditUnavailable when the database's transaction numbers have started over, as they
        do when it is restored from a dump.
        """
        (found,) = await self._all(_NEXT_CUT, {"from": max(xid_from, FIRST_XID), "limit": limit})
        finished, cut = found.values()
        if finished < xid_from:
            raise AuditUnavailable(
                f"The trail is sealed up to transaction {xid_from}, but this database is only at"
                f" {finished}: it was restored from a dump. See docs/security.md."
            )
        xid_to = min(finished, cut) if cut is not None else finished
        return xid_to, await self.rows(xid_from, xid_to)

    async def rows(self, xid_from: int, xid_to: int) -> Sequence[TrailRow]:
        """Return the rows that are now in `[xid_from, xid_to)`."""
        condition: LiteralString = "xid >= %(from)s AND xid < %(to)s"
        return await self._trail(condition, {"from": max(xid_from, FIRST_XID), "to": xid_to})

    async def stragglers(self, xid_to: int) -> Sequence[TrailRow]:
        """Return rows of transactions that have not begun yet, or that cannot exist."""
        condition: LiteralString = (
            "xid < %(first)s"
            " OR xid >= %(to)s AND xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )
        return await self._trail(condition, {"first": FIRST_XID, "to": xid_to})

    async def erased_texts(self, row_ids: Collection[UUID]) -> Mapping[UUID, set[str]]:
        """Return the rows that erasure events name, with the hashes of the rest of each row."""
        found = await self._all(
            "SELECT key, value FROM audit_event, jsonb_each_text(detail -> 'texts')"
            " WHERE action = %(action)s AND key = ANY (%(ids)s)",
            {"action": ERASE_USER, "ids": [str(each) for each in row_ids]},
        )
        erased: dict[UUID, set[str]] = {}
        for row in found:
            erased.setdefault(UUID(row["key"]), set()).add(row["value"])
        return erased

    async def unsealed_messages(self, xid_from: int, *, since: datetime) -> Sequence[TrailRow]:
        """Return messages that claim to have ended after `since`, in a transaction before
        `xid_from` or in none."""
        condition: LiteralString = (
            "(xid IS NULL OR xid >= %(first)s AND xid < %(from)s) AND finished_at > %(since)s"
        )
        parameters = {"first": FIRST_XID, "from": xid_from, "since": since}
        return await self._trail(condition, parameters, (Trail.NOTIFICATION,))

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _trail(
        self,
        condition: LiteralString,
        parameters: dict[str, Any],
        trails: Iterable[Trail] = tuple(_TABLES),
    ) -> list[TrailRow]:
        found = []
        for trail in trails:
            table = _TABLES[trail]
            columns = ", ".join(column.name for column in table.c)
            rows = await self._all(
                f"SELECT {columns} FROM {table.name} WHERE {condition}", parameters
            )
            found += [TrailRow(trail, row.pop("xid") or 0, row) for row in rows]
        return found

    async def _all(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        async with self._busy:
            with translated():
                if self._connection is None or self._connection.closed:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._conninfo, autocommit=True, row_factory=dict_row
                    )
                async with within(ANSWER_TIMEOUT_S):
                    cursor = await self._connection.execute(query.encode(), parameters)
                    return await cursor.fetchall()


def _seal_of(row: dict[str, Any]) -> Seal:
    return Seal(**{**row, "format": row["format"] or FIRST_FORMAT})

"""Sessions: the rows that every signed-in request is checked against."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    any_,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from clinic.adapters.postgres.engine.executors import Executor, Row
from clinic.adapters.postgres.engine.mapping import Columns, Layout, Part, of_table
from clinic.adapters.postgres.people.mapping import CLINIC, clinic_of
from clinic.adapters.postgres.schema.people import sessions
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import Session, SessionKind, SignedIn

_SESSION = of_table(
    "x",
    *("id", "clinic_id", "user_id", "role", "kind", "created_at", "expires_at", "last_seen_at"),
    *("token_hash", "revoked_at"),
)
_USER = Columns(is_barred="u.disabled_at IS NOT NULL OR u.role <> x.role")
_SIGNED_IN = Layout(_SESSION, _USER, CLINIC)
# Each is looked up by its key, whatever table sizes the planner assumes.
_BY_ID = f"""
SELECT asked.number, found.*
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS asked (clinic_id, id, number),
     LATERAL (
         SELECT {_SIGNED_IN.sql}
         FROM sessions x JOIN users u ON u.id = x.user_id JOIN clinics c ON c.id = x.clinic_id
         WHERE x.clinic_id = asked.clinic_id AND x.id = asked.id LIMIT 1
     ) found
"""
_BY_REFERENCE = f"""
SELECT {_SIGNED_IN.sql}
FROM sessions x JOIN users u ON u.id = x.user_id JOIN clinics c ON c.id = x.clinic_id
WHERE x.clinic_id = $1 AND x.token_hash = $2 AND x.kind = 'cookie'
"""
_PLACE: ColumnElement[str] = literal_column("sessions.ctid")
_LIVE = f"""
SELECT {_SESSION.sql} FROM sessions x
WHERE x.user_id = $1 AND x.revoked_at IS NULL AND x.expires_at > $2 ORDER BY x.id
"""
_OF_USER = f"""
SELECT {_SESSION.sql} FROM sessions x
WHERE x.user_id = $1 AND ($2::uuid IS NULL OR x.id > $2) ORDER BY x.id LIMIT $3
"""


class PostgresSessionReader:
    """Reads sessions, on the prepared connections."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def find(self, clinic_id: UUID, session_id: UUID) -> SignedIn | None:
        """Return the session as committed now, or None."""
        row = await self._executor.load(_BY_ID, (clinic_id, session_id))
        return _signed_in(row) if row else None

    async def find_by_reference(self, clinic_id: UUID, token_hash: bytes) -> SignedIn | None:
        """Return the cookie session whose reference has this hash, or None."""
        rows = await self._executor.fetch(_BY_REFERENCE, (clinic_id, token_hash))
        return _signed_in(rows[0]) if rows else None

    async def live(self, user_id: UUID, now: datetime) -> Sequence[Session]:
        """Return the user's sessions that are neither revoked nor expired, by id."""
        rows = await self._executor.fetch(_LIVE, (user_id, now))
        return [_session_of(row) for row in rows]

    async def of_user(
        self, user_id: UUID, *, after: UUID | None = None, limit: int
    ) -> Sequence[Session]:
        """Return at most `limit` of the user's sessions by id, beyond `after`."""
        rows = await self._executor.fetch(_OF_USER, (user_id, after, limit))
        return [_session_of(row) for row in rows]

    async def touch(self, clinic_id: UUID, session_id: UUID, now: datetime) -> None:
        """Record that the session was seen now."""
        seen = (
            update(sessions)
            .where(sessions.c.clinic_id == clinic_id, sessions.c.id == session_id)
            .where(sessions.c.last_seen_at < now)
            .values(last_seen_at=now)
        )
        async with self._executor.connection() as connection:
            await connection.execute(seen)

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove up to `limit` sessions that ended before this instant; return how many."""
        ends_at = func.least(sessions.c.expires_at, sessions.c.revoked_at)
        ended = select(_PLACE).where(ends_at < before).limit(limit)
        chosen = ended.with_for_update(skip_locked=True).scalar_subquery()
        removed = delete(sessions).where(any_(func.array(chosen)) == _PLACE)
        async with self._executor.connection() as connection:
            return (await connection.execute(removed)).rowcount


class PostgresSessions(PostgresSessionReader):
    """Adds and ends sessions inside a unit of work."""

    async def add(self, session: Session) -> None:
        """Add the session."""
        values = {
            "clinic_id": session.clinic_id,
            "id": session.id,
            "user_id": session.user_id,
            "role": session.role.value,
            "kind": session.kind.value,
            "token_hash": session.token_hash,
            "created_at": session.created_at,
            "expires_at": session.expires_at,
            "last_seen_at": session.last_seen_at,
            "revoked_at": session.revoked_at,
        }
        async with self._executor.connection() as connection:
            await connection.execute(insert(sessions), values)

    async def revoke(
        self,
        user_id: UUID,
        now: datetime,
        *,
        session_id: UUID | None = None,
        keep: UUID | None = None,
        clinic_id: UUID | None = None,
    ) -> Sequence[UUID]:
        """End sessions from the commit on; return the ids of those that were live."""
        which = select(sessions.c.id).where(
            sessions.c.user_id == user_id,
            sessions.c.revoked_at.is_(None),
            sessions.c.expires_at > now,
        )
        if session_id is not None:
            which = which.where(sessions.c.id == session_id)
        if keep is not None:
            which = which.where(sessions.c.id != keep)
        if clinic_id is not None:
            which = which.where(sessions.c.clinic_id == clinic_id)
        # Lock by id, so that two transactions that end the same sessions do not deadlock.
        chosen = which.order_by(sessions.c.id).with_for_update()
        async with self._executor.connection() as connection:
            ids = [row.id for row in await connection.execute(chosen)]
            if ids:
                end = update(sessions).where(sessions.c.id.in_(ids)).values(revoked_at=now)
                await connection.execute(end.where(sessions.c.user_id == user_id))
        return ids


def _signed_in(row: Row) -> SignedIn:
    found, (is_barred,), clinic = _SIGNED_IN.parts(row)
    session = _session_of(found)
    return SignedIn(session, is_barred, clinic_of(session.clinic_id, clinic))


def _session_of(row: Part) -> Session:
    session_id, clinic_id, user_id, role, kind, created_at, expires_at, seen_at, token, end = row
    return Session(
        session_id,
        clinic_id,
        user_id,
        Role(role),
        SessionKind(kind),
        created_at,
        expires_at,
        seen_at,
        bytes(token),
        end,
    )

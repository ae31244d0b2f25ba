"""Sign-ins: the rows that every signed-in request is held against."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update

from clinic.adapters.postgres import sessions as running
from clinic.adapters.postgres.tables import sessions
from clinic.domain.people import Role
from clinic.domain.sessions import Session, SessionKind, SignedIn

_SESSION = (
    "x.id, x.clinic_id, x.user_id, x.role, x.kind, x.created_at, x.expires_at, x.last_seen_at,"
    " x.token_hash, x.revoked_at"
)
_FIND = f"""
SELECT {_SESSION}, u.disabled_at IS NOT NULL OR u.role <> x.role
FROM sessions x JOIN users u ON u.id = x.user_id
WHERE x.clinic_id = $1 AND """
_BY_ID = f"{_FIND} x.id = $2"
_BY_REFERENCE = f"{_FIND} x.token_hash = $2 AND x.kind = 'cookie'"
_LIVE = f"""
SELECT {_SESSION} FROM sessions x
WHERE x.user_id = $1 AND x.revoked_at IS NULL AND x.expires_at > $2 ORDER BY x.id
"""


class PostgresSessionReader:
    """Reads sessions, on the prepared connections."""

    def __init__(self, session: running.Session) -> None:
        self._session = session

    async def find(self, clinic_id: UUID, session_id: UUID) -> SignedIn | None:
        """Return the session as it is committed now, or None."""
        return await self._find(_BY_ID, clinic_id, session_id)

    async def find_by_reference(self, clinic_id: UUID, token_hash: bytes) -> SignedIn | None:
        """Return the cookie session whose reference has this hash, or None."""
        return await self._find(_BY_REFERENCE, clinic_id, token_hash)

    async def live(self, user_id: UUID, now: datetime) -> Sequence[Session]:
        """Return the user's sessions that are neither revoked nor expired, by id."""
        rows = await self._session.fetch(_LIVE, (user_id, now))
        return [_session_of(row) for row in rows]

    async def touch(self, clinic_id: UUID, session_id: UUID, now: datetime) -> None:
        """Note that the session was seen now."""
        seen = (
            update(sessions)
            .where(sessions.c.clinic_id == clinic_id, sessions.c.id == session_id)
            .where(sessions.c.last_seen_at < now)
            .values(last_seen_at=now)
        )
        async with self._session.connection() as connection:
            await connection.execute(seen)

    async def _find(self, query: str, clinic_id: UUID, key: object) -> SignedIn | None:
        rows = await self._session.fetch(query, (clinic_id, key))
        return SignedIn(_session_of(rows[0][:-1]), rows[0][-1]) if rows else None


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
        async with self._session.connection() as connection:
            await connection.execute(insert(sessions), values)

    async def revoke(
        self,
        user_id: UUID,
        now: datetime,
        *,
        session_id: UUID | None = None,
        keep: UUID | None = None,
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
        # Locked by id, so that two that end the same ones wait instead of meeting.
        chosen = which.order_by(sessions.c.id).with_for_update()
        async with self._session.connection() as connection:
            ids = [row.id for row in await connection.execute(chosen)]
            if ids:
                end = update(sessions).where(sessions.c.id.in_(ids)).values(revoked_at=now)
                await connection.execute(end.where(sessions.c.user_id == user_id))
        return ids


def _session_of(row: running.Row) -> Session:
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

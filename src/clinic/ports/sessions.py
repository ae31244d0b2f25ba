"""Sessions: every signed-in request reads its session; signing in and out writes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.people.sessions import Session, SignedIn


class SessionReader(Protocol):
    async def find(self, clinic_id: UUID, session_id: UUID) -> SignedIn | None:
        """Return the session and its clinic as committed now; `withdrawn` when its user has been
        disabled or has another role by now."""
        ...

    async def find_by_reference(self, clinic_id: UUID, token_hash: bytes) -> SignedIn | None:
        """Return the cookie session whose reference has this hash, as `find` does."""
        ...

    async def live(self, user_id: UUID, now: datetime) -> Sequence[Session]:
        """Return the user's sessions that are neither revoked nor expired, by id."""
        ...

    async def of_user(
        self, user_id: UUID, *, after: UUID | None = None, limit: int
    ) -> Sequence[Session]:
        """Return at most `limit` of the user's sessions by id, after `after`, including those that
        have ended."""
        ...

    async def touch(self, clinic_id: UUID, session_id: UUID, now: datetime) -> None:
        """Record that the session was seen now, in its own transaction."""
        ...

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        """Remove up to `limit` sessions that were revoked or expired before this instant; return
        how many. Its own transaction."""
        ...


class Sessions(SessionReader, Protocol):
    """Sessions inside a unit of work."""

    async def add(self, session: Session) -> None: ...

    async def revoke(
        self,
        user_id: UUID,
        now: datetime,
        *,
        session_id: UUID | None = None,
        keep: UUID | None = None,
        clinic_id: UUID | None = None,
    ) -> Sequence[UUID]:
        """End the user's sessions (all, one of them, all but `keep`, or those at one clinic) as of
        the commit; return the ids of those that were live."""
        ...

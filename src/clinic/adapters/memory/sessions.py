"""Sessions in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.tables import StoredCredentials, Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.errors import ClinicNotFound, NotSignedIn, UserNotFound
from clinic.domain.people.people import Actor
from clinic.domain.people.sessions import Session, SessionKind, SignedIn


class MemorySessionReader:
    """Reads sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def _tables(self) -> Tables:
        return self._database.tables

    async def find(self, clinic_id: UUID, session_id: UUID) -> SignedIn | None:
        return signed_in(self._tables, self._tables.sessions.get((clinic_id, session_id)))

    async def find_by_reference(self, clinic_id: UUID, token_hash: bytes) -> SignedIn | None:
        for session in self._tables.sessions.where("token", (clinic_id, token_hash)):
            if session.kind is SessionKind.COOKIE:
                return signed_in(self._tables, session)
        return None

    async def live(self, user_id: UUID, now: datetime) -> Sequence[Session]:
        mine = self._tables.sessions.where("user", user_id)
        found = [one for one in mine if one.revoked_at is None and one.expires_at > now]
        return sorted(found, key=lambda session: session.id)

    async def of_user(
        self, user_id: UUID, *, after: UUID | None = None, limit: int
    ) -> Sequence[Session]:
        mine = self._tables.sessions.where("user", user_id)
        found = [one for one in mine if after is None or one.id > after]
        return sorted(found, key=lambda session: session.id)[:limit]

    async def touch(self, clinic_id: UUID, session_id: UUID, now: datetime) -> None:
        transaction = Transaction(self._database)
        key = (clinic_id, session_id)
        try:
            await transaction.lock(("session", *key))
            session = transaction.tables.sessions.get(key)
            if session is not None and session.last_seen_at < now:
                transaction.tables.sessions.put(key, replace(session, last_seen_at=now))
                transaction.merge()
        finally:
            transaction.end()

    async def remove_ended(self, before: datetime, *, limit: int) -> int:
        sessions = self._database.tables.sessions
        ended = [key for key, session in sessions.items() if session.ends_at < before][:limit]
        for key in ended:
            sessions.remove(key)
        return len(ended)


class MemorySessions(MemorySessionReader):
    """Sessions inside a unit of work."""

    def __init__(self, database: Database, transaction: Transaction) -> None:
        super().__init__(database)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, session: Session) -> None:
        try:
            check_clinic(self._tables, session.clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        if self._tables.users.get(session.user_id) is None:
            self._transaction.fail(UserNotFound())
        self._tables.sessions.put((session.clinic_id, session.id), session)

    async def revoke(
        self,
        user_id: UUID,
        now: datetime,
        *,
        session_id: UUID | None = None,
        keep: UUID | None = None,
        clinic_id: UUID | None = None,
    ) -> Sequence[UUID]:
        ended = []
        for session in await self.live(user_id, now):
            key = (session.clinic_id, session.id)
            if session.id == keep or session_id not in (None, session.id):
                continue
            if clinic_id not in (None, session.clinic_id):
                continue
            await self._transaction.lock(("session", *key))
            latest = self._tables.sessions.get(key)
            if latest is not None and latest.revoked_at is None:
                self._tables.sessions.put(key, replace(latest, revoked_at=now))
                ended.append(session.id)
        return ended


def signed_in(tables: Tables, session: Session | None) -> SignedIn | None:
    """Return the session with its clinic and whether its user may still use it."""
    if session is None:
        return None
    user = tables.users.get(session.user_id)
    credentials = tables.credentials.get(session.user_id) or StoredCredentials()
    gone = user is None or user.role is not session.role or credentials.disabled_at is not None
    clinic = tables.clinics.get(session.clinic_id)
    return SignedIn(
        session, withdrawn=gone, clinic=None if clinic is None else clinic.without_contact()
    )


def check_signed_in(tables: Tables, clinic_id: UUID, asker: Actor) -> None:
    """Raise NotSignedIn unless the actor's session, if any, is still usable at the clinic."""
    if asker.session_id is None:
        return
    found = signed_in(tables, tables.sessions.get((clinic_id, asker.session_id)))
    if found is None or found.withdrawn or found.session.revoked_at is not None:
        raise NotSignedIn()
    if not found.session.is_of(asker):
        raise NotSignedIn()

"""Memberships, which are profiles that have not ended, and offers of membership."""

from datetime import datetime
from uuid import UUID

from clinic.adapters.postgres.engine.executors import Executor, Row
from clinic.domain.errors import AlreadyExists
from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import Role, User

_PROFILES = {Role.DOCTOR: "doctors_profiles", Role.PATIENT: "patients_profiles"}
_EXPIRED = "DELETE FROM membership_offers WHERE clinic_id = $1 AND expires_at <= $2"
OFFER_COLUMNS = "clinic_id, id, role, specialty, offered_by, created_at, expires_at, address_tag"
_ADD = f"""
INSERT INTO membership_offers ({OFFER_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING 1
"""
_TAKE = f"""
DELETE FROM membership_offers WHERE clinic_id = $1 AND id = $2 RETURNING {OFFER_COLUMNS}
"""
_WITHDRAW = "DELETE FROM membership_offers WHERE clinic_id = $1 AND offered_by = $2 RETURNING 1"
_ADMINISTRATORS = """
SELECT count(*) FROM staff_profiles s JOIN users u ON u.id = s.user_id
WHERE s.clinic_id = $1 AND s.ended_at IS NULL AND u.role = 'ADMIN' AND u.disabled_at IS NULL
"""
_ENDED_AT = "SELECT ended_at FROM {table} WHERE clinic_id = $1 AND user_id = $2"
_END = """
UPDATE {table} SET ended_at = $3 WHERE clinic_id = $1 AND user_id = $2 AND ended_at IS NULL
RETURNING 1
"""
_JOIN = """
INSERT INTO {table} AS p (clinic_id, user_id) VALUES ($1, $2)
ON CONFLICT (clinic_id, user_id) DO UPDATE SET ended_at = NULL WHERE p.ended_at IS NOT NULL
RETURNING 1
"""
_JOIN_AS_DOCTOR = """
INSERT INTO doctors_profiles AS p (clinic_id, user_id, specialty) VALUES ($1, $2, $3)
ON CONFLICT (clinic_id, user_id) DO UPDATE SET ended_at = NULL WHERE p.ended_at IS NOT NULL
RETURNING 1
"""


class PostgresMemberships:
    """Changes memberships inside a unit of work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add_offer(self, offer: MembershipOffer) -> None:
        """Add the offer, and remove those of its clinic that had expired when it was made."""
        await self._executor.fetch(
            f"{_EXPIRED} RETURNING 1",
            (offer.clinic_id, offer.created_at),
        )
        values = (offer.clinic_id, offer.id, offer.role.value, offer.specialty, offer.offered_by)
        times = (offer.created_at, offer.expires_at)
        await self._executor.fetch(_ADD, (*values, *times, offer.address_tag))

    async def take_offer(self, clinic_id: UUID, offer_id: UUID) -> MembershipOffer | None:
        """Remove the offer and return it; of two concurrent callers one gets None."""
        rows = await self._executor.fetch(_TAKE, (clinic_id, offer_id))
        return offer_of(rows[0]) if rows else None

    async def withdraw_offers(self, clinic_id: UUID, offered_by: UUID) -> None:
        """Remove every offer that this person made for the clinic."""
        await self._executor.fetch(_WITHDRAW, (clinic_id, offered_by))

    async def ended_at(self, clinic_id: UUID, user: User) -> datetime | None:
        """Return when the person's membership of the clinic ended, or None."""
        statement = _ENDED_AT.format(table=_table(user))
        rows = await self._executor.fetch(statement, (clinic_id, user.id))
        found: datetime | None = rows[0][0] if rows else None
        return found

    async def join(self, clinic_id: UUID, user: User, specialty: str | None) -> None:
        """Make the person a member in their role. Raises AlreadyExists."""
        if user.role is Role.DOCTOR:
            rows = await self._executor.fetch(_JOIN_AS_DOCTOR, (clinic_id, user.id, specialty))
        else:
            statement = _JOIN.format(table=_table(user))
            rows = await self._executor.fetch(statement, (clinic_id, user.id))
        if not rows:
            raise AlreadyExists()

    async def end(self, clinic_id: UUID, user: User, now: datetime) -> bool:
        """End the membership; return whether there was one."""
        statement = _END.format(table=_table(user))
        return bool(await self._executor.fetch(statement, (clinic_id, user.id, now)))

    async def administrators(self, clinic_id: UUID) -> int:
        """Return how many administrators the clinic has who are not disabled."""
        return int((await self._executor.fetch(_ADMINISTRATORS, (clinic_id,)))[0][0])


def offer_of(row: Row) -> MembershipOffer:
    """Return the offer in the order of OFFER_COLUMNS."""
    clinic_id, offer_id, role, *rest = row
    return MembershipOffer(clinic_id, offer_id, Role(role), *rest)


def _table(user: User) -> str:
    return _PROFILES.get(user.role, "staff_profiles")

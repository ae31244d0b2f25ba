"""Accounts: passwords, standing, and memberships."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, insert, update

from clinic.adapters.postgres.engine.executors import Executor, Row
from clinic.adapters.postgres.people.memberships import OFFER_COLUMNS, offer_of
from clinic.adapters.postgres.schema.people import staff_profiles, users
from clinic.domain.errors import UserNotFound
from clinic.domain.people.memberships import Membership, MembershipOffer
from clinic.domain.people.people import Role, User
from clinic.ports.accounts import Account

# Only profiles of the user's role give access to a clinic, until they end.
_ACCOUNT = """
SELECT u.id, u.name, u.email, u.role, u.phone, u.email_typed, u.password_hash, u.disabled_at,
       u.email_verified_at, u.link_version, u.unbound_link_version,
       ARRAY(
           SELECT clinic_id FROM doctors_profiles WHERE user_id = u.id AND u.role = 'DOCTOR'
             AND ended_at IS NULL
           UNION ALL
           SELECT clinic_id FROM patients_profiles WHERE user_id = u.id AND u.role = 'PATIENT'
             AND ended_at IS NULL
           UNION ALL
           SELECT clinic_id FROM staff_profiles
           WHERE user_id = u.id AND u.role IN ('RECEPTIONIST', 'ADMIN') AND ended_at IS NULL
           ORDER BY clinic_id
       )
FROM users u
"""
_BY_EMAIL = f"{_ACCOUNT} WHERE lower(u.email) = lower($1::text)"
_BY_ID = f"{_ACCOUNT} WHERE u.id = $1"
# Lock first, so that the account is read as the last change left it.
_LOCK = "SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE"
#: $1 clinic, $2 role, $3 the id to continue after (NULL: every role, from the first), $4 limit
_OF_CLINIC = f"""{_ACCOUNT}
WHERE u.id IN (
    SELECT user_id FROM doctors_profiles WHERE clinic_id = $1 AND ended_at IS NULL
    UNION ALL
    SELECT user_id FROM patients_profiles WHERE clinic_id = $1 AND ended_at IS NULL
    UNION ALL
    SELECT user_id FROM staff_profiles WHERE clinic_id = $1 AND ended_at IS NULL
)
AND ($2::text IS NULL OR u.role = $2) AND ($3::uuid IS NULL OR u.id > $3)
ORDER BY u.id LIMIT $4
"""

_MEMBERSHIPS = """
SELECT clinic_id, {specialty}, ended_at FROM {table} WHERE user_id = $1 ORDER BY clinic_id
"""
#: $1 the address's tag, $2 now, $3 limit
_OFFERS = f"""
SELECT {OFFER_COLUMNS} FROM membership_offers
WHERE address_tag = $1 AND expires_at > $2 ORDER BY id LIMIT $3
"""
_OF_STAFF = _MEMBERSHIPS.format(specialty="NULL::text", table="staff_profiles")
_MEMBERSHIPS_OF = {
    Role.DOCTOR: _MEMBERSHIPS.format(specialty="specialty", table="doctors_profiles"),
    Role.PATIENT: _MEMBERSHIPS.format(specialty="NULL::text", table="patients_profiles"),
}


class PostgresAccountReader:
    """Reads accounts."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def by_email(self, email: str) -> Account | None:
        """Return the account with this email address, ignoring case."""
        rows = await self._executor.fetch(_BY_EMAIL, (email,))
        return _account_of(rows[0]) if rows else None

    async def account(self, user_id: UUID) -> Account | None:
        """Return the account, or None."""
        rows = await self._executor.fetch(_BY_ID, (user_id,))
        return _account_of(rows[0]) if rows else None

    async def accounts(
        self,
        clinic_id: UUID,
        *,
        role: Role | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Account]:
        """Return at most `limit` accounts of the clinic by id, beyond `after`."""
        parameters = (clinic_id, role.value if role else None, after, limit)
        rows = await self._executor.fetch(_OF_CLINIC, parameters)
        return [_account_of(row) for row in rows]

    async def memberships(self, user: User) -> Sequence[Membership]:
        """Return the memberships that the user has or had in their role, by clinic id."""
        statement = _MEMBERSHIPS_OF.get(user.role, _OF_STAFF)
        rows = await self._executor.fetch(statement, (user.id,))
        return [Membership(*row) for row in rows]

    async def offers(
        self, address_tag: bytes, now: datetime, *, limit: int
    ) -> Sequence[MembershipOffer]:
        """Return at most `limit` offers with this tag that have not expired, by id."""
        rows = await self._executor.fetch(_OFFERS, (address_tag, now, limit))
        return [offer_of(row) for row in rows]


class PostgresAccounts(PostgresAccountReader):
    """Changes accounts inside a unit of work."""

    async def lock(self, user_id: UUID) -> Account | None:
        """Lock the account against other changes of it until the unit of work ends."""
        await self._executor.fetch(_LOCK, (user_id,))
        return await self.account(user_id)

    async def add_staff(self, clinic_id: UUID, user_id: UUID) -> None:
        """Make a user a receptionist or administrator of the clinic. Raises AlreadyExists."""
        async with self._executor.connection() as connection:
            await connection.execute(
                insert(staff_profiles), {"clinic_id": clinic_id, "user_id": user_id}
            )

    async def set_password_hash(self, user_id: UUID, password_hash: str | None) -> None:
        """Set or remove the password. Raises UserNotFound."""
        await self._change(user_id, password_hash=password_hash)

    async def set_disabled_at(self, user_id: UUID, disabled_at: datetime | None) -> None:
        """Disable or enable the user, and raise link_version. Raises UserNotFound."""
        version = users.c.link_version + 1
        await self._change(user_id, disabled_at=disabled_at, link_version=version)

    async def set_email_verified_at(self, user_id: UUID, verified_at: datetime) -> None:
        """Record that the email address is the user's and needs no more proof.

        Raises UserNotFound.
        """
        await self._change(user_id, email_verified_at=verified_at, email_unproven_since=None)

    async def expect_proof(self, user_id: UUID, since: datetime) -> None:
        """Record that the user claims the email address without proof. Raises UserNotFound."""
        await self._change(user_id, email_unproven_since=since)

    async def replace_user(self, user: User) -> None:
        """Replace name, email and phone. A different email address, ignoring case, is unverified
        and raises link_version. Raises UserNotFound, EmailInUse."""
        stays = func.lower(users.c.email) == func.lower(user.email)
        await self._change(
            user.id,
            name=user.name,
            email=user.email,
            email_typed=user.email_typed,
            phone=user.phone,
            email_verified_at=case((stays, users.c.email_verified_at)),
            email_unproven_since=case((stays, users.c.email_unproven_since)),
            link_version=users.c.link_version + case((stays, 0), else_=1),
        )

    async def _change(self, user_id: UUID, **values: object) -> None:
        change = update(users).where(users.c.id == user_id).values(values)
        async with self._executor.connection() as connection:
            if (await connection.execute(change)).rowcount != 1:
                raise UserNotFound()


def _account_of(row: Row) -> Account:
    user_id, name, email, role, phone, email_typed, *standing = row
    password_hash, disabled_at, email_verified_at, link_version, unbound, clinics = standing
    user = User(user_id, name, email, Role(role), phone, email_typed)
    return Account(
        user, password_hash, disabled_at, tuple(clinics), email_verified_at, link_version, unbound
    )

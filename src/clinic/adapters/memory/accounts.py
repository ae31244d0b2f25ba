"""Accounts in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic, rivals_for_bookings
from clinic.adapters.memory.tables import StaffProfile, StoredCredentials, Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.errors import AlreadyExists, ClinicNotFound, EmailInUse, UserNotFound
from clinic.domain.people.memberships import Membership, MembershipOffer
from clinic.domain.people.people import Role, User
from clinic.ports.accounts import Account


class MemoryAccountReader:
    """Reads accounts."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def by_email(self, email: str) -> Account | None:
        for user in self._tables.users.where("email", email.lower()):
            return account_of(self._tables, user)
        return None

    async def account(self, user_id: UUID) -> Account | None:
        user = self._tables.users.get(user_id)
        return None if user is None else account_of(self._tables, user)

    async def accounts(
        self,
        clinic_id: UUID,
        *,
        role: Role | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Account]:
        tables = self._tables
        ids = {
            profile.user_id
            for profiles in (tables.doctors, tables.patients, tables.staff)
            for profile in profiles.where("clinic", clinic_id)
            if profile.ended_at is None
        }
        found = []
        for user_id in sorted(ids):
            user = tables.users.get(user_id)
            if user is None or (role is not None and user.role is not role):
                continue
            if after is None or user_id > after:
                found.append(account_of(tables, user))
        return found[:limit]

    async def memberships(self, user: User) -> Sequence[Membership]:
        held = [
            Membership(each.clinic_id, getattr(each, "specialty", None), each.ended_at)
            for each in _profiles(self._tables, user).where("user", user.id)
        ]
        return sorted(held, key=lambda each: each.clinic_id)

    async def offers(
        self, address_tag: bytes, now: datetime, *, limit: int
    ) -> Sequence[MembershipOffer]:
        tagged = self._tables.offers.where("address", address_tag)
        found = [offer for offer in tagged if offer.expires_at > now]
        return sorted(found, key=lambda offer: offer.id)[:limit]


class MemoryAccounts(MemoryAccountReader):
    """Accounts inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def lock(self, user_id: UUID) -> Account | None:
        await self._transaction.lock(("user", user_id))
        return await self.account(user_id)

    async def add_staff(self, clinic_id: UUID, user_id: UUID) -> None:
        key = (clinic_id, user_id)
        await self._transaction.lock(("staff", *key))
        if self._tables.staff.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        try:
            check_clinic(self._tables, clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        if self._tables.users.get(user_id) is None:
            self._transaction.fail(UserNotFound())
        self._tables.staff.put(key, StaffProfile(clinic_id, user_id))

    async def set_password_hash(self, user_id: UUID, password_hash: str | None) -> None:
        await self._locked(user_id)
        self._change(user_id, password_hash=password_hash)

    async def set_disabled_at(self, user_id: UUID, disabled_at: datetime | None) -> None:
        await self._locked(user_id)
        await self._transaction.lock(("standing", user_id))
        await self._transaction.wait_until_no_rival(
            lambda other: rivals_for_bookings(other, user_id)
        )
        self._change(user_id, disabled_at=disabled_at, outdates_links=True)

    async def set_email_verified_at(self, user_id: UUID, verified_at: datetime) -> None:
        await self._locked(user_id)
        self._change(user_id, email_verified_at=verified_at, email_unproven_since=None)

    async def expect_proof(self, user_id: UUID, since: datetime) -> None:
        await self._locked(user_id)
        self._change(user_id, email_unproven_since=since)

    async def replace_user(self, user: User) -> None:
        before = await self._locked(user.id)
        email = user.email.lower()
        if email != before.email.lower():
            await self._transaction.lock(("email", email))
        if any(other.id != user.id for other in self._tables.users.where("email", email)):
            self._transaction.fail(EmailInUse())
        self._tables.users.put(user.id, replace(user, role=before.role))
        if email != before.email.lower():
            self._change(
                user.id, email_verified_at=None, email_unproven_since=None, outdates_links=True
            )

    def _change(self, user_id: UUID, *, outdates_links: bool = False, **values: Any) -> None:
        credentials = self._tables.credentials.get(user_id) or StoredCredentials()
        version = credentials.link_version + outdates_links
        changed = replace(credentials, link_version=version, **values)
        self._tables.credentials.put(user_id, changed)

    async def _locked(self, user_id: UUID) -> User:
        await self._transaction.lock(("user", user_id))
        user = self._tables.users.get(user_id)
        if user is None:
            raise UserNotFound()
        return user


def account_of(tables: Tables, user: User) -> Account:
    """Return the account of `user`."""
    credentials = tables.credentials.get(user.id) or StoredCredentials()
    held = _profiles(tables, user).where("user", user.id)
    clinics = [profile.clinic_id for profile in held if profile.ended_at is None]
    return Account(
        user,
        credentials.password_hash,
        credentials.disabled_at,
        tuple(sorted(clinics)),
        credentials.email_verified_at,
        credentials.link_version,
        credentials.unbound_link_version,
    )


def _profiles(tables: Tables, user: User) -> Any:
    """Return the profiles of the user's role."""
    if user.role is Role.DOCTOR:
        return tables.doctors
    return tables.patients if user.role is Role.PATIENT else tables.staff

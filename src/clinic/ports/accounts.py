"""Accounts, with password and state: reading them, and changing them in a unit of work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.people.memberships import Membership, MembershipOffer
from clinic.domain.people.people import Role, User


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what sign-in needs. `clinics` are those where the user has a profile for the
    role, by id."""

    user: User
    password_hash: str | None
    disabled_at: datetime | None
    clinics: tuple[UUID, ...]
    #: when the email address was verified as the user's
    email_verified_at: datetime | None = None
    #: links mailed for an earlier version are invalid
    link_version: int = 0
    #: the link_version up to which unbound links, mailed by earlier releases, are valid
    unbound_link_version: int = 0


class AccountReader(Protocol):
    async def by_email(self, email: str) -> Account | None:
        """Return the account with this ASCII email address, ignoring case."""
        ...

    async def account(self, user_id: UUID) -> Account | None: ...

    async def accounts(
        self,
        clinic_id: UUID,
        *,
        role: Role | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Account]:
        """Return at most `limit` accounts of the clinic by id, after `after`."""
        ...

    async def memberships(self, user: User) -> Sequence[Membership]:
        """Return the user's current and ended memberships in their role, by clinic id."""
        ...

    async def offers(
        self, address_tag: bytes, now: datetime, *, limit: int
    ) -> Sequence[MembershipOffer]:
        """Return at most `limit` unexpired offers with this tag, from all clinics, by id."""
        ...


class Accounts(AccountReader, Protocol):
    """Accounts inside a unit of work; reads include its own writes."""

    async def lock(self, user_id: UUID) -> Account | None:
        """Lock the account against other changes until the unit of work ends."""
        ...

    async def add_staff(self, clinic_id: UUID, user_id: UUID) -> None:
        """Make a user a receptionist or administrator of the clinic. Raises AlreadyExists."""
        ...

    async def set_password_hash(self, user_id: UUID, password_hash: str | None) -> None:
        """Set or remove the password. Raises UserNotFound."""
        ...

    async def set_disabled_at(self, user_id: UUID, disabled_at: datetime | None) -> None:
        """Disable or enable the user, and raise link_version. Raises UserNotFound."""
        ...

    async def set_email_verified_at(self, user_id: UUID, verified_at: datetime) -> None:
        """Record that the email address is verified, so that proof is no longer required.

        Raises UserNotFound.
        """
        ...

    async def expect_proof(self, user_id: UUID, since: datetime) -> None:
        """Record that the email address is only claimed: until it is verified or replaced, only
        account mail is sent to it. Raises UserNotFound."""
        ...

    async def replace_user(self, user: User) -> None:
        """Replace name, email and phone. A different email address, ignoring case, is unverified
        and raises link_version. Raises UserNotFound, EmailInUse."""
        ...

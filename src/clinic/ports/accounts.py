"""Accounts: a person's password and standing; reading them, and changing them inside a unit of
work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.people.memberships import Membership, MembershipOffer
from clinic.domain.people.people import Role, User


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what sign-in needs. `clinics` are those where the user has a profile that fits
    the role, by id."""

    user: User
    password_hash: str | None
    disabled_at: datetime | None
    clinics: tuple[UUID, ...]
    #: since when the email address is known to be the user's
    email_verified_at: datetime | None = None
    #: links that were mailed for an earlier version do not work
    link_version: int = 0
    #: the link_version up to which links hold that earlier releases mailed, bound to nothing
    unbound_link_version: int = 0


class AccountReader(Protocol):
    async def by_email(self, email: str) -> Account | None:
        """Return the account with this email address in ASCII, without case."""
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
        """Return at most `limit` accounts of the clinic by id, beyond `after`."""
        ...

    async def memberships(self, user: User) -> Sequence[Membership]:
        """Return the memberships that the user has or had in their role, by clinic id."""
        ...

    async def offers(
        self, address_tag: bytes, now: datetime, *, limit: int
    ) -> Sequence[MembershipOffer]:
        """Return at most `limit` offers with this tag that have not expired, of every clinic, by
        id."""
        ...


class Accounts(AccountReader, Protocol):
    """Accounts inside a unit of work; what is read includes what it has written."""

    async def lock(self, user_id: UUID) -> Account | None:
        """Lock the account against other changes of it until the unit of work ends."""
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
        """Note that the email address is the user's, which needs no proof any more.

        Raises UserNotFound.
        """
        ...

    async def expect_proof(self, user_id: UUID, since: datetime) -> None:
        """Note that only the user claims the email address: until it is verified or replaced,
        nothing but account mail goes there. Raises UserNotFound."""
        ...

    async def replace_user(self, user: User) -> None:
        """Write name, email and phone anew. Another email address, compared without case, is not
        verified and raises link_version. Raises UserNotFound, EmailInUse."""
        ...

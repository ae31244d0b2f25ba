"""Open a link of account mail: find its account, and check that the link is still valid for it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from clinic.domain.clinic import Clinic
from clinic.domain.errors import InvitationInvalid, LinkInvalid
from clinic.domain.links import Link, LinkSigner, Purpose, claimed
from clinic.domain.messaging.account_links import (
    check_invitation,
    invited_user,
    read_account_link,
)
from clinic.ports.accounts import Account
from clinic.usecases.context import AnonymousContext


@dataclass(frozen=True, slots=True)
class AccountPage:
    """What the page of a link of account mail shows; it names no person."""

    clinic: Clinic
    language: str


async def open_account_link(
    context: AnonymousContext, token: str, purpose: Purpose, *, signer: LinkSigner
) -> tuple[Link, Account, AccountPage]:
    """Return the link, its account, and its page; changes nothing. Raises LinkInvalid."""
    user_id = claimed(token).subject_id
    account = await context.store.accounts.account(user_id)
    link = check_account_link(token, purpose, account, signer=signer, now=context.clock.now())
    assert account is not None
    clinic = await context.store.people.clinic(link.clinic_id)
    if clinic is None:
        raise LinkInvalid()
    chosen = await context.store.outbox.preferences(link.clinic_id, user_id)
    return link, account, AccountPage(clinic, chosen.language)


async def show_account_page(
    context: AnonymousContext, token: str, purpose: Purpose, *, signer: LinkSigner
) -> AccountPage:
    """Return what the link's page shows; changes nothing. Raises LinkInvalid."""
    _, _, page = await open_account_link(context, token, purpose, signer=signer)
    return page


def check_account_link(
    token: str, purpose: Purpose, account: Account | None, *, signer: LinkSigner, now: datetime
) -> Link:
    """Return the link if it is valid for the account as read. Raises LinkInvalid."""
    if account is None or account.disabled_at is not None:
        raise LinkInvalid()
    if purpose is Purpose.EMAIL_VERIFICATION and account.email_verified_at is not None:
        raise LinkInvalid()
    return read_account_link(
        signer,
        token,
        purpose,
        email=account.user.email,
        password_hash=account.password_hash,
        link_version=account.link_version,
        now=now,
    )


async def open_invitation(context: AnonymousContext, token: str, *, secret: str) -> AccountPage:
    """Return what an invitation's page shows; changes nothing. Raises InvitationInvalid."""
    user_id = invited_user(token)
    account = await context.store.accounts.account(user_id)
    if account is None or account.disabled_at is not None or not account.clinics:
        raise InvitationInvalid()
    check_invitation_of(account, token, secret, now=context.clock.now())
    clinic = await context.store.people.clinic(account.clinics[0])
    if clinic is None:
        raise InvitationInvalid()
    chosen = await context.store.outbox.preferences(clinic.id, user_id)
    return AccountPage(clinic, chosen.language)


def check_invitation_of(account: Account, token: str, secret: str, *, now: datetime) -> UUID | None:
    """Return who issued the invitation, None when an earlier release did. Raises InvitationInvalid
    unless it is valid for the account as read."""
    return check_invitation(
        token,
        secret,
        password_hash=account.password_hash,
        email=account.user.email,
        link_version=account.link_version,
        unbound_link_version=account.unbound_link_version,
        now=now,
    )

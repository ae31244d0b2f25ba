"""Links in account mail: how long each is valid, and what it is bound to.

A link that verifies an address or sets a password has no database row. It is valid as long as the
account is as it was when the link was signed, so using it, or changing what it is about,
invalidates it and all links like it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.earlier_links import (
    check_earlier_invitation,
    earlier_invited_user,
    is_earlier,
)
from clinic.domain.errors import InvitationInvalid, LinkInvalid
from clinic.domain.links import Link, LinkSigner, Purpose, claimed
from clinic.domain.notifications import (
    ADDRESS_CHANGED,
    EMAIL_VERIFICATION,
    PASSWORD_RESET,
    Message,
    account_mail,
)

VERIFICATION_LASTS = timedelta(days=3)
RESET_LASTS = timedelta(hours=1)
INVITATION_LASTS = timedelta(days=7)
#: how long it is worth notifying the old address of a change
NOTICE_LASTS = timedelta(days=7)


def verification_mail(
    *, clinic_id: UUID, user_id: UUID, now: datetime, new_id: Callable[[], UUID]
) -> Message:
    """Return the message whose link verifies the user's address."""
    return account_mail(
        EMAIL_VERIFICATION,
        clinic_id=clinic_id,
        user_id=user_id,
        valid_for=VERIFICATION_LASTS,
        now=now,
        new_id=new_id,
    )


def reset_mail(
    *, clinic_id: UUID, user_id: UUID, now: datetime, new_id: Callable[[], UUID]
) -> Message:
    """Return the message whose link sets a new password."""
    return account_mail(
        PASSWORD_RESET,
        clinic_id=clinic_id,
        user_id=user_id,
        valid_for=RESET_LASTS,
        now=now,
        new_id=new_id,
    )


def address_changed_mail(
    *, clinic_id: UUID, user_id: UUID, old_email: str, now: datetime, new_id: Callable[[], UUID]
) -> Message:
    """Return the message that notifies the old address of the change; it has no link."""
    return account_mail(
        ADDRESS_CHANGED,
        clinic_id=clinic_id,
        user_id=user_id,
        valid_for=NOTICE_LASTS,
        now=now,
        new_id=new_id,
        to_email=old_email,
    )


def bound_to(purpose: Purpose, *, email: str, password_hash: str | None) -> str:
    """Return what a link is bound to, besides the account's link_version."""
    address = email.lower()
    if purpose is Purpose.EMAIL_VERIFICATION:
        return address
    assert purpose in (Purpose.PASSWORD_RESET, Purpose.INVITATION)
    return f"{address}\n{password_hash or ''}"


def read_account_link(
    signer: LinkSigner,
    token: str,
    purpose: Purpose,
    *,
    email: str,
    password_hash: str | None,
    link_version: int,
    now: datetime,
) -> Link:
    """Return the token's link, if it is valid for the account as it is now. Raises LinkInvalid."""
    bound = bound_to(purpose, email=email, password_hash=password_hash)
    link = signer.read(token, now=now, bound_to=bound)
    if link.purpose is not purpose or link.version != link_version:
        raise LinkInvalid()
    return link


def account_token(signer: LinkSigner, link: Link, *, email: str, password_hash: str | None) -> str:
    """Return the token of a link that is bound to the account's address, its `link_version` and,
    if it sets a password, the current one."""
    bound = bound_to(link.purpose, email=email, password_hash=password_hash)
    return signer.sign(link, bound_to=bound)


def invited_user(token: str) -> UUID:
    """Return the user that the token claims to invite, unverified. Raises InvitationInvalid."""
    try:
        return earlier_invited_user(token) if is_earlier(token) else claimed(token).subject_id
    except LinkInvalid:
        raise InvitationInvalid() from None


def check_invitation(
    token: str,
    secret: str,
    *,
    password_hash: str | None,
    email: str,
    link_version: int,
    unbound_link_version: int,
    now: datetime,
) -> UUID | None:
    """Return the user who issued the invitation; None when an earlier release made it.

    Raises InvitationInvalid unless it is ours, unused and not expired, and the account is
    unchanged.
    """
    try:
        if is_earlier(token):
            return check_earlier_invitation(
                token,
                secret,
                password_hash=password_hash,
                email=email,
                link_version=link_version,
                unbound_link_version=unbound_link_version,
                now=now,
            )
        link = read_account_link(
            LinkSigner(secret),
            token,
            Purpose.INVITATION,
            email=email,
            password_hash=password_hash,
            link_version=link_version,
            now=now,
        )
    except LinkInvalid:
        raise InvitationInvalid() from None
    return link.issued_by

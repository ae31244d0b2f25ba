"""Links in account mail: how long each works, and what it falls with.

A link that proves an address or sets a password is no row. It holds as long as the account is as it
was when the link was signed, so using it, or changing what it is about, spends it and its like.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.errors import LinkInvalid
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.notifications import (
    ADDRESS_CHANGED,
    EMAIL_VERIFICATION,
    PASSWORD_RESET,
    Message,
    account_mail,
)

VERIFICATION_LASTS = timedelta(days=3)
RESET_LASTS = timedelta(hours=1)
#: how long it is worth telling the old address of a change
NOTICE_LASTS = timedelta(days=7)


def verification_mail(
    *, clinic_id: UUID, user_id: UUID, now: datetime, new_id: Callable[[], UUID]
) -> Message:
    """Return the message whose link proves the user's address."""
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
    """Return the message that tells the old address of the change; it carries no link."""
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
    """Return what a link falls with, beside the account's link_version."""
    address = email.lower()
    if purpose is Purpose.EMAIL_VERIFICATION:
        return address
    assert purpose is Purpose.PASSWORD_RESET
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
    """Return what the token says, if it holds for the account as it is. Raises LinkInvalid."""
    bound = bound_to(purpose, email=email, password_hash=password_hash)
    link = signer.read(token, now=now, bound_to=bound)
    if link.purpose is not purpose or link.version != link_version:
        raise LinkInvalid()
    return link

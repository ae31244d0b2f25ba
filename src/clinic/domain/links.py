"""Signed links; the first byte of every token that we send is its purpose.

A link permits one action on one subject for a limited time, so it names no person and contains no
personal data. It needs no database row, because its contents are signed. Opening one shows a page;
only submitting that page's form changes anything.
"""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import sha256
from uuid import UUID

from clinic.domain.errors import LinkInvalid

_FIELDS = struct.Struct(">B16s16sIQ")
_ISSUER_BYTES = 16
_TAG_BYTES = 16
#: set in the first byte when the issuer's id follows the fields
_HAS_ISSUER = 0x80
TOKEN_CHARS = (_FIELDS.size + _ISSUER_BYTES + _TAG_BYTES) * 4 // 3 + 2


class Purpose(IntEnum):
    """What a link may be used for; the number is in the token."""

    CONFIRM = 1
    CANCEL = 2
    MOVE = 3
    UNSUBSCRIBE = 4
    EMAIL_VERIFICATION = 5
    PASSWORD_RESET = 6
    INVITATION = 7
    MEMBERSHIP_OFFER = 8


@dataclass(frozen=True, slots=True)
class Link:
    """A token's contents. The purpose decides whether `subject_id` is an appointment, a user or an
    offer."""

    purpose: Purpose
    clinic_id: UUID
    subject_id: UUID
    #: the appointment's schedule_version, the account's link_version, or 0 for an offer
    version: int
    expires_at: datetime
    #: the user who had it sent to someone else; None when its recipient asked for it
    issued_by: UUID | None = None


def bound_to_mailbox(email: str, link_version: int) -> str:
    """Return what to bind a link to that acts for anyone who reads this mailbox: the link is
    invalid once either value changes."""
    return f"{email.lower()}\n{link_version}"


class LinkSigner:
    """Signs and reads tokens with a separate key, derived from the service's secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"clinic message links v1", sha256)

    def sign(self, link: Link, *, bound_to: str = "") -> str:
        """Return the URL-safe token for `link`.

        `bound_to` is signed with the token but not part of it: the link is valid only as long as
        its reader supplies the same value.
        """
        issuer = link.issued_by.bytes if link.issued_by else b""
        packed = _FIELDS.pack(
            link.purpose | (_HAS_ISSUER if issuer else 0),
            link.clinic_id.bytes,
            link.subject_id.bytes,
            link.version,
            int(link.expires_at.timestamp()),
        )
        packed += issuer
        return urlsafe_b64encode(packed + self._tag(packed, bound_to)).rstrip(b"=").decode()

    def read(self, token: str, *, now: datetime, bound_to: str = "") -> Link:
        """Return a token's link. Raises LinkInvalid when it is not one of ours, is bound to
        something else, or has expired."""
        link = self.verified(token, bound_to=bound_to)
        if now >= link.expires_at:
            raise LinkInvalid("This link has expired; call the clinic.")
        return link

    def verified(self, token: str, *, bound_to: str = "") -> Link:
        """Return a token's link, even if it has expired. Raises LinkInvalid when it is not one of
        ours, or is bound to something else."""
        packed, tag = _parts(token)
        if not hmac.compare_digest(tag, self._tag(packed, bound_to)):
            raise LinkInvalid()
        return _unpacked(packed)

    def read_mailed(
        self,
        token: str,
        *,
        email: str,
        link_version: int,
        unbound_link_version: int,
        now: datetime,
    ) -> Link:
        """Return the token's link, if it was mailed to this address and the account has not been
        disabled since. Raises LinkInvalid.

        A link that is bound to nothing was mailed by an earlier release, and is valid until the
        account's link_version changes.
        """
        try:
            return self.read(token, now=now, bound_to=bound_to_mailbox(email, link_version))
        except LinkInvalid:
            if link_version != unbound_link_version:
                raise
        return self.read(token, now=now)

    def _tag(self, packed: bytes, bound_to: str) -> bytes:
        # The first byte determines the length of `packed`, so no bytes can move between the two.
        return hmac.digest(self._key, packed + bound_to.encode(), sha256)[:_TAG_BYTES]


def claimed(token: str) -> Link:
    """Return a token's link without verifying it, to look up what it is bound to.

    Raises LinkInvalid.
    """
    return _unpacked(_parts(token)[0])


def _parts(token: str) -> tuple[bytes, bytes]:
    if len(token) > TOKEN_CHARS:
        raise LinkInvalid()
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        raise LinkInvalid() from None
    # Accept one spelling only: base64 ignores unknown characters and spare bits at the end.
    respelt = urlsafe_b64encode(raw).rstrip(b"=").decode() == token
    size = _FIELDS.size + (_ISSUER_BYTES if raw and raw[0] & _HAS_ISSUER else 0)
    if not respelt or len(raw) != size + _TAG_BYTES:
        raise LinkInvalid()
    return raw[:size], raw[size:]


def _unpacked(packed: bytes) -> Link:
    first, clinic, subject, version, expires = _FIELDS.unpack_from(packed)
    issuer = packed[_FIELDS.size :]
    try:
        return Link(
            Purpose(first & ~_HAS_ISSUER),
            UUID(bytes=clinic),
            UUID(bytes=subject),
            version,
            datetime.fromtimestamp(expires, UTC),
            UUID(bytes=issuer) if issuer else None,
        )
    except (ValueError, OverflowError, OSError):
        raise LinkInvalid() from None

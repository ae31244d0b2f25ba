"""Reads invitations and offers that were sent before all links had the same signer.

They last seven days, so this module can be removed in the release after the next.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from clinic.domain.errors import LinkInvalid
from clinic.domain.links import bound_to_mailbox

_ID_BYTES = 16
_EXPIRES_BYTES = 8


def is_earlier(token: str) -> bool:
    """Return whether `token` has the earlier form: claims, a dot, and their signature."""
    return "." in token


def earlier_invited_user(token: str) -> UUID:
    """Return the user that the token claims to invite, unverified. Raises LinkInvalid."""
    return UUID(bytes=_invitation_claims(token)[:_ID_BYTES])


def check_earlier_invitation(
    token: str,
    secret: str,
    *,
    password_hash: str | None,
    email: str,
    link_version: int,
    unbound_link_version: int,
    now: datetime,
) -> UUID | None:
    """Return the user who issued the token; None where the token does not record it.

    Raises LinkInvalid unless the token is ours, unused and not expired, and the account has not
    changed. The earliest tokens were bound to the password alone; they are valid until the
    account's link_version changes.
    """
    claims = _invitation_claims(token)
    signed = (b"invitation", claims, (password_hash or "").encode())
    macs = [_mac(secret, *signed, bound_to_mailbox(email, link_version).encode())]
    if link_version == unbound_link_version:
        macs.append(_mac(secret, *signed))
    given = token.partition(".")[2].encode()
    is_ours = any(hmac.compare_digest(given, mac) for mac in macs)
    issuer_at = _ID_BYTES + _EXPIRES_BYTES
    if not is_ours or now.timestamp() >= int.from_bytes(claims[_ID_BYTES:issuer_at], "big"):
        raise LinkInvalid()
    issuer = claims[issuer_at:]
    return UUID(bytes=issuer) if issuer else None


def earlier_offer_named(token: str, secret: str, email: str) -> tuple[UUID, UUID]:
    """Return clinic and id of the offer that was made to this address. Raises LinkInvalid."""
    claims, given = _split(token)
    # The claims have a fixed length, so no bytes can move between them and the address.
    message = b"membership offer" + claims + email.strip().lower().encode()
    is_ours = hmac.compare_digest(given, _text(hmac.digest(secret.encode(), message, "sha256")))
    if len(claims) != 2 * _ID_BYTES or not is_ours:
        raise LinkInvalid()
    return UUID(bytes=claims[:_ID_BYTES]), UUID(bytes=claims[_ID_BYTES:])


def _invitation_claims(token: str) -> bytes:
    """Return the token's claims: user, expiry and, in later tokens, issuer."""
    claims, _ = _split(token)
    without_issuer = _ID_BYTES + _EXPIRES_BYTES
    if len(claims) not in (without_issuer, without_issuer + _ID_BYTES):
        raise LinkInvalid()
    return claims


def _split(token: str) -> tuple[bytes, bytes]:
    text, _, mac = token.partition(".")
    try:
        return urlsafe_b64decode((text + "=" * (-len(text) % 4)).encode("ascii")), mac.encode()
    except ValueError:
        raise LinkInvalid() from None


def _mac(secret: str, *parts: bytes) -> bytes:
    # Prefix each part with its length, so that different lists of parts never make equal bytes.
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return _text(hmac.digest(secret.encode(), message, "sha256"))


def _text(mac: bytes) -> bytes:
    return urlsafe_b64encode(mac).rstrip(b"=")

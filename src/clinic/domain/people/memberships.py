"""Membership of a clinic: an administrator offers it, and the person may accept."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.errors import InvalidInput, OfferInvalid
from clinic.domain.people.people import Role, checked_specialty

OFFER_LASTS = timedelta(days=7)
#: the audit event of a person who accepted membership of a clinic
ACCEPT_MEMBERSHIP = "accept_membership"


@dataclass(frozen=True, slots=True)
class Membership:
    """A person's membership of a clinic in their role, current or ended."""

    clinic_id: UUID
    #: of a doctor at this clinic
    specialty: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MembershipOffer:
    """A clinic's offer to the owner of an email address. The address itself is not kept: only the
    token is bound to it."""

    clinic_id: UUID
    id: UUID
    #: the role that the clinic expects the person to have; accepting changes no role
    role: Role
    #: of a doctor at this clinic
    specialty: str | None
    offered_by: UUID
    created_at: datetime
    expires_at: datetime
    #: finds the offers to an address without revealing it; None in offers of earlier releases
    address_tag: bytes | None = None

    def __post_init__(self) -> None:
        if self.role is Role.SYSTEM:
            raise InvalidInput("Nobody signs in as the service itself.", pointer="/role")
        if (self.role is Role.DOCTOR) != (self.specialty is not None):
            raise InvalidInput("Doctors, and only doctors, have a specialty.", pointer="/specialty")
        if self.specialty is not None:
            object.__setattr__(self, "specialty", checked_specialty(self.specialty))


def address_tag(secret: str, email: str) -> bytes:
    """Return the keyed hash that is kept of the address that an offer is made to."""
    message = b"membership offer address" + email.strip().lower().encode()
    return hmac.digest(secret.encode(), message, "sha256")


def offer_token(secret: str, offer: MembershipOffer, email: str) -> str:
    """Return the token with which the owner of this address accepts the offer."""
    claims = offer.clinic_id.bytes + offer.id.bytes
    return f"{urlsafe_b64encode(claims).decode().rstrip('=')}.{_mac(secret, claims, email)}"


def offer_named(token: str, secret: str, email: str) -> tuple[UUID, UUID]:
    """Return the clinic's id and the id of the offer in the token. Raises OfferInvalid unless the
    token was made for this address."""
    text, _, mac = token.partition(".")
    try:
        claims = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise OfferInvalid() from None
    if len(claims) != 32 or not hmac.compare_digest(
        mac.encode(), _mac(secret, claims, email).encode()
    ):
        raise OfferInvalid()
    return UUID(bytes=claims[:16]), UUID(bytes=claims[16:])


def _mac(secret: str, claims: bytes, email: str) -> str:
    # The claims have a fixed length, so that no byte can move between them and the address.
    message = b"membership offer" + claims + email.strip().lower().encode()
    return urlsafe_b64encode(hmac.digest(secret.encode(), message, "sha256")).decode().rstrip("=")

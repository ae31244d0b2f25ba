"""Membership of a clinic: an administrator offers it, and the person may accept."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.earlier_links import earlier_offer_named, is_earlier
from clinic.domain.errors import InvalidInput, LinkInvalid, OfferInvalid
from clinic.domain.links import Link, LinkSigner, Purpose
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
            raise InvalidInput("No one can sign in as the service itself.", pointer="/role")
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
    link = Link(Purpose.MEMBERSHIP_OFFER, offer.clinic_id, offer.id, 0, offer.expires_at)
    return LinkSigner(secret).sign(link, bound_to=_bound_to(email))


def offer_named(token: str, secret: str, email: str) -> tuple[UUID, UUID]:
    """Return clinic and id of the offer that was made to this address. Raises OfferInvalid.

    Its row says whether it has expired.
    """
    try:
        if is_earlier(token):
            return earlier_offer_named(token, secret, email)
        link = LinkSigner(secret).verified(token, bound_to=_bound_to(email))
    except LinkInvalid:
        raise OfferInvalid() from None
    if link.purpose is not Purpose.MEMBERSHIP_OFFER:
        raise OfferInvalid()
    return link.clinic_id, link.subject_id


def _bound_to(email: str) -> str:
    return email.strip().lower()

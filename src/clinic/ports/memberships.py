"""Memberships of clinics, and offers of membership, inside a unit of work."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import User


class Memberships(Protocol):
    async def add_offer(self, offer: MembershipOffer) -> None:
        """Add the offer, and remove its clinic's offers that had expired when it was made."""
        ...

    async def take_offer(self, clinic_id: UUID, offer_id: UUID) -> MembershipOffer | None:
        """Remove the offer and return it, expired or not; of two callers one gets None."""
        ...

    async def withdraw_offers(self, clinic_id: UUID, offered_by: UUID) -> None:
        """Remove every offer that this person made for the clinic."""
        ...

    async def ended_at(self, clinic_id: UUID, user: User) -> datetime | None:
        """Return when the person's membership of the clinic ended; None when they are a member, or
        never were."""
        ...

    async def join(self, clinic_id: UUID, user: User, specialty: str | None) -> None:
        """Make the person a member of the clinic in their role, also a former member; a former
        doctor keeps the earlier specialty. Raises AlreadyExists for a current member."""
        ...

    async def end(self, clinic_id: UUID, user: User, now: datetime) -> bool:
        """End the membership; return whether there was one."""
        ...

    async def administrators(self, clinic_id: UUID) -> int:
        """Return how many administrators the clinic has who are not disabled."""
        ...

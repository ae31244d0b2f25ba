"""The contract of Memberships."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyExists
from clinic.domain.people.memberships import OFFER_LASTS, Membership, MembershipOffer
from clinic.domain.people.people import Role, User
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import NOW, a_user, new_id, seed_clinic
from clinic.testing.contracts.contract import Contract


class MembershipsContract(Contract, contract=True):
    """Memberships. Needs a fixture `store`: an open, empty Store."""

    @pytest.mark.parametrize("role", [Role.PATIENT, Role.DOCTOR, Role.RECEPTIONIST, Role.ADMIN])
    async def test_a_membership_ends_and_begins_again(self, store: Store, role: Role) -> None:
        here, there, user = await seed_clinic(store), await seed_clinic(store), a_user(role)
        async with store.begin() as unit:
            await unit.people.add_user(user)
            for clinic in (here, there):
                await unit.memberships.join(clinic.id, user, "General")
            await unit.commit()
        joined = await _clinics(store, user)
        specialty = "General" if role is Role.DOCTOR else None

        async with store.begin() as unit:
            ended = await unit.memberships.end(here.id, user, NOW)
            again = await unit.memberships.end(here.id, user, NOW)
            ended_at = await unit.memberships.ended_at(here.id, user)
            elsewhere = await unit.memberships.ended_at(there.id, user)
            await unit.commit()
        left = await _clinics(store, user)
        listed = await store.accounts.accounts(here.id, limit=10)
        kept = await store.accounts.memberships(user)
        async with store.begin() as unit:
            await unit.memberships.join(here.id, user, "Surgery")
            await unit.commit()

        assert joined == {here.id, there.id}
        assert (ended, again, ended_at, elsewhere) == (True, False, NOW, None)
        assert (left, list(listed)) == ({there.id}, [])
        ends = {here.id: NOW, there.id: None}
        assert kept == [Membership(each, specialty, ends[each]) for each in sorted(ends)]
        assert await _clinics(store, user) == joined

    async def test_a_member_does_not_join_again(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.memberships.join(clinic.id, user, None)

    async def test_an_offer_is_taken_once_and_at_its_clinic_alone(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        offer = _offer(clinic)
        async with store.begin() as unit:
            await unit.memberships.add_offer(offer)
            await unit.commit()

        async def take(clinic_id: UUID) -> MembershipOffer | None:
            async with store.begin() as unit:
                taken = await unit.memberships.take_offer(clinic_id, offer.id)
                await unit.commit()
                return taken

        foreign = await take(other.id)
        taken = await asyncio.gather(take(clinic.id), take(clinic.id))

        assert foreign is None
        assert sorted(taken, key=lambda each: each is None) == [offer, None]

    async def test_offers_are_found_by_the_tag_of_their_address(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        tag = b"an address".ljust(32)
        mine = [replace(_offer(each), address_tag=tag) for each in (clinic, other, clinic)]
        expired = replace(mine[0], id=new_id(), expires_at=NOW + OFFER_LASTS / 2)
        foreign = replace(_offer(clinic), address_tag=b"another".ljust(32))
        async with store.begin() as unit:
            for offer in (*mine, expired, foreign, _offer(clinic)):
                await unit.memberships.add_offer(offer)
            await unit.commit()
        mine.sort(key=lambda offer: offer.id)

        async def found(limit: int) -> list[MembershipOffer]:
            return list(await store.accounts.offers(tag, expired.expires_at, limit=limit))

        assert (await found(10), await found(2)) == (mine, mine[:2])

    async def test_offers_are_withdrawn_with_who_made_them_and_removed_when_expired(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        mine, other = _offer(clinic), _offer(clinic)
        old = replace(_offer(clinic), created_at=NOW - 2 * OFFER_LASTS, expires_at=NOW)
        async with store.begin() as unit:
            for offer in (old, mine, other):
                await unit.memberships.add_offer(offer)
            await unit.memberships.withdraw_offers(clinic.id, mine.offered_by)
            left = [
                await unit.memberships.take_offer(clinic.id, offer.id)
                for offer in (old, mine, other)
            ]

        assert left == [None, None, other]

    async def test_administrators_are_those_who_can_sign_in_as_one(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        one = await _staff(store, clinic, Role.ADMIN)
        two = await _staff(store, clinic, Role.ADMIN)
        three = await _staff(store, clinic, Role.ADMIN)
        await _staff(store, clinic)
        await _staff(store, other, Role.ADMIN)

        async with store.begin() as unit:
            before = await unit.memberships.administrators(clinic.id)
            await unit.accounts.set_disabled_at(two.id, NOW)
            await unit.memberships.end(clinic.id, three, NOW)
            after = await unit.memberships.administrators(clinic.id)

        assert (before, after) == (3, 1)
        assert one.role is Role.ADMIN


def _offer(clinic: Clinic) -> MembershipOffer:
    return MembershipOffer(clinic.id, new_id(), Role.ADMIN, None, new_id(), NOW, NOW + OFFER_LASTS)


async def _clinics(store: Store, user: User) -> set[UUID]:
    account = await store.accounts.account(user.id)
    assert account is not None
    return set(account.clinics)


async def _staff(store: Store, clinic: Clinic, role: Role = Role.RECEPTIONIST) -> User:
    user = a_user(role)
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(clinic.id, user.id)
        await unit.commit()
    return user

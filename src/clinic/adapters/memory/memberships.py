"""Memberships in memory."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic, rivals_for_bookings
from clinic.adapters.memory.tables import (
    DoctorProfile,
    PatientProfile,
    StaffProfile,
    StoredCredentials,
    Tables,
)
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.errors import AlreadyExists, ClinicNotFound
from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import Role, User


class MemoryMemberships:
    """Memberships inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add_offer(self, offer: MembershipOffer) -> None:
        try:
            check_clinic(self._tables, offer.clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        await self._remove(offer.clinic_id, lambda other: other.expires_at <= offer.created_at)
        self._tables.offers.put((offer.clinic_id, offer.id), offer)

    async def take_offer(self, clinic_id: UUID, offer_id: UUID) -> MembershipOffer | None:
        key = (clinic_id, offer_id)
        await self._transaction.lock(("offer", *key))
        offer = self._tables.offers.get(key)
        if offer is not None:
            self._tables.offers.remove(key)
        return offer

    async def withdraw_offers(self, clinic_id: UUID, offered_by: UUID) -> None:
        await self._remove(clinic_id, lambda offer: offer.offered_by == offered_by)

    async def ended_at(self, clinic_id: UUID, user: User) -> datetime | None:
        profile = _profiles(self._tables, user).get((clinic_id, user.id))
        found: datetime | None = profile.ended_at if profile else None
        return found

    async def join(self, clinic_id: UUID, user: User, specialty: str | None) -> None:
        key = (clinic_id, user.id)
        await self._transaction.lock((_kind(user), *key))
        try:
            check_clinic(self._tables, clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        profiles = _profiles(self._tables, user)
        profile = profiles.get(key)
        if profile is not None and profile.ended_at is None:
            raise AlreadyExists()
        if profile is not None:
            profiles.put(key, replace(profile, ended_at=None))
        elif user.role is Role.DOCTOR:
            profiles.put(key, DoctorProfile(clinic_id, user.id, specialty or ""))
        elif user.role is Role.PATIENT:
            profiles.put(key, PatientProfile(clinic_id, user.id))
        else:
            profiles.put(key, StaffProfile(clinic_id, user.id))

    async def end(self, clinic_id: UUID, user: User, now: datetime) -> bool:
        key = (clinic_id, user.id)
        await self._transaction.lock((_kind(user), *key))
        profiles = _profiles(self._tables, user)
        profile = profiles.get(key)
        if profile is None or profile.ended_at is not None:
            return False
        await self._transaction.lock(("standing", user.id))
        await self._transaction.wait_until_no_rival(
            lambda other: rivals_for_bookings(other, user.id)
        )
        profiles.put(key, replace(profile, ended_at=now))
        return True

    async def administrators(self, clinic_id: UUID) -> int:
        tables = self._tables
        found = 0
        for profile in tables.staff.where("clinic", clinic_id):
            user = tables.users.get(profile.user_id)
            credentials = tables.credentials.get(profile.user_id) or StoredCredentials()
            is_admin = user is not None and user.role is Role.ADMIN
            found += is_admin and profile.ended_at is None and credentials.disabled_at is None
        return found

    async def _remove(self, clinic_id: UUID, chosen: Any) -> None:
        offers = list(self._tables.offers.where("clinic", clinic_id))
        for offer in offers:
            if chosen(offer):
                await self.take_offer(clinic_id, offer.id)


def _profiles(tables: Tables, user: User) -> Any:
    if user.role is Role.DOCTOR:
        return tables.doctors
    return tables.patients if user.role is Role.PATIENT else tables.staff


def _kind(user: User) -> str:
    if user.role is Role.DOCTOR:
        return "doctor"
    return "patient" if user.role is Role.PATIENT else "staff"

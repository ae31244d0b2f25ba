"""The contract of AppointmentTypes and AppointmentTypeReader."""

from dataclasses import replace

import anyio
import pytest

from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.errors import (
    AlreadyExists,
    AppointmentTypeNotFound,
    ClinicNotFound,
    DefaultTypeTaken,
    DoctorNotFound,
    TypeNameInUse,
)
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import a_clinic, a_type, new_id, seed_type, seed_world
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract


async def _replace(store: Store, type: AppointmentType) -> None:
    async with store.begin() as unit:
        await unit.appointment_types.replace(type)
        await unit.commit()


class AppointmentTypesContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_types_come_by_id_as_they_were_entered(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        bare = a_type(world.clinic, "Überweisung")
        full = AppointmentType(
            new_id(),
            world.clinic.id,
            "Root canal",
            90,
            before_min=5,
            after_min=15,
            notice_min=2_880,
            horizon_days=30,
            bookable_by=BookableBy.KNOWN_PATIENTS,
            offered_by=(Offer(world.colleague.id, 75), Offer(world.doctor.id)),
            instructions="Eat before you come.",
            color="#2f6fde",
            is_default=True,
        )
        nobodys = a_type(world.clinic, "Surgery", offered_by=())
        inactive = a_type(
            world.clinic, "X-ray", bookable_by=BookableBy.STAFF, is_default=True, is_active=False
        )
        await seed_type(store, full, inactive, a_type(other.clinic), nobodys, bare)

        found = await store.appointment_types.all(world.clinic.id)

        entered = [bare, full, nobodys, inactive]
        assert list(found) == sorted(entered, key=lambda type: type.id)
        assert [await store.appointment_types.one(world.clinic.id, each.id) for each in found] == [
            *found
        ]

    async def test_type_is_read_in_its_clinic_only(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        known = a_type(world.clinic)
        await seed_type(store, known)

        assert await store.appointment_types.one(other.clinic.id, known.id) is None
        assert await store.appointment_types.one(world.clinic.id, new_id()) is None
        assert list(await store.appointment_types.all(other.clinic.id)) == []

    async def test_unit_sees_its_own_types_and_others_once_it_commits(self, store: Store) -> None:
        world = await seed_world(store)
        type = a_type(world.clinic, offered_by=(Offer(world.doctor.id, 20),))
        here = world.clinic.id

        async with store.begin() as unit:
            await unit.appointment_types.add(type)
            inside = await unit.appointment_types.all(here)
            one = await unit.appointment_types.one(here, type.id)
            outside = await store.appointment_types.all(here)
            await unit.commit()

        assert (list(inside), one, list(outside)) == ([type], type, [])
        assert list(await store.appointment_types.all(here)) == [type]

    async def test_type_of_a_unit_that_gives_up_is_as_before(self, store: Store) -> None:
        world = await seed_world(store)
        kept = a_type(world.clinic, offered_by=(Offer(world.doctor.id),))
        await seed_type(store, kept)

        async with store.begin() as unit:
            await unit.appointment_types.add(a_type(world.clinic, "X-ray"))
            await unit.appointment_types.replace(replace(kept, name="Other", offered_by=None))

        assert list(await store.appointment_types.all(world.clinic.id)) == [kept]

    async def test_replace_type_writes_every_value(self, store: Store) -> None:
        world = await seed_world(store)
        known, other = a_type(world.clinic), a_type(world.clinic, "X-ray")
        await seed_type(store, known, other)
        full = AppointmentType(
            known.id,
            world.clinic.id,
            "Check",
            45,
            10,
            20,
            60,
            14,
            BookableBy.STAFF,
            (Offer(world.doctor.id, 30), Offer(world.colleague.id)),
            "Bring your card.",
            "#000000",
            is_default=True,
            is_active=False,
        )
        fewer = replace(full, offered_by=(Offer(world.colleague.id, 60),))

        for new in (full, fewer, replace(full, offered_by=()), known):
            await _replace(store, new)

            found = await store.appointment_types.all(world.clinic.id)
            assert list(found) == sorted([new, other], key=lambda type: type.id)

    async def test_replace_type_that_is_unknown_or_of_another_clinic_raises(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)
        known = a_type(world.clinic)
        await seed_type(store, known)

        for wrong in (replace(known, id=new_id()), replace(known, clinic_id=other.clinic.id)):
            async with store.begin() as unit:
                with pytest.raises(AppointmentTypeNotFound):
                    await unit.appointment_types.replace(replace(wrong, name="X-ray"))
        assert list(await store.appointment_types.all(world.clinic.id)) == [known]
        assert list(await store.appointment_types.all(other.clinic.id)) == []

    async def test_type_with_an_id_that_is_used_is_refused(self, store: Store) -> None:
        world = await seed_world(store)
        known = a_type(world.clinic)
        await seed_type(store, known)

        again = replace(known, name="X-ray", offered_by=(Offer(world.doctor.id),))
        with pytest.raises(AlreadyExists):
            await seed_type(store, again)
        assert list(await store.appointment_types.all(world.clinic.id)) == [known]

    async def test_type_of_an_unknown_clinic_is_refused(self, store: Store) -> None:
        with pytest.raises(ClinicNotFound):
            await seed_type(store, a_type(a_clinic()))

    async def test_name_of_another_active_type_is_refused(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        known, renamed = a_type(world.clinic, "Check-up"), a_type(world.clinic, "X-ray")
        await seed_type(store, known, renamed, a_type(other.clinic, "CHECK-UP"))

        for name in ("Check-up", "CHECK-UP", "check-up"):
            with pytest.raises(TypeNameInUse):
                await seed_type(store, a_type(world.clinic, name))
            with pytest.raises(TypeNameInUse):
                await _replace(store, replace(renamed, name=name))

        found = await store.appointment_types.all(world.clinic.id)
        assert list(found) == sorted([known, renamed], key=lambda type: type.id)
        # Its own name is no obstacle, nor that of an inactive type.
        again = replace(known, name="CHECK-UP", is_active=False)
        await _replace(store, replace(known, name="CHECK-UP"))
        await _replace(store, again)
        await seed_type(store, a_type(world.clinic, "Check-up"))
        with pytest.raises(TypeNameInUse):
            await _replace(store, replace(again, is_active=True))

    async def test_second_active_default_is_refused(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        default = a_type(world.clinic, is_default=True)
        second = a_type(world.clinic, "X-ray")
        inactive = a_type(world.clinic, "Old", is_default=True, is_active=False)
        await seed_type(store, default, second, inactive, a_type(other.clinic, is_default=True))

        for wrong in (replace(second, is_default=True), replace(inactive, is_active=True)):
            with pytest.raises(DefaultTypeTaken):
                await _replace(store, wrong)
        with pytest.raises(DefaultTypeTaken):
            await seed_type(store, a_type(world.clinic, "Third", is_default=True))

        await _replace(store, replace(default, is_active=False))
        await _replace(store, replace(second, is_default=True))
        found = await store.appointment_types.one(world.clinic.id, second.id)
        assert found == replace(second, is_default=True)

    async def test_offer_of_nobody_or_of_another_clinics_doctor_is_refused(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)
        known = a_type(world.clinic)
        await seed_type(store, known)

        for doctor_id in (new_id(), other.doctor.id, world.patients[0].id):
            offers = Offer(world.doctor.id), Offer(doctor_id)
            new = a_type(world.clinic, "New", offered_by=offers)
            async with store.begin() as unit:
                with pytest.raises(DoctorNotFound):
                    await unit.appointment_types.add(new)
            async with store.begin() as unit:
                with pytest.raises(DoctorNotFound):
                    await unit.appointment_types.replace(replace(known, offered_by=offers))
        assert list(await store.appointment_types.all(world.clinic.id)) == [known]

    @pytest.mark.parametrize("error", [TypeNameInUse, DefaultTypeTaken])
    @pytest.mark.parametrize("commits", [True, False])
    async def test_type_waits_for_one_that_would_refuse_it(
        self, store: Store, error: type[Exception], commits: bool
    ) -> None:
        world = await seed_world(store)
        shares_name = error is TypeNameInUse
        first = a_type(world.clinic, "Check-up", is_default=not shares_name)
        name = "CHECK-UP" if shares_name else "X-ray"
        second = a_type(world.clinic, name, is_default=not shares_name)

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.appointment_types.add(first)
            waiting = await attempt(group, lambda: seed_type(store, second), self)
            assert not waiting.has_ended
            if commits:
                await unit.commit()

        assert await waiting.outcome() is (error if commits else None)
        kept = first if commits else second
        assert list(await store.appointment_types.all(world.clinic.id)) == [kept]

    async def test_name_that_is_given_up_is_free_once_that_commits(self, store: Store) -> None:
        world = await seed_world(store)
        first = a_type(world.clinic, "Check-up")
        second = a_type(world.clinic, "Check-up")
        await seed_type(store, first)

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.appointment_types.replace(replace(first, name="X-ray"))
            waiting = await attempt(group, lambda: seed_type(store, second), self)
            assert not waiting.has_ended
            await unit.commit()

        assert await waiting.outcome() is None
        assert len(await store.appointment_types.all(world.clinic.id)) == 2

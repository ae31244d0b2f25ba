"""The contract of doctors' hours and exceptions."""

from dataclasses import replace
from datetime import date, time

import pytest

from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.errors import (
    AvailabilityNotFound,
    ExceptionNotFound,
    NotFound,
)
from clinic.domain.people.people import Doctor
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    an_availability,
    an_exception,
    new_id,
    seed_clinic,
    seed_world,
)
from clinic.testing.contracts.calendars_steps import listed_slots, query_of
from clinic.testing.contracts.contract import Contract


class HoursContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_list_slots_makes_none(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        await self._add_hours(store, an_availability(world.doctor))

        assert await listed_slots(store, query_of(world)) == []

    async def _add_hours(self, store: Store, *hours: Availability) -> None:
        async with store.begin() as unit:
            for each in hours:
                await unit.calendars.add_availability(each)
            await unit.commit()

    async def _add_exceptions(self, store: Store, *exceptions: AvailabilityException) -> None:
        async with store.begin() as unit:
            for each in exceptions:
                await unit.calendars.add_exception(each)
            await unit.commit()

    async def test_availabilities_come_by_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        weekly = replace(
            an_availability(world.doctor, weekdays=(1, 3)),
            valid_from=date(2026, 1, 1),
            valid_until=date(2026, 12, 31),
        )
        dated = an_availability(world.colleague, on_date=date(2026, 12, 24), end=time(12))
        await self._add_hours(store, dated, weekly, an_availability(other.doctor))

        everyones = list(await store.calendars.availabilities(world.clinic.id))
        doctors = list(await store.calendars.availabilities(world.clinic.id, world.doctor.id))

        assert everyones == sorted([weekly, dated], key=lambda hours: hours.id)
        assert doctors == [weekly]

    async def test_replace_availability_writes_it_anew(self, store: Store) -> None:
        world = await seed_world(store)
        old, other = an_availability(world.doctor), an_availability(world.colleague)
        new = replace(old, weekdays=(6,), end=time(10), slot_min=15)
        await self._add_hours(store, old, other)

        async with store.begin() as unit:
            await unit.calendars.replace_availability(new)
            await unit.commit()

        found = await store.calendars.availabilities(world.clinic.id)
        assert list(found) == sorted([new, other], key=lambda hours: hours.id)

    async def test_replace_availability_unknown_raises(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            with pytest.raises(AvailabilityNotFound):
                await unit.calendars.replace_availability(an_availability(world.doctor))

    async def test_delete_availability_removes_it(self, store: Store) -> None:
        world = await seed_world(store)
        gone, stays = an_availability(world.doctor), an_availability(world.colleague)
        await self._add_hours(store, gone, stays)

        async with store.begin() as unit:
            await unit.calendars.delete_availability(world.clinic.id, gone.id)
            inside = list(await unit.calendars.availabilities(world.clinic.id))
            await unit.commit()

        assert inside == [stays]
        assert list(await store.calendars.availabilities(world.clinic.id)) == [stays]

    async def test_delete_availability_unknown_or_of_another_clinic_raises(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_clinic(store)
        hours = an_availability(world.doctor)
        await self._add_hours(store, hours)

        for clinic_id, hours_id in ((world.clinic.id, new_id()), (other.id, hours.id)):
            async with store.begin() as unit:
                with pytest.raises(AvailabilityNotFound):
                    await unit.calendars.delete_availability(clinic_id, hours_id)

    async def test_exceptions_come_by_date_then_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        late = an_exception(world.doctor, date(2026, 12, 24))
        early = AvailabilityException(
            new_id(),
            world.clinic.id,
            world.colleague.id,
            date(2026, 12, 1),
            ExceptionKind.ADD,
            time(18),
            time(19),
            20,
        )
        await self._add_exceptions(store, late, early, an_exception(other.doctor))

        assert list(await store.calendars.exceptions(world.clinic.id)) == [early, late]
        assert list(await store.calendars.exceptions(world.clinic.id, world.doctor.id)) == [late]

    async def test_delete_exception_removes_it(self, store: Store) -> None:
        world = await seed_world(store)
        gone, stays = an_exception(world.doctor), an_exception(world.colleague)
        await self._add_exceptions(store, gone, stays)

        async with store.begin() as unit:
            await unit.calendars.delete_exception(world.clinic.id, gone.id)
            await unit.commit()

        assert list(await store.calendars.exceptions(world.clinic.id)) == [stays]

    async def test_delete_exception_unknown_raises(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            with pytest.raises(ExceptionNotFound):
                await unit.calendars.delete_exception(world.clinic.id, new_id())

    async def test_hours_of_nobody_are_refused(self, store: Store) -> None:
        world = await seed_world(store)
        nobody = Doctor(world.clinic.id, new_id(), "Nobody", "General")

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_availability(an_availability(nobody))
        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_exception(an_exception(nobody))

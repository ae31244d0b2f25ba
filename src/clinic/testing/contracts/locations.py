"""The contract of Locations and LocationReader."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest

from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    AlreadyExists,
    ClinicNotFound,
    LocationNameInUse,
    LocationNotFound,
    SlotNotFound,
    TooClose,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    a_clinic,
    a_location,
    a_slot,
    an_actor,
    new_id,
    seed_booking,
    seed_location,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract


async def _replace(store: Store, location: Location) -> None:
    async with store.begin() as unit:
        await unit.locations.replace(location)
        await unit.commit()


class LocationsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_locations_come_by_id_as_they_were_entered(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        bare = Location(new_id(), world.clinic.id, "Hafen")
        full = Location(
            new_id(),
            world.clinic.id,
            "Harbour branch",
            "1 Quay Street\nBristol",
            "Ring twice.",
            "+441174960000",
            "GB",
            "ENG",
            is_active=False,
        )
        await seed_location(store, full, bare, a_location(other.clinic))

        assert list(await store.locations.all(world.clinic.id)) == [bare, full]
        assert await store.locations.one(world.clinic.id, full.id) == full
        assert await store.locations.one(other.clinic.id, full.id) is None
        assert await store.locations.one(world.clinic.id, new_id()) is None

    async def test_replace_changes_every_field_of_that_location_only(self, store: Store) -> None:
        world, elsewhere = await seed_world(store), await seed_world(store)
        known, other = a_location(world.clinic), a_location(world.clinic, "Station")
        await seed_location(store, known, other)

        new = Location(known.id, world.clinic.id, "Quay", "2 Quay Street", None, "+4411749", "AT")
        for changed in (new, replace(new, is_active=False), known):
            await _replace(store, changed)

            assert list(await store.locations.all(world.clinic.id)) == [changed, other]
        for wrong in (replace(known, id=new_id()), replace(known, clinic_id=elsewhere.clinic.id)):
            with pytest.raises(LocationNotFound):
                await _replace(store, replace(wrong, name="Mill"))
        assert list(await store.locations.all(elsewhere.clinic.id)) == []

    async def test_location_with_a_used_id_or_of_an_unknown_clinic_is_refused(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        known = a_location(world.clinic)
        await seed_location(store, known)

        with pytest.raises(AlreadyExists):
            await seed_location(store, replace(known, name="Station"))
        with pytest.raises(ClinicNotFound):
            await seed_location(store, a_location(a_clinic()))
        assert list(await store.locations.all(world.clinic.id)) == [known]

    async def test_name_of_another_active_location_is_refused(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        known, renamed = a_location(world.clinic, "Quay"), a_location(world.clinic, "Mill")
        await seed_location(store, known, renamed, a_location(other.clinic, "QUAY"))

        for name in ("Quay", "QUAY"):
            with pytest.raises(LocationNameInUse):
                await seed_location(store, a_location(world.clinic, name))
            with pytest.raises(LocationNameInUse):
                await _replace(store, replace(renamed, name=name))
        # Its own name is no obstacle, nor that of an inactive location.
        await _replace(store, replace(known, name="QUAY"))
        await _replace(store, replace(known, name="QUAY", is_active=False))
        await seed_location(store, a_location(world.clinic, "Quay"))
        with pytest.raises(LocationNameInUse):
            await _replace(store, known)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_location_waits_for_one_that_has_its_name(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        first, second = a_location(world.clinic, "Quay"), a_location(world.clinic, "QUAY")

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.locations.add(first)
            waiting = await attempt(group, lambda: seed_location(store, second), self)
            assert not waiting.has_ended
            if commits:
                await unit.commit()

        assert await waiting.outcome() is (LocationNameInUse if commits else None)
        kept = first if commits else second
        assert list(await store.locations.all(world.clinic.id)) == [kept]

    # --- slots at locations

    async def test_slots_at_a_location_are_found_by_it(self, store: Store) -> None:
        """Given slots of two doctors at a location, at another one and at none
        Then each list says where each is, and can be limited to one location."""
        world = await seed_world(store)
        quay, mill = a_location(world.clinic, "Quay"), a_location(world.clinic, "Mill")
        await seed_location(store, quay, mill)
        day = MORNING + timedelta(days=10)
        slots = [
            a_slot(doctor, day + timedelta(hours=hour), location_id=where)
            for doctor in (world.doctor, world.colleague)
            for hour, where in enumerate((quay.id, None, mill.id, quay.id))
        ]
        await seed_slots(store, *slots)

        def among(found: Iterable[SlotView]) -> dict[UUID, UUID | None]:
            return {view.slot.id: view.slot.location_id for view in found}

        for doctor_id, specialty in ((None, None), (world.doctor.id, None), (None, "General")):
            for free_only in (True, False):
                for where in (None, quay.id, mill.id):
                    query = SlotQuery(
                        world.clinic.id,
                        day,
                        day + timedelta(days=1),
                        doctor_id=doctor_id,
                        specialty=specialty,
                        free_only=free_only,
                        location_id=where,
                    )
                    found = await store.calendars.list_slots(query, PageRequest())
                    assert among(found) == {
                        slot.id: slot.location_id
                        for slot in slots
                        if doctor_id in (None, slot.doctor_id) and where in (None, slot.location_id)
                    }
        query = SlotQuery(world.clinic.id, day, day + timedelta(days=1), doctor_id=world.doctor.id)
        glance = await store.calendars.glance(an_actor(world.clinic), query, PageRequest())
        assert glance is not None
        assert glance.free is not None
        assert list(among(glance.free.slots()).values()) == [quay.id, None, mill.id, quay.id]

    async def test_slots_are_put_at_other_locations_together(self, store: Store) -> None:
        world = await seed_world(store)
        quay, mill = a_location(world.clinic, "Quay"), a_location(world.clinic, "Mill")
        await seed_location(store, quay, mill)
        day = MORNING + timedelta(days=10)
        beside = [a_slot(world.doctor, day, lane=lane, location_id=quay.id) for lane in (1, 2, 3)]
        await seed_slots(store, *beside)
        booked = await seed_booking(store, world.clinic, beside[0], world.patients[0])
        scope = Scope(world.clinic.id)

        async def put(**wanted: Any) -> None:
            async with store.begin() as unit:
                await unit.calendars.set_slot_locations(world.clinic.id, wanted["at"])
                await unit.commit()

        # One at a time, the doctor would be at two locations.
        await put(at=dict.fromkeys((slot.id for slot in beside), mill.id))
        for wrong, error in (
            ({beside[0].id: quay.id}, TooClose),
            ({beside[0].id: new_id()}, LocationNotFound),
            ({new_id(): quay.id}, SlotNotFound),
        ):
            with pytest.raises(error):
                await put(at=wrong)

        for slot in beside:
            found = await store.calendars.slot(world.clinic.id, slot.id)
            assert found is not None
            assert found.slot.location_id == mill.id
        view = await store.appointments.get(scope, booked.id)
        assert view is not None
        assert (view.location_id, view.location_name) == (mill.id, "Mill")

    @pytest.mark.parametrize("commits", [True, False])
    async def test_doctor_is_not_at_two_locations_at_a_time(
        self, store: Store, commits: bool
    ) -> None:
        """Given a slot in one lane that is not committed yet
        When another transaction adds one at another location in another lane of that time
        Then it waits, and is refused if the first one is committed."""
        world = await seed_world(store)
        quay, mill = a_location(world.clinic, "Quay"), a_location(world.clinic, "Mill")
        await seed_location(store, quay, mill)
        day = MORNING + timedelta(days=10)
        first = a_slot(world.doctor, day, location_id=quay.id)
        second = a_slot(world.doctor, day + timedelta(minutes=10), lane=21, location_id=mill.id)

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.calendars.add_slots([first])
            waiting = await attempt(group, lambda: seed_slots(store, second), self)
            assert not waiting.has_ended
            if commits:
                await unit.commit()

        assert await waiting.outcome() is (TooClose if commits else None)
        # Retired ones are nowhere, and those that follow each other are no obstacle.
        await seed_state(store, SlotState.RETIRED, first if commits else second)
        later = a_slot(world.doctor, day + timedelta(minutes=40), location_id=quay.id)
        await seed_slots(store, replace(second, id=new_id(), lane=22), later)

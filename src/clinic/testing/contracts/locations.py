"""The contract of Locations and LocationReader."""

from dataclasses import replace

import anyio
import pytest

from clinic.domain.calendar.locations import Location
from clinic.domain.errors import (
    AlreadyExists,
    ClinicNotFound,
    LocationNameInUse,
    LocationNotFound,
)
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import a_clinic, a_location, new_id, seed_location, seed_world
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

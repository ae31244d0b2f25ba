"""The contract of what the limits on one patient's appointments are checked against."""

from clinic.domain.appointments.appointments import Status
from clinic.domain.clinic import Brakes, Policy
from clinic.domain.people.people import system_actor
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_status_change,
    seed_booking,
    seed_change,
    seed_world,
)
from clinic.testing.contracts.contract import Contract

LIMITED = Policy(max_open_appointments=3, max_open_per_doctor=2, max_bookings_per_day=4)


async def brakes(store: Store, world: World, *, patient: int = 0, slot: int = 4) -> Brakes:
    """Return them as the look-up and as a unit of work read them, which must be the same."""
    clinic, place, person = world.clinic, world.slots[slot], world.patients[patient]
    facts = await store.desk.load_facts(system_actor(clinic.id), place.id, person.id)
    async with store.begin() as unit:
        assert await unit.appointments.brakes(clinic, person.id, place) == facts.brakes
    return facts.brakes


class PatientLimitsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_brakes_are_the_times_at_which_each_limit_is_reached(self, store: Store) -> None:
        world = await seed_world(store, policy=LIMITED)
        clinic, patient = world.clinic, world.patients[0]
        places = (*world.slots[:2], *world.colleague_slots[2:4])

        found = [await brakes(store, world)]
        booked = []
        for slot in places:
            booked.append(await seed_booking(store, clinic, slot, patient))
            found.append(await brakes(store, world))
        await seed_booking(store, clinic, world.slots[3], world.patients[1])
        after_others = await brakes(store, world)
        await seed_change(store, a_status_change(clinic, booked[1], Status.CANCELLED))
        after_cancelling = await brakes(store, world)

        first = world.slots[0].starts_at
        assert found == [
            Brakes(),
            Brakes(),
            Brakes(None, first, None),
            Brakes(first, first, None),
            Brakes(world.slots[1].starts_at, first, NOW),
        ]
        assert after_others == found[-1]
        # It is no longer open, but it was booked.
        assert after_cancelling == Brakes(first, None, NOW)

    async def test_without_limits_nothing_further_is_read(self, store: Store) -> None:
        world = await seed_world(store, policy=Policy(max_open_appointments=1))
        await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

        assert await brakes(store, world) == Brakes(world.slots[0].starts_at)

    async def test_requests_under_way_may_pass_the_limits_once(self, store: Store) -> None:
        """Only those that read the facts before the others were written, and none later."""
        limits = Policy(max_open_per_doctor=1, max_bookings_per_day=1)
        world = await seed_world(store, policy=limits)
        clinic, patient = world.clinic, world.patients[0]

        under_way = [await brakes(store, world, slot=slot) for slot in range(3)]
        for slot in world.slots[:3]:
            await store.desk.reserve(a_booking(clinic, slot, patient))
        later = await brakes(store, world)

        assert under_way == [Brakes()] * 3
        assert later == Brakes(None, world.slots[2].starts_at, NOW)

"""The contract of busy times: no two appointments at one time in one lane of a doctor."""

from datetime import timedelta

import pytest

from clinic.domain.appointments.appointments import Booking, Status
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import SlotTaken
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    World,
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.additions import add, conflicts_of, why
from clinic.testing.contracts.contract import Contract

TEN_MINUTES = timedelta(minutes=10)


class BusyTimesContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store.

    A slot that is no longer planned is retired, and others may be made in its time, whether or not
    an appointment is still in it.
    """

    async def test_reserve_of_a_time_that_an_appointment_still_has(self, store: Store) -> None:
        world = await seed_world(store)
        _, within = await _overlapped(store, world)

        with pytest.raises(SlotTaken):
            await store.desk.reserve(a_booking(world.clinic, within, world.patients[1]))

    async def test_add_names_the_appointment_that_still_has_the_time(self, store: Store) -> None:
        world = await seed_world(store)
        booked, within = await _overlapped(store, world)
        late = a_booking(world.clinic, within, world.patients[1])

        assert list(await conflicts_of(store, late)) == [why(0, late, SlotTaken, booked)]

    async def test_move_into_a_time_that_an_appointment_still_has(self, store: Store) -> None:
        world = await seed_world(store)
        _, within = await _overlapped(store, world)
        other = await seed_booking(store, world.clinic, world.slots[2], world.patients[1])

        with pytest.raises(SlotTaken):
            await seed_change(store, a_move(world.clinic, other, within))

    async def test_times_right_before_and_after_it_are_free(self, store: Store) -> None:
        world = await seed_world(store)
        booked, _ = await _overlapped(store, world)
        before = a_slot(world.doctor, booked.appointment.starts_at - TEN_MINUTES, minutes=10)
        await seed_slots(store, before)

        await add(
            store,
            a_booking(world.clinic, before, world.patients[0]),
            a_booking(world.clinic, world.slots[1], world.patients[1]),
        )

    async def test_another_doctor_has_the_same_time(self, store: Store) -> None:
        world = await seed_world(store)
        await _overlapped(store, world)

        await add(store, a_booking(world.clinic, world.colleague_slots[0], world.patients[1]))

    async def test_time_of_a_cancelled_appointment_is_free(self, store: Store) -> None:
        world = await seed_world(store)
        booked, within = await _overlapped(store, world)
        await seed_change(
            store, a_status_change(world.clinic, booked.appointment, Status.CANCELLED)
        )

        await store.desk.reserve(a_booking(world.clinic, within, world.patients[1]))


async def _overlapped(store: Store, world: World) -> tuple[Booking, Slot]:
    """Book the first slot, retire it, and return the booking with a free slot within its time."""
    booked = a_booking(world.clinic, world.slots[0], world.patients[0])
    await store.desk.reserve(booked)
    await seed_state(store, SlotState.RETIRED, world.slots[0])
    within = a_slot(world.doctor, world.slots[0].starts_at + TEN_MINUTES, minutes=10)
    await seed_slots(store, within)
    return booked, within

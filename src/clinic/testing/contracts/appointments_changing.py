"""The contract of Appointments.apply: changes in a unit of work."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from clinic.domain.appointments.appointments import (
    Change,
    Status,
)
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    ClinicError,
    PatientBusy,
    SlotTaken,
    TransactionAborted,
)
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    a_swap,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.appointments_steps import (
    book_place,
    listed_appointments,
    stored_slot,
    view_of,
    whole_clinic,
)
from clinic.testing.contracts.attempts import outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound, every_appointment


class AppointmentChangesContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def _apply(self, store: Store, world: World, *changes: Change) -> None:
        async with store.begin() as unit:
            ids = [change.before.id for change in changes]
            slots = [change.takes for change in changes if change.takes]
            await unit.appointments.lock(whole_clinic(world), ids, slots)
            await unit.appointments.apply(changes)
            await unit.commit()

    async def test_apply_writes_the_appointment_and_its_entry(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(booking)
        change = a_status_change(world.clinic, booking.appointment, Status.CONFIRMED)

        await self._apply(store, world, change)

        found = await store.appointments.get(whole_clinic(world), change.after.id)
        assert found == view_of(world, change.after)
        trail = await store.appointments.trail(whole_clinic(world), change.after.id)
        assert list(trail) == [booking.audit, change.audit]
        assert (await stored_slot(store, world.slots[0])).taken

    async def test_apply_cancel_frees_the_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)

        await self._apply(store, world, a_status_change(world.clinic, booked, Status.CANCELLED))

        assert await stored_slot(store, world.slots[0]) == world.slots[0]
        again = await book_place(store, world, 0, 1)
        assert again.slot_id == booked.slot_id
        await check_sound(store, world.clinic.id)

    async def test_apply_cancel_leaves_a_blocked_slot_blocked(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await seed_state(store, SlotState.BLOCKED, world.slots[0])

        await self._apply(store, world, a_status_change(world.clinic, booked, Status.CANCELLED))

        blocked = replace(world.slots[0], state=SlotState.BLOCKED, taken=False)
        assert await stored_slot(store, world.slots[0]) == blocked

    async def test_apply_no_show_keeps_the_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        change = a_status_change(world.clinic, booked, Status.NO_SHOW, now=MORNING)

        await self._apply(store, world, change)

        assert (await stored_slot(store, world.slots[0])).taken

    async def test_apply_move_frees_one_slot_and_takes_the_other(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        move = a_move(world.clinic, booked, world.colleague_slots[3])

        await self._apply(store, world, move)

        found = await store.appointments.get(whole_clinic(world), booked.id)
        assert found == view_of(world, move.after)
        assert await stored_slot(store, world.slots[0]) == world.slots[0]
        assert (await stored_slot(store, world.colleague_slots[3])).taken
        await check_sound(store, world.clinic.id)

    async def test_apply_move_to_a_time_that_overlaps_its_own_is_fine(self, store: Store) -> None:
        world = await seed_world(store)
        later = a_slot(world.colleague, world.colleague_slots[-1].ends_at, minutes=60)
        earlier = a_slot(world.doctor, world.slots[-1].ends_at)
        await seed_slots(store, later, earlier)
        booked = await seed_booking(store, world.clinic, later, world.patients[0])

        await self._apply(store, world, a_move(world.clinic, booked, earlier))

        await check_sound(store, world.clinic.id)

    async def test_apply_swap_exchanges_the_slots(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0, 0), await book_place(store, world, 1, 1)
        slots = world.slots
        changes = a_swap(world.clinic, (one, slots[0]), (two, slots[1]))

        await self._apply(store, world, *changes)

        found = await every_appointment(store, world.clinic.id)
        assert [view.appointment for view in found] == [changes[1].after, changes[0].after]
        await check_sound(store, world.clinic.id)

    async def test_apply_swap_of_one_patients_two_appointments(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0, 0), await book_place(store, world, 1, 0)
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))

        await self._apply(store, world, *changes)

        await check_sound(store, world.clinic.id)

    async def test_apply_is_seen_inside_the_unit_and_nowhere_else(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        change = a_status_change(world.clinic, booked, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(whole_clinic(world), [booked.id])
            await unit.appointments.apply([change])
            inside = await unit.appointments.get(whole_clinic(world), booked.id)
            trail = await unit.appointments.trail(whole_clinic(world), booked.id)
            free = await unit.calendars.slot(world.clinic.id, booked.slot_id)
            occupying = await unit.appointments.occupying(world.clinic.id, [booked.slot_id])
            outside = await store.appointments.get(whole_clinic(world), booked.id)

        assert inside == view_of(world, change.after)
        assert [entry.version for entry in trail] == [1, 2]
        assert free is not None
        assert not free.slot.taken
        assert list(occupying) == []
        assert outside == view_of(world, booked)

    async def test_apply_twice_in_one_unit_goes_on_from_the_first(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        confirm = a_status_change(world.clinic, booked, Status.CONFIRMED)
        cancel = a_status_change(world.clinic, confirm.after, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(whole_clinic(world), [booked.id])
            await unit.appointments.apply([confirm])
            await unit.appointments.apply([cancel])
            await unit.commit()

        await check_sound(store, world.clinic.id)
        assert await listed_appointments(store, AppointmentQuery(whole_clinic(world))) == [
            cancel.after
        ]

    async def test_apply_into_a_taken_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world, 0, 0)
        await book_place(store, world, 1, 1)
        move = a_move(world.clinic, booked, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, move)) is SlotTaken

    @pytest.mark.parametrize("state", [SlotState.BLOCKED, SlotState.RETIRED])
    async def test_apply_into_a_slot_that_is_not_open_raises(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await seed_state(store, state, world.slots[1])
        move = a_move(world.clinic, booked, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, move)) is SlotTaken

    async def test_apply_swap_into_a_blocked_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0, 0), await book_place(store, world, 1, 1)
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))
        await seed_state(store, SlotState.BLOCKED, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, *changes)) is SlotTaken

    async def test_apply_that_puts_a_patient_in_two_places_raises(self, store: Store) -> None:
        world = await seed_world(store)
        await book_place(store, world, 0, 0)
        other = await book_place(store, world, 1, 0)
        move = a_move(world.clinic, other, world.colleague_slots[0])

        assert await outcome_of(lambda: self._apply(store, world, move)) is PatientBusy

    async def test_apply_swap_that_puts_a_patient_in_two_places_raises(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0, 0), await book_place(store, world, 1, 1)
        await seed_booking(store, world.clinic, world.colleague_slots[1], world.patients[0])
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))

        assert await outcome_of(lambda: self._apply(store, world, *changes)) is PatientBusy

    async def test_apply_to_an_appointment_that_changed_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await seed_change(store, a_status_change(world.clinic, booked, Status.CONFIRMED))
        stale = a_status_change(world.clinic, booked, Status.CANCELLED)

        assert await outcome_of(lambda: self._apply(store, world, stale)) is TransactionAborted

    async def test_apply_to_an_appointment_that_is_not_there_raises(self, store: Store) -> None:
        world = await seed_world(store)
        unknown = a_booking(world.clinic, world.slots[0], world.patients[0]).appointment
        change = a_status_change(world.clinic, unknown, Status.CONFIRMED)

        assert await outcome_of(lambda: self._apply(store, world, change)) is TransactionAborted

    async def _refused_then_committed(
        self, store: Store, world: World, good: Change, bad: Sequence[Change]
    ) -> None:
        async with store.begin() as unit:
            await unit.appointments.lock(whole_clinic(world), [good.before.id])
            await unit.appointments.apply([good])
            with pytest.raises(ClinicError):
                await unit.appointments.apply(bad)
            with suppress(ClinicError):
                await unit.commit()

    async def test_apply_that_raised_leaves_nothing_to_commit(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0, 0), await book_place(store, world, 1, 1)
        good = a_status_change(world.clinic, one, Status.CONFIRMED)
        stale = a_status_change(world.clinic, replace(two, version=9), Status.CANCELLED)
        into_taken = a_move(world.clinic, two, world.slots[0])

        for bad in (stale, into_taken):
            await self._refused_then_committed(store, world, good, [bad])

        assert await listed_appointments(store, AppointmentQuery(whole_clinic(world))) == [one, two]
        assert [(await stored_slot(store, slot)).taken for slot in world.slots[:2]] == [True, True]
        await check_sound(store, world.clinic.id)

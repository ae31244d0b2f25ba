"""The contract of Appointments.lock: appointments and their slots, without deadlocks."""

from dataclasses import replace
from uuid import UUID

import anyio
import pytest

from clinic.domain.appointments.appointments import (
    Appointment,
    Status,
)
from clinic.domain.errors import (
    TransactionAborted,
)
from clinic.domain.people.people import Scope
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_move,
    a_status_change,
    new_id,
    seed_world,
)
from clinic.testing.contracts.appointments_steps import book_place, whole_clinic
from clinic.testing.contracts.attempts import attempt, begin
from clinic.testing.contracts.contract import Contract


class AppointmentLocksContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_lock_returns_appointments_their_slots_and_the_named_ones(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0), await book_place(store, world, 1, 1)

        async with store.begin() as unit:
            locked = await unit.appointments.lock(
                whole_clinic(world), [two.id, one.id], [world.slots[2].id]
            )

        assert dict(locked.appointments) == {one.id: one, two.id: two}
        taken = [replace(slot, taken=True) for slot in world.slots[:2]]
        assert dict(locked.slots) == {slot.id: slot for slot in (*taken, world.slots[2])}

    async def test_lock_leaves_out_what_is_absent_or_out_of_scope(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        mine, anothers = await book_place(store, world, 0), await book_place(store, world, 1, 1)
        foreign = await book_place(store, other)
        scope = Scope(world.clinic.id, patient_id=world.patients[0].id)

        async with store.begin() as unit:
            locked = await unit.appointments.lock(
                scope,
                [mine.id, anothers.id, foreign.id, new_id()],
                [new_id(), other.slots[1].id],
            )

        assert dict(locked.appointments) == {mine.id: mine}
        assert dict(locked.slots) == {mine.slot_id: replace(world.slots[0], taken=True)}

    @pytest.mark.parametrize("commits", [True, False])
    async def test_lock_waits_for_another_unit_and_returns_what_it_left(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        change = a_status_change(world.clinic, booked, Status.CONFIRMED)
        seen: list[Appointment] = []

        async def lock() -> None:
            async with store.begin() as unit:
                locked = await unit.appointments.lock(whole_clinic(world), [booked.id])
                seen.append(locked.appointments[booked.id])

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [booked.id])
                await unit.appointments.apply([change])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                if commits:
                    await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)
        assert seen == [change.after if commits else booked]

    async def test_lock_raises_when_the_appointment_moved_meanwhile(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        move = a_move(world.clinic, booked, world.slots[1])

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [booked.id])

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [booked.id], [world.slots[1].id])
                await unit.appointments.apply([move])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, TransactionAborted)

    async def test_lock_in_opposite_orders_never_deadlocks(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await book_place(store, world, 0), await book_place(store, world, 1, 1)

        async def swap_names(first: Appointment, second: Appointment) -> None:
            for _ in range(10):
                async with store.begin() as unit:
                    await unit.appointments.lock(whole_clinic(world), [first.id, second.id])

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: swap_names(one, two)),
                begin(group, lambda: swap_names(two, one)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert outcomes == [None, None]

    async def test_lock_takes_slots_by_id_whatever_their_order(self, store: Store) -> None:
        """A caller that waits for the first slot's lock does not hold the others' yet."""
        world = await seed_world(store, slots=8)
        first, *others = sorted(slot.id for slot in world.slots)

        async def lock(*slot_ids: UUID) -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [], slot_ids)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [], [first])
                waiting = await attempt(group, lambda: lock(*others, first), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    await lock(*others)
            await waiting.outcome()

        assert waited

    async def test_lock_on_a_slot_orders_a_lock_on_its_appointment(self, store: Store) -> None:
        """Slots are locked first, so two callers cannot hold a slot and its appointment each."""
        world = await seed_world(store)
        booked = await book_place(store, world)

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [booked.id])
                await unit.commit()

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [], [booked.slot_id])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                locked = await unit.appointments.lock(whole_clinic(world), [booked.id])
                await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)
        assert dict(locked.appointments) == {booked.id: booked}

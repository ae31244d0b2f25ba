"""The contract of writing slots in a unit of work."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    NotFound,
    SlotNotFound,
    SlotOverlap,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Doctor
from clinic.ports.calendars import SlotView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_slot,
    new_id,
    seed_booking,
    seed_clinic,
    seed_slots,
    seed_state,
    seed_world,
    slots_of,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.calendars_steps import listed_slots, query_of
from clinic.testing.contracts.contract import Contract


class SlotWriterContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_lock_doctor_returns_the_doctor(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            assert await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id) == (
                world.doctor
            )

    async def test_lock_doctor_of_another_clinic_is_none(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_clinic(store)

        async with store.begin() as unit:
            assert await unit.calendars.lock_doctor(other.id, world.doctor.id) is None

    async def test_lock_doctor_waits_for_another_until_its_unit_ends(self, store: Store) -> None:
        world = await seed_world(store)

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
                second = await attempt(group, lock, self)
                waited = not second.has_ended
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)

    async def test_lock_doctor_holds_up_no_colleague_and_no_booking(self, store: Store) -> None:
        world = await seed_world(store)

        with anyio.fail_after(5):
            async with store.begin() as unit, store.begin() as other:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
                await other.calendars.lock_doctor(world.clinic.id, world.colleague.id)
                booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

        assert booked.slot_id == world.slots[0].id

    async def test_slots_between_overlaps_the_range_and_includes_the_retired(
        self, store: Store
    ) -> None:
        world = await seed_world(store, slots=6)
        await seed_state(store, SlotState.RETIRED, world.slots[2])
        middle_of_first = world.slots[1].starts_at + timedelta(minutes=10)

        async with store.begin() as unit:
            found = await unit.calendars.slots_between(
                world.clinic.id, [world.doctor.id], middle_of_first, world.slots[5].starts_at
            )

        retired = replace(world.slots[2], state=SlotState.RETIRED)
        assert list(found) == [world.slots[1], retired, *world.slots[3:5]]

    async def test_last_slot_starts_are_each_doctors_with_the_retired(self, store: Store) -> None:
        world = await seed_world(store, slots=3)
        await seed_state(store, SlotState.RETIRED, world.slots[2])

        async with store.begin() as unit:
            both = [world.doctor.id, world.colleague.id]
            last = await unit.calendars.last_slot_starts(world.clinic.id, both)

        starts = {world.doctor.id: world.slots[2].starts_at}
        assert last == starts | {world.colleague.id: world.colleague_slots[2].starts_at}

    async def test_last_slot_starts_leave_out_doctors_without_slots(self, store: Store) -> None:
        world = await seed_world(store, slots=0)

        async with store.begin() as unit:
            found = await unit.calendars.last_slot_starts(world.clinic.id, [world.doctor.id])
        assert found == {}

    async def test_add_slots_next_to_each_other_is_fine(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        next_one = a_slot(world.doctor, world.slots[1].ends_at)

        await seed_slots(store, next_one)

        assert await listed_slots(store, query_of(world)) == [*world.slots, next_one]

    async def test_add_slots_without_slots_does_nothing(self, store: Store) -> None:
        world = await seed_world(store, slots=1)

        await seed_slots(store)

        assert await listed_slots(store, query_of(world)) == [*world.slots]

    async def test_add_slots_many_at_once(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        many = slots_of(world.doctor, 1200, first=NOW)

        await seed_slots(store, *many)

        async with store.begin() as unit:
            found = await unit.calendars.slots_between(
                world.clinic.id, [world.doctor.id], NOW, NOW + timedelta(days=60)
            )
        assert list(found) == [*many]

    @pytest.mark.parametrize("shift_min", [-29, 0, 29])
    async def test_add_slots_that_meet_another_raises(self, store: Store, shift_min: int) -> None:
        world = await seed_world(store, slots=1)
        start = MORNING + timedelta(minutes=shift_min)

        refused = await outcome_of(lambda: seed_slots(store, a_slot(world.doctor, start)))

        assert refused is SlotOverlap
        assert await listed_slots(store, query_of(world)) == [*world.slots]

    async def test_add_slots_that_meet_each_other_raises(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        pair = (a_slot(world.doctor, MORNING), a_slot(world.doctor, MORNING, minutes=15))

        assert await outcome_of(lambda: seed_slots(store, *pair)) is SlotOverlap

    async def test_add_slots_where_one_was_retired_is_fine(self, store: Store) -> None:
        world = await seed_world(store, slots=1)
        await seed_state(store, SlotState.RETIRED, world.slots[0])
        new = a_slot(world.doctor, MORNING, minutes=45)

        await seed_slots(store, new)

        assert await listed_slots(store, query_of(world)) == [new]

    async def test_add_slots_of_nobody_is_refused(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        nobody = Doctor(world.clinic.id, new_id(), "Nobody", "General")

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_slots([a_slot(nobody)])

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_slots_waits_for_uncommitted_ones_there(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store, slots=0)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.add_slots([a_slot(world.doctor)])
                second = await attempt(group, lambda: seed_slots(store, a_slot(world.doctor)), self)
                waited = not second.has_ended
                if commits:
                    await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, SlotOverlap if commits else None)

    async def test_slot_times_come_back_aware_whatever_their_offset(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        start = datetime(2026, 12, 1, 9, 15, tzinfo=UTC)
        slot = a_slot(world.doctor, start.astimezone(world.clinic.zone))

        await seed_slots(store, slot)

        found = await store.calendars.slot(world.clinic.id, slot.id)
        assert found is not None
        assert found.slot.starts_at == start
        assert found.slot.starts_at.tzinfo is not None

    @pytest.mark.parametrize("state", list(SlotState))
    async def test_set_slot_state_changes_these_slots_only(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store, slots=3)
        await seed_state(store, SlotState.BLOCKED, world.slots[0])

        await seed_state(store, state, *world.slots[:2])

        found = [await store.calendars.slot(world.clinic.id, slot.id) for slot in world.slots]
        states = [view.slot.state for view in found if view]
        assert states == [state, state, SlotState.OPEN]

    async def test_set_slot_state_leaves_a_taken_slot_taken(self, store: Store) -> None:
        world = await seed_world(store)
        slot = world.slots[0]
        await seed_booking(store, world.clinic, slot, world.patients[0])

        await seed_state(store, SlotState.BLOCKED, slot)

        found = await store.calendars.slot(world.clinic.id, slot.id)
        blocked = replace(slot, state=SlotState.BLOCKED, taken=True)
        assert found == SlotView(blocked, world.doctor.name)

    async def test_set_slot_state_of_a_missing_slot_raises(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)

        for missing in (new_id(), other.slots[0].id):
            ids = [world.slots[0].id, missing]
            async with store.begin() as unit:
                with pytest.raises(SlotNotFound):
                    await unit.calendars.set_slot_state(world.clinic.id, ids, SlotState.BLOCKED)

        assert await listed_slots(store, query_of(world)) == [*world.slots]

    async def test_set_slot_state_bringing_a_retired_slot_back_onto_another_raises(
        self, store: Store
    ) -> None:
        world = await seed_world(store, slots=1)
        old = world.slots[0]
        await seed_state(store, SlotState.RETIRED, old)
        await seed_slots(store, a_slot(world.doctor, MORNING))

        assert await outcome_of(lambda: seed_state(store, SlotState.OPEN, old)) is SlotOverlap

    async def test_set_slot_state_in_opposite_orders_never_deadlocks(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        one, two = world.slots

        async def block(slots: Sequence[Slot]) -> None:
            for _ in range(10):
                await seed_state(store, SlotState.BLOCKED, *slots)

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: block((one, two))),
                begin(group, lambda: block((two, one))),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert outcomes == [None, None]

    async def test_set_slot_state_locks_by_id_whatever_the_order(self, store: Store) -> None:
        """A caller that waits for the first slot's lock does not hold the second one's yet."""
        world = await seed_world(store, slots=2)
        one, two = sorted(world.slots, key=lambda slot: slot.id)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(world.clinic.id, [one.id], SlotState.BLOCKED)
                waiting = await attempt(
                    group, lambda: seed_state(store, SlotState.BLOCKED, two, one), self
                )
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    await seed_state(store, SlotState.RETIRED, two)
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, None)

    async def test_unit_reads_the_slots_it_has_written(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        new = a_slot(world.doctor, world.slots[1].ends_at)

        async with store.begin() as unit:
            await unit.calendars.add_slots([new])
            await unit.calendars.set_slot_state(
                world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
            )
            inside = await unit.calendars.list_slots(query_of(world), PageRequest())
            outside = await listed_slots(store, query_of(world))

        assert [view.slot for view in inside] == [world.slots[1], new]
        assert outside == [*world.slots]

"""The contract of Appointments.add: which transactions it waits for, and in which order."""

import anyio
import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    BookingsRefused,
    IdempotencyConflict,
    PatientBusy,
    PatientDisabled,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.people.people import Scope
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    a_booking,
    a_request,
    a_status_change,
    a_stored_answer,
    seed_booking,
    seed_world,
)
from clinic.testing.contracts.additions import (
    add,
    book,
    conflicts_in,
    ids_of,
    keyed,
    why,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound


class AddingWaitsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_a_block_of_the_slot(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(
                    world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
                )
                adding = await attempt(group, lambda: add(store, book(world)), self)
                waited = not adding.has_ended
                if commits:
                    await unit.commit()
            outcome = await adding.outcome()

        assert (waited, outcome) == (True, SlotTaken if commits else None)
        await check_sound(store, world.clinic.id)

    async def test_add_into_a_slot_that_is_being_freed_is_refused_at_once(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
            await unit.appointments.apply([cancel])
            with anyio.fail_after(5):
                meanwhile = await outcome_of(lambda: add(store, book(world, 0, 1)))
            await unit.commit()
        afterwards = await outcome_of(lambda: add(store, book(world, 0, 1)))

        assert (meanwhile, afterwards) == (SlotTaken, None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_a_change_of_the_patients_time(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)
        elsewhere = book(world, 0, 0, colleague=True)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
                await unit.appointments.apply([cancel])
                adding = await attempt(group, lambda: add(store, elsewhere), self)
                waited = not adding.has_ended
                if commits:
                    await unit.commit()
            outcome = await adding.outcome()

        assert (waited, outcome) == (True, None if commits else PatientBusy)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_the_key(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(a_request(world.clinic, world.patients[0].id, key="a-key"))
        booking = keyed(world, book(world))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.answers.add(stored)
                adding = await attempt(group, lambda: add(store, booking), self)
                waited = not adding.has_ended
                if commits:
                    await unit.commit()
            outcome = await adding.outcome()

        assert (waited, outcome) == (True, IdempotencyConflict if commits else None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("alone", [True, False], ids=["reserve", "add"])
    @pytest.mark.parametrize("waits_for", ["slot", "patient"])
    @pytest.mark.parametrize("early", [True, False], ids=["commits", "is_about_to"])
    async def test_patient_who_is_disabled_while_a_booking_waits(
        self, store: Store, waits_for: str, alone: bool, early: bool
    ) -> None:
        """Either the booking goes first, or it is refused."""
        world = await seed_world(store)
        booked = await seed_booking(
            store, world.clinic, world.colleague_slots[0], world.patients[0]
        )
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)
        booking = book(world, 0 if waits_for == "patient" else 1)
        written, may_commit = anyio.Event(), anyio.Event()

        async def disable() -> None:
            async with store.begin() as unit:
                await unit.accounts.set_disabled_at(world.patients[0].id, NOW)
                written.set()
                await may_commit.wait()
                await unit.commit()

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                if waits_for == "patient":
                    await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
                    await unit.appointments.apply([cancel])
                else:
                    await unit.appointments.lock(Scope(world.clinic.id), [], [world.slots[1].id])
                waiting = await attempt(
                    group,
                    lambda: store.desk.reserve(booking) if alone else add(store, booking),
                    self,
                )
                waited = not waiting.has_ended
                disabling = begin(group, disable)
                with anyio.move_on_after(self.settle_s):
                    await written.wait()
                was_first = written.is_set()
                if early:
                    may_commit.set()
                    if was_first:
                        await disabling.outcome()
                await unit.commit()
            with anyio.move_on_after(self.settle_s):
                await waiting.outcome()
            may_commit.set()
            outcomes = [await waiting.outcome(), await disabling.outcome()]

        assert waited
        assert outcomes == [SlotTaken if was_first else None, None]

    async def test_add_locks_slots_by_id_whatever_their_order(self, store: Store) -> None:
        """A unit that waits for the first slot does not hold the others yet."""
        world = await seed_world(store, slots=8, patients="ABCDEFGH")
        places = sorted(range(8), key=lambda number: world.slots[number].id)
        batch = [book(world, place, place) for place in reversed(places)]
        later = [book(world, place, place) for place in places[1:]]

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(
                    Scope(world.clinic.id), [], [world.slots[places[0]].id]
                )
                waiting = await attempt(group, lambda: add(store, *batch), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    for booking in later:
                        await store.desk.reserve(booking)
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, BookingsRefused)
        await check_sound(store, world.clinic.id)

    async def test_add_writes_by_patient_whatever_their_order(self, store: Store) -> None:
        """A unit that waits for the first patient's time does not hold the others' yet."""
        world = await seed_world(store, slots=3)
        places = sorted(range(3), key=lambda number: world.patients[number].id)
        batch = [
            a_booking(world.clinic, world.slots[number], world.patients[place])
            for number, place in enumerate(reversed(places))
        ]
        first = batch[-1].appointment
        rival = a_booking(world.clinic, world.colleague_slots[2], world.patients[places[0]])
        others = [
            a_booking(world.clinic, world.colleague_slots[number], world.patients[place])
            for number, place in enumerate(reversed(places[1:]))
        ]

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.add([rival])
                waiting = await attempt(group, lambda: add(store, *batch), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    for booking in others:
                        await store.desk.reserve(booking)
                await unit.commit()
            outcome = await waiting.outcome()

        assert first.patient_id == rival.appointment.patient_id
        assert (waited, outcome) == (True, BookingsRefused)
        await check_sound(store, world.clinic.id)

    async def test_adds_in_opposite_orders_never_deadlock(self, store: Store) -> None:
        """Given two batches for the same patients at the same times with different doctors
        When both are added, in opposite orders
        Then one is added, and the other is refused with its conflicts."""
        world = await seed_world(store, slots=8, patients="ABCDEFGH")
        ours = [book(world, number, number) for number in range(8)]
        theirs = [book(world, number, number, colleague=True) for number in reversed(range(8))]

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: add(store, *ours)),
                begin(group, lambda: add(store, *theirs)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert sorted(outcomes, key=str) == sorted([None, BookingsRefused], key=str)
        assert len(await ids_of(store, world)) == 8
        await check_sound(store, world.clinic.id)

    async def test_add_gives_its_locks_back_when_it_is_refused(self, store: Store) -> None:
        """Given a unit that continues after its bookings were refused
        When others take the slots, disable the patient, or use the key
        Then they do not wait for it."""
        world = await seed_world(store)
        await store.desk.reserve(book(world, 0, 1))
        free = keyed(world, book(world, 1, 2))
        busy = book(world, 1, 1)

        async with store.begin() as unit:
            await conflicts_in(unit, book(world, 0, 0), free)
            with anyio.fail_after(5):
                await store.desk.reserve(keyed(world, busy))
                async with store.begin() as other:
                    await other.accounts.set_disabled_at(world.patients[2].id, NOW)
                    await other.commit()
            conflicts = await conflicts_in(unit, free)
            await unit.commit()

        assert list(conflicts) == [
            why(0, free, SlotTaken, busy),
            why(0, free, PatientDisabled),
            why(0, free, IdempotencyConflict),
        ]
        await check_sound(store, world.clinic.id)

    async def test_those_who_wait_go_on_when_the_unit_is_refused(self, store: Store) -> None:
        """Given a unit that waits for one slot and holds another that a second caller waits for
        When the first slot turns out to be blocked
        Then the second caller continues before the unit ends."""
        world = await seed_world(store)
        first, second = sorted(range(2), key=lambda number: world.slots[number].id)
        mine = [book(world, first, 0), book(world, second, 1)]
        theirs = book(world, first, 2)

        async with anyio.create_task_group() as group, store.begin() as unit:
            refused = anyio.Event()

            async def add() -> None:
                await conflicts_in(unit, *mine)
                refused.set()

            async with store.begin() as blocker:
                await blocker.calendars.set_slot_state(
                    world.clinic.id, [world.slots[second].id], SlotState.BLOCKED
                )
                await attempt(group, add, self)
                taking = await attempt(group, lambda: store.desk.reserve(theirs), self)
                await blocker.commit()
            await refused.wait()
            outcome = await taking.outcome()

        assert outcome is None
        await check_sound(store, world.clinic.id)

    async def test_unit_that_gave_way_commits_nothing(self, store: Store) -> None:
        """Given two units that have each made an appointment
        When each adds one in the other's slot, and so waits for the other
        Then one is rolled back, including its earlier appointment, and the other commits."""
        world = await seed_world(store)
        holds_one = (anyio.Event(), anyio.Event())

        async def add_both(place: int) -> None:
            async with store.begin() as unit:
                await unit.appointments.add([book(world, place, place)])
                holds_one[place].set()
                await holds_one[1 - place].wait()
                try:
                    await unit.appointments.add([book(world, 1 - place, 2)])
                except TransactionAborted:
                    with pytest.raises(TransactionAborted):
                        await unit.commit()
                    raise
                await unit.commit()

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: add_both(0)),
                begin(group, lambda: add_both(1)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert sorted(outcomes, key=str) == sorted([None, TransactionAborted], key=str)
        assert len(await ids_of(store, world)) == 2
        await check_sound(store, world.clinic.id)

"""The contract of Appointments.add: new appointments inside a unit of work."""

from dataclasses import replace
from datetime import timedelta

import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    AlreadyExists,
    ClinicError,
    IdempotencyConflict,
    PatientBusy,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_booking,
    a_slot,
    a_status_change,
    seed_booking,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.adding_waits import AddingWaitsContract
from clinic.testing.contracts.additions import (
    OCCUPYING_ONES,
    RESTING,
    Fault,
    add,
    book,
    conflicts_in,
    conflicts_of,
    each_fault,
    ids_of,
    in_status,
    keyed,
    renamed,
    slot_elsewhere,
    why,
)
from clinic.testing.contracts.attempts import outcome_of
from clinic.testing.soundness import check_sound, every_appointment


class AddingContract(AddingWaitsContract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    # --- what is written ---

    async def test_add_writes_all_that_reserve_writes(self, store: Store) -> None:
        world = await seed_world(store)
        bookings = [
            keyed(world, book(world, 0, 0), "key-1"),
            replace(book(world, 1, 1), messages=()),
            keyed(world, book(world, 2, 0, colleague=True), "key-2"),
        ]
        scope = Scope(world.clinic.id)

        await add(store, *bookings)

        for booking in bookings:
            appointment = booking.appointment
            view = await store.appointments.get(scope, appointment.id)
            assert view is not None
            assert view.appointment == appointment
            trail = await store.appointments.trail(scope, appointment.id)
            assert list(trail) == [booking.audit]
            query = NotificationQuery(scope, appointment_id=appointment.id)
            messages = [each.message for each in await store.outbox.list(query, PageRequest())]
            assert sorted(messages, key=str) == sorted(booking.messages, key=str)
            if booking.stored is not None:
                assert await store.answers.find(booking.stored.request) == booking.stored
        await check_sound(store, world.clinic.id)

    async def test_add_of_nothing_does_nothing(self, store: Store) -> None:
        world = await seed_world(store)

        await add(store)

        assert await ids_of(store, world) == []

    async def test_add_is_seen_inside_the_unit_and_nowhere_else(self, store: Store) -> None:
        world = await seed_world(store)
        booking, scope = book(world), Scope(world.clinic.id)

        async with store.begin() as unit:
            await unit.appointments.add([booking])
            inside = await unit.appointments.get(scope, booking.appointment.id)
            slot = await unit.calendars.slot(world.clinic.id, world.slots[0].id)
            outside = await store.appointments.get(scope, booking.appointment.id)

        assert inside is not None
        assert slot is not None
        assert slot.slot.taken
        assert outside is None
        assert await ids_of(store, world) == []
        await check_sound(store, world.clinic.id)

    async def test_add_of_a_large_batch(self, store: Store) -> None:
        """Add more than any store writes at once."""
        world = await seed_world(store, slots=1100, patients="AB")
        bookings = [book(world, number, number % 2) for number in range(len(world.slots))]
        late = [book(world, number, 1 - number % 2) for number in (3, 1099)]

        await add(store, *bookings)

        assert await ids_of(store, world) == [booking.appointment.id for booking in bookings]
        assert [each.place for each in await conflicts_of(store, *late)] == [0, 1]

    async def test_add_of_several_clinics_is_a_fault(self, store: Store) -> None:
        one, two = await seed_world(store), await seed_world(store)

        with pytest.raises(ValueError, match="one clinic"):
            await add(store, book(one), book(two))

    # --- one booking ---

    @each_fault
    async def test_add_of_one_raises_what_reserve_raises(
        self, store: Store, fault: Fault, raised: type[ClinicError], named: type[ClinicError]
    ) -> None:
        world = await seed_world(store)
        booking = await fault(store, world)
        before = await ids_of(store, world)

        taken = await outcome_of(lambda: store.desk.reserve(booking))
        added = await outcome_of(lambda: add(store, booking))
        conflicts = await conflicts_of(store, booking)

        assert (taken, added) == (raised, raised)
        assert [each.error for each in conflicts] == [named]
        assert await ids_of(store, world) == before
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("status", OCCUPYING_ONES)
    async def test_add_meets_appointments_that_occupy(self, store: Store, status: Status) -> None:
        world = await seed_world(store)
        there = in_status(book(world, 0, 0), status)
        await add(store, there)
        same_slot, same_time = book(world, 0, 1), book(world, 0, 0, colleague=True)

        assert list(await conflicts_of(store, same_slot, same_time)) == [
            why(0, same_slot, SlotTaken, there),
            why(1, same_time, PatientBusy, there),
        ]

    @pytest.mark.parametrize("status", RESTING)
    async def test_add_passes_over_appointments_that_do_not_occupy(
        self, store: Store, status: Status
    ) -> None:
        world = await seed_world(store)
        resting = in_status(book(world, 0, 0), status)

        await add(store, resting)
        taken = await store.calendars.slot(world.clinic.id, world.slots[0].id)
        await add(store, book(world, 0, 0))
        # An old cancelled appointment is written into a slot that is now taken or blocked.
        await seed_state(store, SlotState.BLOCKED, world.slots[0])
        await add(store, in_status(book(world, 0, 0), status))

        assert taken is not None
        assert not taken.slot.taken
        assert len(await ids_of(store, world)) == 3
        await check_sound(store, world.clinic.id)

    async def test_add_of_a_cancelled_one_and_another_in_one_slot(self, store: Store) -> None:
        """As in an import: the slot must be free for the one that occupies it."""
        world = await seed_world(store)
        cancelled, booked = in_status(book(world), Status.CANCELLED), book(world)

        await add(store, cancelled, booked)
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
        cancelled, late = in_status(book(world, 1), Status.CANCELLED), book(world, 1)

        assert list(await conflicts_of(store, cancelled, late)) == [why(1, late, SlotBlocked)]
        await check_sound(store, world.clinic.id)

    async def test_add_of_one_that_does_not_occupy_needs_its_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booking = in_status(await slot_elsewhere(store, world), Status.CANCELLED)

        (conflict,) = await conflicts_of(store, booking)

        assert conflict.error is SlotNotFound

    # --- several ---

    @each_fault
    @pytest.mark.parametrize("place", [0, 2])
    async def test_add_of_several_writes_none_when_one_is_refused(
        self,
        store: Store,
        fault: Fault,
        raised: type[ClinicError],
        named: type[ClinicError],
        place: int,
    ) -> None:
        world = await seed_world(store)
        bookings = [keyed(world, book(world, 3, 1), "key-3"), book(world, 4, 2)]
        bookings.insert(place, await fault(store, world))
        before = await ids_of(store, world)

        conflicts = await conflicts_of(store, *bookings)

        assert [(each.place, each.error) for each in conflicts] == [(place, named)]
        assert await ids_of(store, world) == before
        stored = next(each.stored for each in bookings if each.stored and each.stored.request.key)
        await check_sound(store, world.clinic.id)
        del bookings[place]
        await add(store, *bookings)
        assert await store.answers.find(stored.request) is not None

    async def test_add_of_several_names_every_conflict(self, store: Store) -> None:
        """Given a slot that is taken, one that is blocked, a busy patient and a used key
        When bookings conflict with them, some with two at once
        Then every conflict of each is listed."""
        world = await seed_world(store, patients="ABCD")
        taken, elsewhere = book(world, 0, 1), book(world, 0, 0, colleague=True)
        await add(store, taken, elsewhere, keyed(world, book(world, 4, 3)))
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
        bookings = [
            book(world, 0, 0),
            book(world, 2, 1),
            keyed(world, book(world, 1, 2)),
            book(world, 3, 2),
        ]

        assert list(await conflicts_of(store, *bookings)) == [
            why(0, bookings[0], SlotTaken, taken),
            why(0, bookings[0], PatientBusy, elsewhere),
            why(2, bookings[2], SlotBlocked),
            why(2, bookings[2], IdempotencyConflict),
        ]

    async def test_add_of_bookings_that_conflict_with_each_other(self, store: Store) -> None:
        """Of the same slot, of one patient at overlapping times, with the same key or id."""
        world = await seed_world(store)
        later = a_slot(world.colleague, world.colleague_slots[-1].ends_at, minutes=60)
        within = a_slot(world.doctor, later.starts_at + timedelta(minutes=15), minutes=15)
        await seed_slots(store, later, within)
        clinic, patients = world.clinic, world.patients
        same_id = book(world, 1, 2)
        pairs = [
            (SlotTaken, book(world, 0, 0), book(world, 0, 1)),
            (
                PatientBusy,
                a_booking(clinic, within, patients[0]),
                a_booking(clinic, later, patients[0]),
            ),
            (
                IdempotencyConflict,
                keyed(world, book(world, 0, 1)),
                keyed(world, book(world, 3, 1)),
            ),
            (
                AlreadyExists,
                same_id,
                replace(book(world, 3, 1), appointment=renamed(book(world, 3, 1), same_id)),
            ),
        ]

        for error, one, two in pairs:
            assert list(await conflicts_of(store, one, two)) == [
                why(0, one, error, two),
                why(1, two, error, one),
            ]
            assert list(await conflicts_of(store, two, one)) == [
                why(0, two, error, one),
                why(1, one, error, two),
            ]
        assert await ids_of(store, world) == []
        await check_sound(store, world.clinic.id)

    async def test_add_of_one_booking_twice_is_refused(self, store: Store) -> None:
        world = await seed_world(store)
        booking = keyed(world, book(world))

        conflicts = await conflicts_of(store, booking, booking)

        assert {each.error for each in conflicts} == {
            SlotTaken,
            PatientBusy,
            AlreadyExists,
            IdempotencyConflict,
        }
        assert {each.place for each in conflicts} == {0, 1}

    async def test_add_of_bookings_that_touch_is_fine(self, store: Store) -> None:
        world = await seed_world(store)

        await add(store, *(book(world, slot, 0, colleague=slot % 2 == 1) for slot in range(5)))

        await check_sound(store, world.clinic.id)

    # --- the unit around it ---

    async def test_unit_goes_on_after_a_refusal(self, store: Store) -> None:
        """Given a unit that has changed something, and bookings of which one is refused
        When the others are added without it
        Then the change and the others are committed."""
        world = await seed_world(store)
        confirmed = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        change = a_status_change(world.clinic, confirmed, Status.CONFIRMED)
        bookings = [book(world, 1, 1), book(world, 0, 2), keyed(world, book(world, 2, 2))]

        async with store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [confirmed.id])
            await unit.appointments.apply([change])
            refused = {each.place for each in await conflicts_in(unit, *bookings)}
            await unit.appointments.add(
                [each for place, each in enumerate(bookings) if place not in refused]
            )
            await unit.commit()

        found = await every_appointment(store, world.clinic.id)
        assert [view.appointment for view in found] == [
            change.after,
            bookings[0].appointment,
            bookings[2].appointment,
        ]
        await check_sound(store, world.clinic.id)

    async def test_unit_that_was_refused_commits_what_it_had_before(self, store: Store) -> None:
        world = await seed_world(store)
        first = book(world, 0, 0)

        async with store.begin() as unit:
            await unit.appointments.add([first])
            (conflict,) = await conflicts_in(unit, book(world, 0, 1))
            await unit.commit()

        assert conflict.other_id == first.appointment.id
        assert await ids_of(store, world) == [first.appointment.id]
        await check_sound(store, world.clinic.id)

    async def test_add_into_a_slot_that_the_unit_has_freed(self, store: Store) -> None:
        world = await seed_world(store)
        gone = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        again = book(world, 0, 0)

        async with store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [gone.id])
            await unit.appointments.apply([a_status_change(world.clinic, gone, Status.CANCELLED)])
            await unit.appointments.add([again])
            await unit.commit()

        assert len(await ids_of(store, world)) == 2
        await check_sound(store, world.clinic.id)

"""The contract of Appointments.add: new appointments inside a unit of work."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from clinic.domain.appointments import Appointment, Booking, Status
from clinic.domain.errors import (
    AlreadyExists,
    BookingConflict,
    BookingsRefused,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    PatientBusy,
    PatientDisabled,
    PatientNotFound,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people import Role, Scope, User
from clinic.domain.slots import SlotState
from clinic.ports.outbox import NotificationQuery
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_patient,
    a_request,
    a_slot,
    a_status_change,
    a_stored_answer,
    seed_booking,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound, every_appointment

#: what is wrong with a booking → what prepares the store and returns such a booking
Fault = Callable[[Store, World], Awaitable[Booking]]


async def _add(store: Store, *bookings: Booking) -> None:
    async with store.begin() as unit:
        await unit.appointments.add(bookings)
        await unit.commit()


async def _conflicts(store: Store, *bookings: Booking) -> Sequence[BookingConflict]:
    """Return why the bookings cannot be added."""
    async with store.begin() as unit:
        return await _conflicts_in(unit, *bookings)


async def _conflicts_in(unit: UnitOfWork, *bookings: Booking) -> Sequence[BookingConflict]:
    with pytest.raises(Conflict) as refused:
        await unit.appointments.add(bookings)
    assert isinstance(refused.value, BookingsRefused) == (len(bookings) > 1)
    return refused.value.conflicts


def _book(world: World, slot: int = 0, patient: int = 0, *, colleague: bool = False) -> Booking:
    slots = world.colleague_slots if colleague else world.slots
    return a_booking(world.clinic, slots[slot], world.patients[patient])


def _keyed(world: World, booking: Booking, key: str = "a-key") -> Booking:
    request = a_request(world.clinic, world.patients[0].id, key=key)
    return replace(booking, stored=a_stored_answer(request))


def _in(booking: Booking, status: Status) -> Booking:
    """Return the booking of an appointment that begins in this status."""
    return replace(
        booking,
        appointment=replace(booking.appointment, status=status),
        audit=replace(booking.audit, to_status=status),
    )


def _why(
    place: int, booking: Booking, error: type[ClinicError], other: Booking | None = None
) -> BookingConflict:
    other_id = other.appointment.id if other else None
    return BookingConflict(place, booking.appointment.id, error, other_id)


async def _ids(store: Store, world: World) -> list[object]:
    return [view.appointment.id for view in await every_appointment(store, world.clinic.id)]


# --- what can be wrong with a booking -----------------------------------------------------------


async def slot_taken(store: Store, world: World) -> Booking:
    await store.desk.take(_book(world, 0, 1))
    return _book(world, 0, 0)


async def slot_blocked(store: Store, world: World) -> Booking:
    await seed_state(store, SlotState.BLOCKED, world.slots[0])
    return _book(world)


async def slot_retired(store: Store, world: World) -> Booking:
    await seed_state(store, SlotState.RETIRED, world.slots[0])
    return _book(world)


async def slot_not_there(_store: Store, world: World) -> Booking:
    return a_booking(world.clinic, a_slot(world.doctor), world.patients[0])


async def slot_elsewhere(_store: Store, world: World) -> Booking:
    booking = _book(world)
    earlier = booking.appointment.starts_at - timedelta(minutes=5)
    return replace(booking, appointment=replace(booking.appointment, starts_at=earlier))


async def slot_of_another_doctor(_store: Store, world: World) -> Booking:
    booking = _book(world)
    return replace(booking, appointment=replace(booking.appointment, doctor_id=world.colleague.id))


async def patient_busy(store: Store, world: World) -> Booking:
    await store.desk.take(_book(world, 0, 0, colleague=True))
    return _book(world)


async def patient_disabled(store: Store, world: World) -> Booking:
    async with store.begin() as unit:
        await unit.accounts.set_disabled_at(world.patients[0].id, NOW)
        await unit.commit()
    return _book(world)


async def patient_gone(store: Store, world: World) -> Booking:
    patient = world.patients[0]
    async with store.begin() as unit:
        user = User(patient.id, patient.name, patient.email, Role.PATIENT)
        await unit.memberships.end(world.clinic.id, user, NOW)
        await unit.commit()
    return _book(world)


async def patient_not_there(_store: Store, world: World) -> Booking:
    return a_booking(world.clinic, world.slots[0], a_patient(world.clinic))


async def key_answered(store: Store, world: World) -> Booking:
    await store.desk.take(_keyed(world, _book(world, 1, 1)))
    return _keyed(world, _book(world))


async def id_used(store: Store, world: World) -> Booking:
    stored = _book(world, 1, 1)
    await store.desk.take(stored)
    booking = _book(world)
    return replace(booking, appointment=replace(booking.appointment, id=stored.appointment.id))


#: what is wrong, what `take` and `add` raise for it, what `conflicts` names
FAULTS: Sequence[tuple[Fault, type[ClinicError], type[ClinicError]]] = (
    (slot_taken, SlotTaken, SlotTaken),
    (slot_blocked, SlotTaken, SlotBlocked),
    (slot_retired, SlotTaken, SlotNotFound),
    (slot_not_there, SlotTaken, SlotNotFound),
    (slot_elsewhere, SlotTaken, SlotNotFound),
    (slot_of_another_doctor, SlotTaken, SlotNotFound),
    (patient_busy, PatientBusy, PatientBusy),
    (patient_disabled, SlotTaken, PatientDisabled),
    (patient_gone, SlotTaken, PatientDisabled),
    (patient_not_there, SlotTaken, PatientNotFound),
    (key_answered, IdempotencyConflict, IdempotencyConflict),
    (id_used, AlreadyExists, AlreadyExists),
)
_each_fault = pytest.mark.parametrize(
    ("fault", "raised", "named"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS]
)
_OCCUPYING = [status for status in Status if status.occupies]
_RESTING = [status for status in Status if not status.occupies]


class AddingContract(Contract, contract=True):
    """Give it a fixture `store`: an open Store that holds nothing."""

    # --- what is written ---

    async def test_add_writes_all_that_take_writes(self, store: Store) -> None:
        world = await seed_world(store)
        bookings = [
            _keyed(world, _book(world, 0, 0), "key-1"),
            replace(_book(world, 1, 1), messages=()),
            _keyed(world, _book(world, 2, 0, colleague=True), "key-2"),
        ]
        scope = Scope(world.clinic.id)

        await _add(store, *bookings)

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

        await _add(store)

        assert await _ids(store, world) == []

    async def test_add_is_seen_inside_the_unit_and_nowhere_else(self, store: Store) -> None:
        world = await seed_world(store)
        booking, scope = _book(world), Scope(world.clinic.id)

        async with store.begin() as unit:
            await unit.appointments.add([booking])
            inside = await unit.appointments.get(scope, booking.appointment.id)
            slot = await unit.calendars.slot(world.clinic.id, world.slots[0].id)
            outside = await store.appointments.get(scope, booking.appointment.id)

        assert inside is not None
        assert slot is not None
        assert slot.slot.taken
        assert outside is None
        assert await _ids(store, world) == []
        await check_sound(store, world.clinic.id)

    async def test_add_of_a_large_batch(self, store: Store) -> None:
        """More than any store writes at once."""
        world = await seed_world(store, slots=1100, patients="AB")
        bookings = [_book(world, number, number % 2) for number in range(len(world.slots))]
        late = [_book(world, number, 1 - number % 2) for number in (3, 1099)]

        await _add(store, *bookings)

        assert await _ids(store, world) == [booking.appointment.id for booking in bookings]
        assert [each.place for each in await _conflicts(store, *late)] == [0, 1]

    async def test_add_of_several_clinics_is_a_fault(self, store: Store) -> None:
        one, two = await seed_world(store), await seed_world(store)

        with pytest.raises(ValueError, match="one clinic"):
            await _add(store, _book(one), _book(two))

    # --- one booking ---

    @_each_fault
    async def test_add_of_one_raises_what_take_raises(
        self, store: Store, fault: Fault, raised: type[ClinicError], named: type[ClinicError]
    ) -> None:
        world = await seed_world(store)
        booking = await fault(store, world)
        before = await _ids(store, world)

        taken = await outcome_of(lambda: store.desk.take(booking))
        added = await outcome_of(lambda: _add(store, booking))
        conflicts = await _conflicts(store, booking)

        assert (taken, added) == (raised, raised)
        assert [each.error for each in conflicts] == [named]
        assert await _ids(store, world) == before
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("status", _OCCUPYING)
    async def test_add_meets_appointments_that_occupy(self, store: Store, status: Status) -> None:
        world = await seed_world(store)
        there = _in(_book(world, 0, 0), status)
        await _add(store, there)
        same_slot, same_time = _book(world, 0, 1), _book(world, 0, 0, colleague=True)

        assert list(await _conflicts(store, same_slot, same_time)) == [
            _why(0, same_slot, SlotTaken, there),
            _why(1, same_time, PatientBusy, there),
        ]

    @pytest.mark.parametrize("status", _RESTING)
    async def test_add_passes_over_appointments_that_do_not_occupy(
        self, store: Store, status: Status
    ) -> None:
        world = await seed_world(store)
        resting = _in(_book(world, 0, 0), status)

        await _add(store, resting)
        taken = await store.calendars.slot(world.clinic.id, world.slots[0].id)
        await _add(store, _book(world, 0, 0))
        # What was cancelled long ago is written into a slot that is taken or blocked by now.
        await seed_state(store, SlotState.BLOCKED, world.slots[0])
        await _add(store, _in(_book(world, 0, 0), status))

        assert taken is not None
        assert not taken.slot.taken
        assert len(await _ids(store, world)) == 3
        await check_sound(store, world.clinic.id)

    async def test_add_of_a_cancelled_one_and_another_in_one_slot(self, store: Store) -> None:
        """As an import has them: the slot must be free for the one that occupies it."""
        world = await seed_world(store)
        cancelled, booked = _in(_book(world), Status.CANCELLED), _book(world)

        await _add(store, cancelled, booked)
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
        cancelled, late = _in(_book(world, 1), Status.CANCELLED), _book(world, 1)

        assert list(await _conflicts(store, cancelled, late)) == [_why(1, late, SlotBlocked)]
        await check_sound(store, world.clinic.id)

    async def test_add_of_one_that_does_not_occupy_needs_its_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booking = _in(await slot_elsewhere(store, world), Status.CANCELLED)

        (conflict,) = await _conflicts(store, booking)

        assert conflict.error is SlotNotFound

    # --- several ---

    @_each_fault
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
        bookings = [_keyed(world, _book(world, 3, 1), "key-3"), _book(world, 4, 2)]
        bookings.insert(place, await fault(store, world))
        before = await _ids(store, world)

        conflicts = await _conflicts(store, *bookings)

        assert [(each.place, each.error) for each in conflicts] == [(place, named)]
        assert await _ids(store, world) == before
        stored = next(each.stored for each in bookings if each.stored and each.stored.request.key)
        await check_sound(store, world.clinic.id)
        del bookings[place]
        await _add(store, *bookings)
        assert await store.answers.find(stored.request) is not None

    async def test_add_of_several_names_every_conflict(self, store: Store) -> None:
        """Given a slot that is taken, one that is blocked, a busy patient and a used key
        When bookings meet them, some of them two at once
        Then each is named with all that is in its way."""
        world = await seed_world(store, patients="ABCD")
        taken, elsewhere = _book(world, 0, 1), _book(world, 0, 0, colleague=True)
        await _add(store, taken, elsewhere, _keyed(world, _book(world, 4, 3)))
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
        bookings = [
            _book(world, 0, 0),
            _book(world, 2, 1),
            _keyed(world, _book(world, 1, 2)),
            _book(world, 3, 2),
        ]

        assert list(await _conflicts(store, *bookings)) == [
            _why(0, bookings[0], SlotTaken, taken),
            _why(0, bookings[0], PatientBusy, elsewhere),
            _why(2, bookings[2], SlotBlocked),
            _why(2, bookings[2], IdempotencyConflict),
        ]

    async def test_add_of_bookings_that_conflict_with_each_other(self, store: Store) -> None:
        """Of the same slot, of one patient at overlapping times, with one key, with one id."""
        world = await seed_world(store)
        later = a_slot(world.colleague, world.colleague_slots[-1].ends_at, minutes=60)
        within = a_slot(world.doctor, later.starts_at + timedelta(minutes=15), minutes=15)
        await seed_slots(store, later, within)
        clinic, patients = world.clinic, world.patients
        same_id = _book(world, 1, 2)
        pairs = [
            (SlotTaken, _book(world, 0, 0), _book(world, 0, 1)),
            (
                PatientBusy,
                a_booking(clinic, within, patients[0]),
                a_booking(clinic, later, patients[0]),
            ),
            (
                IdempotencyConflict,
                _keyed(world, _book(world, 0, 1)),
                _keyed(world, _book(world, 3, 1)),
            ),
            (
                AlreadyExists,
                same_id,
                replace(_book(world, 3, 1), appointment=_renamed(_book(world, 3, 1), same_id)),
            ),
        ]

        for error, one, two in pairs:
            assert list(await _conflicts(store, one, two)) == [
                _why(0, one, error, two),
                _why(1, two, error, one),
            ]
            assert list(await _conflicts(store, two, one)) == [
                _why(0, two, error, one),
                _why(1, one, error, two),
            ]
        assert await _ids(store, world) == []
        await check_sound(store, world.clinic.id)

    async def test_add_of_one_booking_twice_is_refused(self, store: Store) -> None:
        world = await seed_world(store)
        booking = _keyed(world, _book(world))

        conflicts = await _conflicts(store, booking, booking)

        assert {each.error for each in conflicts} == {
            SlotTaken,
            PatientBusy,
            AlreadyExists,
            IdempotencyConflict,
        }
        assert {each.place for each in conflicts} == {0, 1}

    async def test_add_of_bookings_that_touch_is_fine(self, store: Store) -> None:
        world = await seed_world(store)

        await _add(store, *(_book(world, slot, 0, colleague=slot % 2 == 1) for slot in range(5)))

        await check_sound(store, world.clinic.id)

    # --- the unit around it ---

    async def test_unit_goes_on_after_a_refusal(self, store: Store) -> None:
        """Given a unit that has changed something, and bookings of which one is refused
        When the others are added without it
        Then all of that is committed."""
        world = await seed_world(store)
        confirmed = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        change = a_status_change(world.clinic, confirmed, Status.CONFIRMED)
        bookings = [_book(world, 1, 1), _book(world, 0, 2), _keyed(world, _book(world, 2, 2))]

        async with store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [confirmed.id])
            await unit.appointments.apply([change])
            refused = {each.place for each in await _conflicts_in(unit, *bookings)}
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
        first = _book(world, 0, 0)

        async with store.begin() as unit:
            await unit.appointments.add([first])
            (conflict,) = await _conflicts_in(unit, _book(world, 0, 1))
            await unit.commit()

        assert conflict.other_id == first.appointment.id
        assert await _ids(store, world) == [first.appointment.id]
        await check_sound(store, world.clinic.id)

    async def test_add_into_a_slot_that_the_unit_has_freed(self, store: Store) -> None:
        world = await seed_world(store)
        gone = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        again = _book(world, 0, 0)

        async with store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [gone.id])
            await unit.appointments.apply([a_status_change(world.clinic, gone, Status.CANCELLED)])
            await unit.appointments.add([again])
            await unit.commit()

        assert len(await _ids(store, world)) == 2
        await check_sound(store, world.clinic.id)

    async def test_add_gives_its_locks_back_when_it_is_refused(self, store: Store) -> None:
        """Given a unit whose bookings were refused, and that goes on
        When others take the slots, disable the patient, or use the key
        Then they do not wait for it."""
        world = await seed_world(store)
        await store.desk.take(_book(world, 0, 1))
        free = _keyed(world, _book(world, 1, 2))
        busy = _book(world, 1, 1)

        async with store.begin() as unit:
            await _conflicts_in(unit, _book(world, 0, 0), free)
            with anyio.fail_after(5):
                await store.desk.take(_keyed(world, busy))
                async with store.begin() as other:
                    await other.accounts.set_disabled_at(world.patients[2].id, NOW)
                    await other.commit()
            conflicts = await _conflicts_in(unit, free)
            await unit.commit()

        assert list(conflicts) == [
            _why(0, free, SlotTaken, busy),
            _why(0, free, PatientDisabled),
            _why(0, free, IdempotencyConflict),
        ]
        await check_sound(store, world.clinic.id)

    async def test_those_who_wait_go_on_when_the_unit_is_refused(self, store: Store) -> None:
        """Given a unit that waits for one slot and holds another, which somebody waits for
        When the first turns out to be blocked
        Then they go on before the unit ends."""
        world = await seed_world(store)
        first, second = sorted(range(2), key=lambda number: world.slots[number].id)
        mine = [_book(world, first, 0), _book(world, second, 1)]
        theirs = _book(world, first, 2)

        async with anyio.create_task_group() as group, store.begin() as unit:
            refused = anyio.Event()

            async def add() -> None:
                await _conflicts_in(unit, *mine)
                refused.set()

            async with store.begin() as blocker:
                await blocker.calendars.set_slot_state(
                    world.clinic.id, [world.slots[second].id], SlotState.BLOCKED
                )
                await attempt(group, add, self)
                taking = await attempt(group, lambda: store.desk.take(theirs), self)
                await blocker.commit()
            await refused.wait()
            outcome = await taking.outcome()

        assert outcome is None
        await check_sound(store, world.clinic.id)

    async def test_unit_that_gave_way_commits_nothing(self, store: Store) -> None:
        """Given two units that have each made an appointment
        When each adds one in the other's slot, and so waits for the other
        Then one gives way, its earlier appointment with it, and the other goes through."""
        world = await seed_world(store)
        holds_one = (anyio.Event(), anyio.Event())

        async def add_both(place: int) -> None:
            async with store.begin() as unit:
                await unit.appointments.add([_book(world, place, place)])
                holds_one[place].set()
                await holds_one[1 - place].wait()
                try:
                    await unit.appointments.add([_book(world, 1 - place, 2)])
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
        assert len(await _ids(store, world)) == 2
        await check_sound(store, world.clinic.id)

    # --- waiting ---

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_a_block_of_the_slot(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(
                    world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
                )
                adding = await attempt(group, lambda: _add(store, _book(world)), self)
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
                meanwhile = await outcome_of(lambda: _add(store, _book(world, 0, 1)))
            await unit.commit()
        afterwards = await outcome_of(lambda: _add(store, _book(world, 0, 1)))

        assert (meanwhile, afterwards) == (SlotTaken, None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_a_change_of_the_patients_time(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)
        elsewhere = _book(world, 0, 0, colleague=True)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
                await unit.appointments.apply([cancel])
                adding = await attempt(group, lambda: _add(store, elsewhere), self)
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
        booking = _keyed(world, _book(world))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.answers.add(stored)
                adding = await attempt(group, lambda: _add(store, booking), self)
                waited = not adding.has_ended
                if commits:
                    await unit.commit()
            outcome = await adding.outcome()

        assert (waited, outcome) == (True, IdempotencyConflict if commits else None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("alone", [True, False], ids=["take", "add"])
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
        booking = _book(world, 0 if waits_for == "patient" else 1)
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
                    lambda: store.desk.take(booking) if alone else _add(store, booking),
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
        """Who waits for the first slot does not hold the others yet."""
        world = await seed_world(store, slots=8, patients="ABCDEFGH")
        places = sorted(range(8), key=lambda number: world.slots[number].id)
        batch = [_book(world, place, place) for place in reversed(places)]
        later = [_book(world, place, place) for place in places[1:]]

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(
                    Scope(world.clinic.id), [], [world.slots[places[0]].id]
                )
                waiting = await attempt(group, lambda: _add(store, *batch), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    for booking in later:
                        await store.desk.take(booking)
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, BookingsRefused)
        await check_sound(store, world.clinic.id)

    async def test_add_writes_by_patient_whatever_their_order(self, store: Store) -> None:
        """Who waits for the first patient's time does not hold the others' yet."""
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
                waiting = await attempt(group, lambda: _add(store, *batch), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    for booking in others:
                        await store.desk.take(booking)
                await unit.commit()
            outcome = await waiting.outcome()

        assert first.patient_id == rival.appointment.patient_id
        assert (waited, outcome) == (True, BookingsRefused)
        await check_sound(store, world.clinic.id)

    async def test_adds_in_opposite_orders_never_deadlock(self, store: Store) -> None:
        """Given two batches that want the same patients at the same times of different doctors
        When both are added, in opposite orders
        Then one is, and the other is refused by name."""
        world = await seed_world(store, slots=8, patients="ABCDEFGH")
        ours = [_book(world, number, number) for number in range(8)]
        theirs = [_book(world, number, number, colleague=True) for number in reversed(range(8))]

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: _add(store, *ours)),
                begin(group, lambda: _add(store, *theirs)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert sorted(outcomes, key=str) == sorted([None, BookingsRefused], key=str)
        assert len(await _ids(store, world)) == 8
        await check_sound(store, world.clinic.id)


def _renamed(booking: Booking, other: Booking) -> Appointment:
    """Return the booking's appointment under the id of another."""
    return replace(booking.appointment, id=other.appointment.id)

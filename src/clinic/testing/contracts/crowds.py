"""The contract of concurrent bookings: each behaves as if it were the only one."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio
import pytest

from clinic.domain.appointments.appointments import Booking
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    ClinicError,
    IdempotencyConflict,
    PatientBusy,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.idempotency import Answer
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_request,
    a_stored_answer,
    new_id,
    seed_world,
)
from clinic.testing.contracts.attempts import begin
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound, every_appointment

CROWD = 12
#: texts with a special meaning in PostgreSQL's text form of an array
_ODD = ("NULL", 'a "b" \\c', "{d,e}", "", " f\n", "é'🩺", "\\x00")


def _bookings(world: World) -> list[Booking]:
    """Return a booking for each patient, each of a different slot and with different texts."""
    bookings = []
    for number, patient in enumerate(world.patients):
        booking = a_booking(world.clinic, world.slots[number], patient)
        odd = _ODD[number % len(_ODD)]
        if number % 2:
            stored = a_stored_answer(
                a_request(world.clinic, patient.id, key=f'{number} "\\{{}},'),
                body=odd.encode() + bytes(range(256)),
            )
            if number % 4 == 1:
                stored = stored._replace(answer=Answer(201, odd.encode(), None, None))
            booking = replace(booking, stored=stored)
        if number % 3 == 2:
            booking = replace(booking, messages=booking.messages[: number % 2])
        bookings.append(
            replace(
                booking,
                appointment=replace(booking.appointment, type=odd.strip() or None),
                audit=replace(booking.audit, reason=odd or "-", ip=None, session_id=new_id()),
            )
        )
    return bookings


async def _take_together(
    store: Store, bookings: Sequence[Booking]
) -> list[type[ClinicError] | None]:
    async with anyio.create_task_group() as group:
        tries = [begin(group, partial(store.desk.reserve, each)) for each in bookings]
    return [await each.outcome() for each in tries]


async def _world(store: Store) -> World:
    return await seed_world(store, slots=CROWD, patients="ABCDEFGHIJKL")


class CrowdsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_bookings_together_are_each_written_whole(self, store: Store) -> None:
        world = await _world(store)
        bookings = _bookings(world)
        scope = Scope(world.clinic.id)

        outcomes = await _take_together(store, bookings)

        assert outcomes == [None] * CROWD
        for booking in bookings:
            found = await store.appointments.get(scope, booking.appointment.id)
            assert found is not None
            assert found.appointment == booking.appointment
            assert list(await store.appointments.trail(scope, booking.appointment.id)) == [
                booking.audit
            ]
            listed = await store.outbox.list(
                NotificationQuery(scope, appointment_id=booking.appointment.id), PageRequest()
            )
            assert sorted((view.message for view in listed), key=str) == sorted(
                booking.messages, key=str
            )
            if booking.stored is not None:
                assert await store.answers.find(booking.stored.request) == booking.stored
        await check_sound(store, world.clinic.id)

    async def test_of_bookings_together_only_those_against_a_rule_are_refused(
        self, store: Store
    ) -> None:
        """A patient in two places, a blocked slot, a slot that does not exist."""
        world = await _world(store)
        bookings = _bookings(world)
        await _take_together(
            store, [a_booking(world.clinic, world.colleague_slots[3], world.patients[3])]
        )
        async with store.begin() as unit:
            await unit.calendars.set_slot_state(
                world.clinic.id, [world.slots[5].id], SlotState.BLOCKED
            )
            await unit.commit()
        bookings[7] = replace(
            bookings[7], appointment=replace(bookings[7].appointment, slot_id=new_id())
        )

        outcomes = await _take_together(store, bookings)

        refused = {3: PatientBusy, 5: SlotTaken, 7: SlotTaken}
        assert outcomes == [refused.get(number) for number in range(CROWD)]
        assert len(await every_appointment(store, world.clinic.id)) == CROWD - len(refused) + 1
        await check_sound(store, world.clinic.id)

    async def test_bookings_together_do_not_wait_for_anothers_slot(self, store: Store) -> None:
        """Given slots that a transaction is blocking
        When bookings of these and of others arrive together
        Then those of the others are done meanwhile."""
        world = await _world(store)
        blocked = (1, 5)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(
                    world.clinic.id, [world.slots[each].id for each in blocked], SlotState.BLOCKED
                )
                tries = [
                    begin(group, partial(store.desk.reserve, each)) for each in _bookings(world)
                ]
                # Shorter than a store waits for a lock.
                meanwhile = [
                    await each.outcome(timeout_s=2)
                    for number, each in enumerate(tries)
                    if number not in blocked
                ]
                waited = [not tries[number].has_ended for number in blocked]
                await unit.commit()
            afterwards = [await tries[number].outcome() for number in blocked]

        assert meanwhile == [None] * (CROWD - len(blocked))
        assert (waited, afterwards) == ([True, True], [SlotTaken, SlotTaken])
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("seed", range(8))
    async def test_bookings_together_that_compete_have_one_winner_each(
        self, store: Store, seed: int
    ) -> None:
        """Whatever patients, slots and keys they share, and whichever comes first."""
        world = await _world(store)
        chance = random.Random(seed)
        slots, patients = (*world.slots[:5], *world.colleague_slots[:5]), world.patients[:6]
        keys = [f"key-{number}" for number in range(8)]
        bookings = []
        for _ in range(24):
            patient = chance.choice(patients)
            key = chance.choice([*keys, None, None])
            stored = (
                a_stored_answer(a_request(world.clinic, patients[0].id, key=key)) if key else None
            )
            bookings.append(
                a_booking(world.clinic, chance.choice(slots), patient, stored=stored, now=NOW)
            )

        outcomes = await _take_together(store, bookings)

        won = [each for each, outcome in zip(bookings, outcomes, strict=True) if outcome is None]
        kept = await every_appointment(store, world.clinic.id)
        assert {view.appointment.id for view in kept} == {each.appointment.id for each in won}
        assert won
        for booking, outcome in zip(bookings, outcomes, strict=True):
            assert outcome is None or outcome in _reasons(booking, won)
        await check_sound(store, world.clinic.id)


def _reasons(lost: Booking, won: Sequence[Booking]) -> set[type[ClinicError]]:
    """Return why `lost` may have been refused, given the bookings that won."""
    # Concurrent inserts may also abort one of them.
    reasons: set[type[ClinicError]] = set()
    for other in won:
        mine, theirs = lost.appointment, other.appointment
        if mine.slot_id == theirs.slot_id:
            reasons.add(SlotTaken)
        if mine.patient_id == theirs.patient_id and mine.starts_at == theirs.starts_at:
            reasons |= {PatientBusy, TransactionAborted}
        if lost.stored and other.stored and lost.stored.request == other.stored.request:
            reasons |= {IdempotencyConflict, TransactionAborted}
    return reasons

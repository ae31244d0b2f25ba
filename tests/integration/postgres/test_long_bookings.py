"""Bookings that last beyond their slot, beside what changes these slots at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random

import psycopg
import pytest
from tests.integration.postgres.locks import wait_for_lock

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import ClinicError, SlotTaken, TransactionAborted
from clinic.domain.people.people import Scope
from clinic.ports.unit_of_work import UnitOfWork
from clinic.testing.builders import (
    World,
    a_booking,
    a_status_change,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.lengths import SLOT_MIN, booking, lasting, taken
from clinic.testing.soundness import check_sound

pytestmark = pytest.mark.anyio

CROWD = 100
#: suppresses an update, so that one of the slots that are held is not taken
SKIP_ONE = """
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER skip BEFORE UPDATE ON slots FOR EACH ROW WHEN (OLD.id = '{}')
EXECUTE FUNCTION skip()
"""
#: how many appointments each transaction wrote
SHARED = "SELECT count(*) FROM appointments GROUP BY xmin::text ORDER BY 1"

Act = Callable[[UnitOfWork, World, Appointment], Awaitable[object]]


async def _cancel(unit: UnitOfWork, world: World, other: Appointment) -> None:
    await unit.appointments.apply([a_status_change(world.clinic, other, Status.CANCELLED)])


async def _book_beside(unit: UnitOfWork, world: World, _: Appointment) -> None:
    await unit.appointments.add([a_booking(world.clinic, world.slots[1], world.patients[2])])


async def _book_and_cancel(unit: UnitOfWork, world: World, other: Appointment) -> None:
    await _cancel(unit, world, other)
    again = a_booking(world.clinic, world.slots[2], world.patients[2])
    await unit.appointments.add([again])
    await unit.appointments.apply(
        [a_status_change(world.clinic, again.appointment, Status.CANCELLED)]
    )


def _set(state: SlotState) -> Act:
    async def act(unit: UnitOfWork, world: World, _: Appointment) -> None:
        await unit.calendars.set_slot_state(world.clinic.id, [world.slots[1].id], state)

    return act


#: what another transaction does to the slots of a booking that waits for it; whether a slot is
#: taken and whether one is blocked before that; whether the booking is written afterwards
MEETINGS: dict[str, tuple[Act, bool, bool, bool]] = {
    "cancel": (_cancel, True, False, True),
    "book and cancel": (_book_and_cancel, True, False, True),
    "book": (_book_beside, False, False, False),
    "block": (_set(SlotState.BLOCKED), False, False, False),
    "open": (_set(SlotState.OPEN), False, True, True),
    "retire": (_set(SlotState.RETIRED), False, False, False),
}


@pytest.mark.parametrize("meeting", MEETINGS)
async def test_long_booking_that_waited_goes_by_what_was_committed_meanwhile(
    store: PostgresStore, postgres_urls, meeting: str
) -> None:
    act, is_taken, is_blocked, is_written = MEETINGS[meeting]
    world = await seed_world(store)
    other = a_booking(world.clinic, world.slots[2], world.patients[1])
    if is_taken:
        await store.desk.reserve(other)
    if is_blocked:
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
    long = booking(world, 0, 0, lasting(world, 3 * SLOT_MIN))

    async with store.begin() as unit:
        await act(unit, world, other.appointment)
        waiting = asyncio.create_task(store.desk.reserve(long))
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="slots")
        await unit.commit()
    (outcome,) = await asyncio.gather(waiting, return_exceptions=True)

    assert type(outcome) is (type(None) if is_written else SlotTaken)
    found = await store.appointments.get(Scope(world.clinic.id), long.appointment.id)
    assert (found is not None) is is_written
    assert [*await taken(store, world)][::2] == [is_written, is_written, False]
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


@pytest.mark.parametrize("number", [1, 3])
async def test_slot_that_cannot_be_taken_is_an_error_instead_of_a_leak(
    store: PostgresStore, postgres_server, postgres_urls, number: int
) -> None:
    """Alone as well as with others, nothing is written."""
    world = await seed_world(store, slots=2 * number)
    with psycopg.connect(postgres_server.url(postgres_urls.name, "superuser")) as owner:
        owner.execute(SKIP_ONE.format(world.slots[-1].id).encode())
    kind = lasting(world, 2 * SLOT_MIN)
    long = [booking(world, 2 * each, each, kind) for each in range(number)]

    outcomes = await asyncio.gather(*map(store.desk.reserve, long), return_exceptions=True)

    assert {type(each) for each in outcomes[1:] or outcomes} == {TransactionAborted}
    with psycopg.connect(postgres_urls.owner_url) as owner:
        written = owner.execute(SHARED).fetchall()
    assert written == [(1,)] * outcomes.count(None)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_of_long_bookings_that_wait_each_slot_goes_to_one(
    store: PostgresStore, postgres_urls
) -> None:
    """Given bookings that are to share a statement, some of which overlap
    When they are written
    Then those that do not overlap share one, and the others are refused."""
    world = await seed_world(store, slots=12, patients="ABCDEFGHIJ")
    two = lasting(world, 2 * SLOT_MIN)
    starts = (10, 0, 1, 4, 4, 7, 6)
    wanted = [booking(world, start, patient, two) for patient, start in enumerate(starts)]

    outcomes = await asyncio.gather(*map(store.desk.reserve, wanted), return_exceptions=True)

    assert [type(each) for each in outcomes if each is not None] == [SlotTaken] * 3
    flags = "".join("x" if each else "-" for each in await taken(store, world))
    assert flags == "xx--xx-xx-xx"
    with psycopg.connect(postgres_urls.owner_url) as owner:
        rows = owner.execute(SHARED).fetchall()
    # The first was written alone.
    assert rows == [(1,), (3,)]


@pytest.mark.parametrize("seed", range(2))
async def test_crowd_of_every_length_beside_cancels_and_blocks(
    store: PostgresStore, postgres_urls, seed: int
) -> None:
    """Bookings of four kinds, cancels of what was booked, blocks and openings, all at once: nothing
    overlaps, no slot stays taken or free wrongly, and no transaction gives way."""
    letters = [str(number) for number in range(CROWD)]
    world = await seed_world(store, slots=8, patients=letters)
    random = Random(seed)
    kinds = [
        lasting(world, minutes, after=after)
        for minutes, after in ((SLOT_MIN, 0), (2 * SLOT_MIN, 0), (3 * SLOT_MIN, 0), (SLOT_MIN, 5))
    ]
    wanted = [
        booking(world, random.randrange(8), patient, kinds[patient % 4]) for patient in range(CROWD)
    ]
    random.shuffle(wanted)
    gave_way: list[ClinicError] = []

    async def book(number: int) -> None:
        one = wanted[number]
        try:
            await store.desk.reserve(one)
            if number % 3 == 0:
                cancelled = a_status_change(world.clinic, one.appointment, Status.CANCELLED)
                async with store.begin() as unit:
                    await unit.appointments.lock(Scope(world.clinic.id), [one.appointment.id])
                    await unit.appointments.apply([cancelled])
                    await unit.commit()
        except SlotTaken:
            return
        except TransactionAborted as error:
            gave_way.append(error)

    async def block() -> None:
        for number in range(8):
            slot = world.slots[number]
            await seed_state(store, SlotState.BLOCKED, slot)
            await seed_state(store, SlotState.OPEN, slot)

    await asyncio.gather(block(), *map(book, range(CROWD)))

    assert gave_way == []
    await check_sound(store, world.clinic.id)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []
    assert any(await taken(store, world))


async def test_buffer_inside_its_own_slot_is_kept(store: PostgresStore) -> None:
    """Twenty minutes and five after them fit into one slot; moved, the appointment still has
    both."""
    world = await seed_world(store)
    short = booking(world, 1, 0, lasting(world, 20, after=5))

    await store.desk.reserve(short)

    found = await store.appointments.get(Scope(world.clinic.id), short.appointment.id)
    assert found is not None
    assert found.appointment == short.appointment
    assert await taken(store, world) == [False, True, False, False, False]

"""Conflicting transactions: which one waits, which one is aborted, and that both end."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.engine.connections import ConnectionLimits
from clinic.domain.appointments.appointments import Appointment, Change, Status
from clinic.domain.errors import ClinicError, SlotTaken, TransactionAborted
from clinic.domain.people.people import Scope
from clinic.testing.builders import (
    World,
    a_booking,
    a_move,
    a_status_change,
    a_swap,
    seed_booking,
    seed_world,
)

pytestmark = pytest.mark.anyio

ROUNDS, PATIENCE_S = 25, 10
WAITING = """
SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND NOT granted
"""
OTHERS = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def test_deadlock_in_an_exclusion_is_told_as_giving_way(
    store: PostgresStore, postgres_urls
) -> None:
    """Given two units of work that have each moved one patient
    When each moves the other's patient to the same time, and so waits for the other
    Then one is aborted and the other succeeds."""
    world = await seed_world(store)
    ada, ben = world.patients[:2]
    book = [(world.slots[2], ada), (world.slots[3], ada)]
    book += [(world.slots[4], ben), (world.colleague_slots[2], ben)]
    ada_1, ada_2, ben_1, ben_2 = [
        await seed_booking(store, world.clinic, slot, patient) for slot, patient in book
    ]
    met = asyncio.Barrier(2)

    async def run(first: Change, second: Change) -> type[Exception] | None:
        async with store.begin() as unit:
            await unit.appointments.apply([first])
            await met.wait()
            try:
                await unit.appointments.apply([second])
            except ClinicError as error:
                cause = error.__cause__
                assert isinstance(getattr(cause, "orig", cause), psycopg.errors.DeadlockDetected)
                return type(error)
            await unit.commit()
            return None

    outcomes = await asyncio.gather(
        run(
            a_move(world.clinic, ada_1, world.slots[0]),
            a_move(world.clinic, ben_2, world.colleague_slots[1]),
        ),
        run(
            a_move(world.clinic, ben_1, world.slots[1]),
            a_move(world.clinic, ada_2, world.colleague_slots[0]),
        ),
    )

    assert set(outcomes) == {None, TransactionAborted}
    assert await _deadlocks(store, postgres_urls) == 1


async def test_cancel_and_move_of_one_appointment_both_end(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=2)
    here, there = world.slots

    for _ in range(ROUNDS):
        appointment = await seed_booking(store, world.clinic, here, world.patients[0])
        outcomes = await asyncio.gather(
            _change(store, world, appointment.id, [], _cancelled),
            _change(store, world, appointment.id, [there.id], _moved_to(there.id)),
        )
        # The second one saw the first one's changes.
        assert set(outcomes) == {None}
        await _change(store, world, appointment.id, [], _cancelled)

    assert await _deadlocks(store, postgres_urls) == 0


async def test_swaps_of_one_pair_in_both_orders_all_end(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=1)
    one = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    two = await seed_booking(store, world.clinic, world.colleague_slots[0], world.patients[1])

    async def swap(ids: list[UUID]) -> None:
        async with store.begin() as unit:
            locked = await unit.appointments.lock(Scope(world.clinic.id), ids)
            pair = [
                (locked.appointments[each], locked.slots[locked.appointments[each].slot_id])
                for each in ids
            ]
            await unit.appointments.apply(a_swap(world.clinic, pair[0], pair[1]))
            await unit.commit()

    orders = [[one.id, two.id], [two.id, one.id]] * ROUNDS
    await asyncio.gather(*(swap(order) for order in orders))

    views = [await store.appointments.get(Scope(world.clinic.id), each.id) for each in (one, two)]
    kept = [(view.appointment.slot_id, view.appointment.version) for view in views if view]
    assert kept == [(one.slot_id, 1 + 2 * ROUNDS), (two.slot_id, 1 + 2 * ROUNDS)]
    assert await _deadlocks(store, postgres_urls) == 0


async def test_locks_are_taken_slots_first_and_by_id(store: PostgresStore, postgres_urls) -> None:
    """Given a transaction that has locked the greater of two slots
    When both are locked along with their appointments
    Then the lesser slot is locked meanwhile, and no appointment."""
    world = await seed_world(store, slots=2)
    appointments = [
        await seed_booking(store, world.clinic, slot, patient)
        for slot, patient in zip(world.slots, world.patients, strict=False)
    ]
    lesser, greater = sorted(slot.id for slot in world.slots)
    async with (
        await psycopg.AsyncConnection.connect(postgres_urls.owner_url) as holder,
        store.begin() as unit,
    ):
        await holder.execute("SELECT FROM slots WHERE id = %s FOR UPDATE", [greater])
        ids = [appointment.id for appointment in reversed(appointments)]
        waiting = asyncio.create_task(unit.appointments.lock(Scope(world.clinic.id), ids))
        await _until_somebody_waits(postgres_urls.owner_url)

        assert not waiting.done()
        assert await _is_locked(postgres_urls.owner_url, "slots", lesser)
        for appointment_id in ids:
            assert not await _is_locked(postgres_urls.owner_url, "appointments", appointment_id)
        await holder.rollback()
        assert set((await waiting).slots) == {lesser, greater}


async def test_lock_that_is_not_to_be_had_gives_way(store: PostgresStore, postgres_urls) -> None:
    world = await seed_world(store, slots=1)
    (slot,) = world.slots
    appointment = await seed_booking(store, world.clinic, slot, world.patients[0])
    hurried = PostgresStore(postgres_urls.app_url, limits=ConnectionLimits(lock_timeout_ms=50))
    await hurried.open()

    async with store.begin() as unit, hurried.begin() as other:
        await unit.appointments.lock(Scope(world.clinic.id), [appointment.id])
        with pytest.raises(TransactionAborted):
            await other.appointments.lock(Scope(world.clinic.id), [appointment.id])

    await hurried.close()


async def test_slot_that_is_not_where_the_domain_believed_counts_as_gone(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=1)
    (slot,) = world.slots
    booking = a_booking(world.clinic, slot, world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(
            "UPDATE slots SET starts_at = starts_at - interval '5 minutes' WHERE id = %s", [slot.id]
        )

    with pytest.raises(SlotTaken):
        await store.desk.reserve(booking)

    assert await store.appointments.get(Scope(world.clinic.id), booking.appointment.id) is None
    found = await store.calendars.slot(world.clinic.id, slot.id)
    assert found is not None
    assert not found.slot.taken


def _cancelled(world: World, before: Appointment, slots: object) -> Change | None:
    if before.status is Status.CANCELLED:
        return None
    return a_status_change(world.clinic, before, Status.CANCELLED)


def _moved_to(slot_id: UUID):
    def change(world: World, before: Appointment, slots) -> Change | None:
        if before.status is Status.CANCELLED:
            return None
        return a_move(world.clinic, before, slots[slot_id])

    return change


async def test_whoever_wants_the_clinic_alone_is_not_overtaken_by_those_who_share_it(
    store: PostgresStore, postgres_urls
) -> None:
    """Given a transaction that shares a clinic, and one that waits to have it alone
    When a third one wants to share it
    Then it gets it last: changes of doctors, one after the other, cannot keep a closure out."""
    world = await seed_world(store, slots=1)
    order: list[str] = []

    async def share(name: str, until: asyncio.Event) -> None:
        async with store.begin() as unit:
            await unit.people.share_clinic(world.clinic.id)
            order.append(name)
            await until.wait()

    async def have_alone() -> None:
        async with store.begin() as unit:
            await unit.people.lock_clinic(world.clinic.id)
            order.append("alone")

    done, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(share("first", done))
        while not order:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        tasks.create_task(have_alone())
        await _until_somebody_waits(postgres_urls.owner_url)
        tasks.create_task(share("second", at_once))
        await _until_somebody_waits(postgres_urls.owner_url, number=2)
        done.set()

    assert order == ["first", "alone", "second"]


async def _change(store: PostgresStore, world: World, appointment_id: UUID, slot_ids, decide):
    """Change the appointment as `decide` says, if it does; retry after an abort."""
    for _ in range(4):
        try:
            async with store.begin() as unit:
                locked = await unit.appointments.lock(
                    Scope(world.clinic.id), [appointment_id], slot_ids
                )
                change = decide(world, locked.appointments[appointment_id], locked.slots)
                if change is not None:
                    await unit.appointments.apply([change])
                await unit.commit()
                return None
        except TransactionAborted:
            continue
    return TransactionAborted


async def _is_locked(url: str, table: str, row_id: UUID) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(
            f"SELECT FROM {table} WHERE id = %s FOR UPDATE SKIP LOCKED", [row_id]
        )
        return rows.rowcount == 0


async def _until_somebody_waits(url: str, *, number: int = 1) -> None:
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher,
        asyncio.timeout(PATIENCE_S),
    ):
        while (await watcher.execute(WAITING)).rowcount < number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _deadlocks(store: PostgresStore, urls) -> int:
    """Return the database's deadlocks; backends report them when they end, at the latest."""
    await store.close()
    async with (
        await psycopg.AsyncConnection.connect(urls.owner_url, autocommit=True) as watcher,
        asyncio.timeout(PATIENCE_S),
    ):
        while (await watcher.execute(OTHERS)).rowcount:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ((found,),) = await (await watcher.execute(DEADLOCKS)).fetchall()
    return int(found)

"""Appointments.add on PostgreSQL: refusals by constraint, vanished conflicts, and a race."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.appointments import adding
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.domain.appointments.appointments import Booking, Status
from clinic.domain.errors import (
    AlreadyExists,
    BookingsRefused,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    PatientBusy,
    SlotTaken,
    TemporaryFailure,
    TransactionAborted,
)
from clinic.domain.people.people import Scope
from clinic.testing.builders import (
    World,
    a_booking,
    a_request,
    a_status_change,
    a_stored_answer,
    seed_booking,
    seed_change,
    seed_world,
)
from clinic.testing.soundness import check_sound, every_appointment
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio

ADDS, TAKES = 40, 30


async def _add(store: PostgresStore, *bookings: Booking) -> None:
    async with store.begin() as unit:
        await unit.appointments.add(bookings)
        await unit.commit()


async def _refused(store: PostgresStore, *bookings: Booking) -> Conflict:
    with pytest.raises(Conflict) as refused:
        await _add(store, *bookings)
    return refused.value


def _keyed(world: World, booking: Booking) -> Booking:
    request = a_request(world.clinic, world.patients[0].id, key="a-key")
    return replace(booking, stored=a_stored_answer(request))


@pytest.fixture
def before_second_look(monkeypatch):
    """Return a function that runs something between a refusal and the second read."""

    def do(act):
        look_again = adding._look_again

        async def act_and_look(*arguments):
            await act()
            return await look_again(*arguments)

        monkeypatch.setattr(adding, "_look_again", act_and_look)

    return do


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("colleague", "patient", "expected"), [(False, 1, SlotTaken), (True, 0, PatientBusy)]
)
async def test_appointment_that_is_gone_by_the_second_look_is_still_named(
    store: PostgresStore,
    before_second_look,
    alone: bool,
    colleague: bool,
    patient: int,
    expected: type[ClinicError],
) -> None:
    world = await seed_world(store)
    slots = world.colleague_slots if colleague else world.slots
    rival = await seed_booking(store, world.clinic, slots[0], world.patients[patient])
    lost = a_booking(world.clinic, world.slots[0], world.patients[0])
    fine = a_booking(world.clinic, world.slots[1], world.patients[2])
    bookings = [lost] if alone else [fine, lost]
    before_second_look(
        lambda: seed_change(store, a_status_change(world.clinic, rival, Status.CANCELLED))
    )

    refused = await _refused(store, *bookings)

    assert type(refused) is (expected if alone else BookingsRefused)
    (conflict,) = refused.conflicts
    assert (conflict.appointment_id, conflict.error) == (lost.appointment.id, expected)
    assert conflict.other_id is None
    await _add(store, *bookings)
    await check_sound(store, world.clinic.id)


async def test_answer_that_is_gone_by_the_second_look_is_still_named(
    store: PostgresStore, before_second_look
) -> None:
    world = await seed_world(store)
    earlier = _keyed(world, a_booking(world.clinic, world.slots[0], world.patients[0]))
    await store.desk.reserve(earlier)
    lost = _keyed(world, a_booking(world.clinic, world.slots[1], world.patients[1]))
    before_second_look(lambda: store.answers.remove_old(datetime.now(UTC), limit=10))

    refused = await _refused(store, lost)

    assert type(refused) is IdempotencyConflict
    assert [each.error for each in refused.conflicts] == [IdempotencyConflict]


async def test_conflict_of_another_booking_does_not_hide_one_that_is_gone(
    store: PostgresStore, before_second_look
) -> None:
    """Two are refused for their patients' time; one conflicting appointment is then cancelled."""
    world = await seed_world(store)
    goes, stays = [
        await seed_booking(store, world.clinic, world.colleague_slots[each], world.patients[each])
        for each in range(2)
    ]
    bookings = [
        a_booking(world.clinic, world.slots[each], world.patients[each]) for each in range(2)
    ]
    before_second_look(
        lambda: seed_change(store, a_status_change(world.clinic, goes, Status.CANCELLED))
    )

    refused = await _refused(store, *bookings)

    assert [(each.place, each.error, each.other_id) for each in refused.conflicts] == [
        (0, PatientBusy, None),
        (1, PatientBusy, stays.id),
    ]


async def test_index_refuses_where_the_flag_is_wrong(store: PostgresStore, postgres_urls) -> None:
    """The slot is taken, but its flag says that it is free."""
    world = await seed_world(store)
    stored = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE slots SET taken = false WHERE id = %s", [stored.slot_id])
    lost = a_booking(world.clinic, world.slots[0], world.patients[1])

    with pytest.raises(SlotTaken):
        await store.desk.reserve(lost)
    alone = await _refused(store, lost)
    together = await _refused(
        store, lost, a_booking(world.clinic, world.slots[1], world.patients[2])
    )

    for refused, kind in ((alone, SlotTaken), (together, BookingsRefused)):
        assert type(refused) is kind
        assert [(each.error, each.other_id) for each in refused.conflicts] == [
            (SlotTaken, stored.id)
        ]


@pytest.mark.parametrize("fault", ["audit", "message", "text"])
async def test_what_is_no_conflict_is_undone_too(store: PostgresStore, fault: str) -> None:
    """An entry or message whose id is in use, and a text that PostgreSQL cannot store."""
    world = await seed_world(store)
    first = a_booking(world.clinic, world.slots[0], world.patients[0])
    bad = a_booking(world.clinic, world.slots[1], world.patients[1])
    audit = {
        "audit": replace(bad.audit, id=first.audit.id),
        "message": bad.audit,
        "text": replace(bad.audit, reason="nul \0"),
    }[fault]
    messages = first.messages if fault == "message" else bad.messages

    async with store.begin() as unit:
        await unit.appointments.add([first])
        with pytest.raises(InvalidInput if fault == "text" else AlreadyExists):
            await unit.appointments.add([replace(bad, audit=audit, messages=messages)])
        await unit.appointments.add([bad])
        await unit.commit()

    assert len(await every_appointment(store, world.clinic.id)) == 2
    await check_sound(store, world.clinic.id)


async def test_rows_added_are_of_the_units_transaction(store: PostgresStore, postgres_urls) -> None:
    """Seals and the change feed rely on it, and must not miss rows written in a savepoint."""
    world = await seed_world(store)
    stored = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

    async with store.begin() as unit:
        await unit.appointments.apply([a_status_change(world.clinic, stored, Status.CONFIRMED)])
        for place in (1, 2):
            await unit.appointments.add(
                [a_booking(world.clinic, world.slots[place], world.patients[place])]
            )
        await unit.commit()

    with psycopg.connect(postgres_urls.owner_url) as owner:
        rows = owner.execute("SELECT count(*) FROM audit_appointment GROUP BY xid").fetchall()
    assert sorted(rows) == [(1,), (3,)]


async def test_lost_connection_ends_the_unit(
    store: PostgresStore, postgres_server, postgres_urls
) -> None:
    """A savepoint does not outlive its connection."""
    world = await seed_world(store)
    booking = a_booking(world.clinic, world.slots[0], world.patients[0])

    async with store.begin() as unit:
        await unit.appointments.lock(Scope(world.clinic.id), [], [world.slots[1].id])
        with psycopg.connect(postgres_server.url("postgres", "superuser"), autocommit=True) as one:
            one.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND datname = %s",
                [postgres_urls.name],
            )
        with pytest.raises(TemporaryFailure):
            await unit.appointments.add([booking])
        with pytest.raises(TransactionAborted):
            await unit.commit()

    assert await every_appointment(store, world.clinic.id) == []


async def test_adds_and_takes_side_by_side_book_nothing_twice(
    store: PostgresStore, postgres_urls
) -> None:
    """Given batches of three, in any order, and single bookings, for few slots and patients
    When all run at once
    Then each succeeds or is refused, and no deadlock reaches a caller."""
    world = await seed_world(store, slots=40, patients="ABCDEFGHIJKLMNOP")
    chance = random.Random(59)
    transactions = Transactions(store.begin)
    slots = (*world.slots, *world.colleague_slots)

    def some(number: int) -> list[Booking]:
        chosen = chance.sample(slots, number)
        return [a_booking(world.clinic, slot, chance.choice(world.patients)) for slot in chosen]

    async def add(bookings: list[Booking]) -> None:
        await transactions.run(lambda unit: unit.appointments.add(bookings))

    batches = [some(3) for _ in range(ADDS)]
    singles = [some(1) for _ in range(TAKES)]
    work = [(batch, add(batch)) for batch in batches]
    work += [(single, store.desk.reserve(single[0])) for single in singles]
    chance.shuffle(work)

    outcomes = await asyncio.gather(*(each for _, each in work), return_exceptions=True)

    won = {
        booking.appointment.id
        for (bookings, _), outcome in zip(work, outcomes, strict=True)
        if outcome is None
        for booking in bookings
    }
    told = Counter(type(outcome) for outcome in outcomes)
    # Booking's own statement is aborted once in a while; its use case retries.
    assert set(told) <= {type(None), BookingsRefused, SlotTaken, PatientBusy, TransactionAborted}
    adds = [
        outcome for (bookings, _), outcome in zip(work, outcomes, strict=True) if len(bookings) > 1
    ]
    assert TransactionAborted not in map(type, adds)
    assert {view.appointment.id for view in await every_appointment(store, world.clinic.id)} == won
    assert None in adds
    assert told[BookingsRefused] > 0
    await check_sound(store, world.clinic.id)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []

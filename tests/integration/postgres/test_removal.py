"""Old answers are removed while their keys are in use: no caller notices."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache
from clinic.domain.errors import ClinicError, IdempotencyConflict
from clinic.domain.idempotency import Answer
from clinic.domain.people.people import Role, system_actor
from clinic.testing import seed_world
from clinic.testing.builders import NOW, a_context, a_request, a_stored_answer, an_actor, new_id
from clinic.usecases.appointments.book import book_once
from clinic.usecases.idempotency import IdempotentCall, answer_once

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def intruding(postgres_urls):
    """A connection whose transaction removes what the test names, and waits before its commit."""
    with psycopg.connect(postgres_urls.app_url) as connection:
        yield connection


async def waits_for_a_lock(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        async with asyncio.timeout(20):
            while True:
                cursor = await watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if await cursor.fetchone() != (0,):
                    return
                await asyncio.sleep(0.01)


def refuse(error: ClinicError) -> Answer:
    raise error


async def test_booking_whose_keys_answer_is_just_being_removed_waits_and_books(
    store, postgres_urls, intruding
):
    """Given a stored answer, whose removal is not committed
    When its key books
    Then the booking waits for the removal, and succeeds."""
    world = await seed_world(store)
    patient, slot = world.patients[0], world.slots[0]
    request = a_request(world.clinic, patient.id)
    await store.answers.keep(a_stored_answer(request))
    intruding.execute("DELETE FROM idempotency_keys")
    loaded = []

    class Desk:
        """Returns no answer, as a read a moment later would."""

        async def load_facts(self, *asked):
            facts = await store.desk.load_facts(*asked)
            loaded.append(facts)
            return replace(facts, stored=None) if len(loaded) == 1 else facts

        async def reserve(self, booking):
            await store.desk.reserve(booking)

    class LateStore:
        """The store, with that desk."""

        desk = Desk()

        def __getattr__(self, name):
            return getattr(store, name)

    booking = asyncio.create_task(
        book_once(
            a_context(LateStore(), an_actor(world.clinic, Role.PATIENT, user_id=patient.id)),
            IdempotentCall(
                request, lambda view: Answer(201, str(view.appointment.id).encode()), refuse
            ),
            slot.id,
        )
    )
    await waits_for_a_lock(postgres_urls.owner_url)
    intruding.commit()

    outcome = await booking
    assert (outcome.answer.status, outcome.replayed) == (201, False)


async def test_change_whose_keys_answer_is_removed_between_two_looks_is_made(store, database):
    """Given a key whose answer conflicts with a change, and is gone when it is looked up
    When the change is answered once
    Then the change is made, and no conflict is reported."""
    world = await seed_world(store)
    request = a_request(world.clinic, world.patients[0].id)
    runs = []

    async def act(context):
        async def work(unit):
            runs.append(1)
            if len(runs) == 1:
                # A twin is answered after the first look-up, its answer removed before the next.
                await store.answers.keep(a_stored_answer(request, body=b"twin"))
            return "done"

        try:
            return await context.transactions.run(work)
        except IdempotencyConflict:
            assert await store.answers.remove_old(LATER, limit=10) == 1
            raise

    outcome = await answer_once(
        a_context(store, system_actor(world.clinic.id)),
        act,
        IdempotentCall(request, lambda result: Answer(200, result.encode()), refuse),
        cache=MemoryIdempotencyCache(),
    )

    assert (outcome.answer.body, len(runs)) == (b"done", 2)


async def test_removal_passes_by_what_somebody_holds_and_waits_for_nobody(store, intruding):
    world = await seed_world(store)
    held, free = (a_stored_answer(a_request(world.clinic, new_id())) for _ in range(2))
    for stored in (held, free):
        await store.answers.keep(stored)
    intruding.execute(
        "SELECT 1 FROM idempotency_keys WHERE key = %s FOR UPDATE", [held.request.key]
    )

    async with asyncio.timeout(5):
        removed = await store.answers.remove_old(LATER, limit=10)

    assert removed == 1
    assert await store.answers.find(held.request) == held
    assert await store.answers.find(free.request) is None


async def test_refusal_of_a_key_whose_answer_is_just_being_removed_is_kept(
    store, postgres_urls, intruding
):
    world = await seed_world(store)
    request = a_request(world.clinic, world.patients[0].id)
    await store.answers.keep(a_stored_answer(request, body=b"old"))
    intruding.execute("DELETE FROM idempotency_keys")
    refusal = a_stored_answer(request, body=b"new")

    keeping = asyncio.create_task(store.answers.keep(refusal))
    await waits_for_a_lock(postgres_urls.owner_url)
    intruding.commit()

    assert await keeping == refusal
    assert await store.answers.find(request) == refusal


async def test_sessions_that_ended_are_found_by_an_index(database):
    database.execute("SET enable_seqscan = off")
    plan = database.execute(
        "EXPLAIN SELECT ctid FROM sessions WHERE least(expires_at, revoked_at) < now()"
    ).fetchall()

    assert "sessions_ended_idx" in str(plan)

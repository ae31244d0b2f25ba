"""Expired data: how long it is kept, and that it is removed in batches."""

from dataclasses import replace
from datetime import timedelta

import pytest

from clinic.adapters.memory.store import MemoryStore
from clinic.domain.idempotency import PROMISED, REAPED_AFTER
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import KEPT_AFTER_END, hash_of
from clinic.testing import FixedClock, seed_clinic
from clinic.testing.builders import NOW, a_request, a_session, a_stored_answer, a_user, new_id
from clinic.usecases.context import AnonymousContext
from clinic.usecases.maintenance.remove_expired import BATCH, Removed, remove_expired
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio

MOMENT = timedelta(seconds=1)


async def run(store, **more):
    context = AnonymousContext(store, Transactions(store.begin), FixedClock(NOW), new_id)
    return await remove_expired(context, **more)


async def seed_answer(store, clinic, *, age):
    stored = a_stored_answer(a_request(clinic, new_id()))._replace(created_at=NOW - age)
    await store.answers.keep(stored)
    return stored


async def test_answers_are_kept_for_three_days_though_one_is_promised():
    store = MemoryStore()
    clinic = await seed_clinic(store)
    promised, kept = [await seed_answer(store, clinic, age=age) for age in (PROMISED, REAPED_AFTER)]
    old = await seed_answer(store, clinic, age=REAPED_AFTER + MOMENT)

    removed = await run(store)

    assert timedelta(hours=72) == REAPED_AFTER
    assert removed == Removed(answers=1, sessions=0)
    found = [await store.answers.find(each.request) for each in (promised, kept, old)]
    assert found == [promised, kept, None]


async def test_sessions_are_kept_for_thirty_days_after_their_end():
    store = MemoryStore()
    clinic = await seed_clinic(store)
    user = a_user(Role.PATIENT)
    long_ago = NOW - timedelta(days=90)
    ends = [NOW - KEPT_AFTER_END - MOMENT, NOW - KEPT_AFTER_END, NOW + MOMENT]
    sessions = [
        replace(
            a_session(clinic, user.id, Role.PATIENT, now=long_ago),
            id=new_id(),
            token_hash=hash_of(str(new_id())),
            expires_at=end,
        )
        for end in ends
    ]
    async with store.begin() as unit:
        await unit.people.add_user(user)
        for session in sessions:
            await unit.sessions.add(session)
        await unit.commit()

    removed = await run(store)

    assert timedelta(days=30) == KEPT_AFTER_END
    assert removed == Removed(answers=0, sessions=1)
    found = [await store.sessions.find(clinic.id, each.id) for each in sessions]
    assert [one and one.session for one in found] == [None, *sessions[1:]]


async def test_one_run_removes_no_more_than_its_limit():
    store = MemoryStore()
    clinic = await seed_clinic(store)
    for _ in range(BATCH + 3):
        await seed_answer(store, clinic, age=2 * REAPED_AFTER)

    counts = [(await run(store, limit=BATCH + 1)).answers for _ in range(3)]

    assert counts == [BATCH + 1, 2, 0]

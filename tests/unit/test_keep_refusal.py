"""A refusal that is stored for its key after a twin's was stored first."""

import pytest

from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache
from clinic.adapters.memory.store import MemoryStore
from clinic.domain.errors import AnswerErased, IdempotencyKeyReused, SlotInPast, SlotTaken
from clinic.domain.idempotency import Answer, erased
from clinic.domain.people.people import system_actor
from clinic.testing import a_context, seed_clinic
from clinic.testing.builders import a_request, a_stored_answer, new_id
from clinic.usecases.idempotency import IdempotentCall, find_answer, keep_refusal


def keyed(request, body: bytes) -> IdempotentCall[None]:
    def refuse(_error) -> Answer:
        return Answer(409, body)

    def render(_result: None) -> Answer:
        raise AssertionError

    return IdempotentCall(request, render, refuse)


@pytest.fixture
async def keep():
    """Return a function that stores a refusal with this body, of a request or its twin."""
    store = MemoryStore()
    clinic = await seed_clinic(store)
    request = a_request(clinic, new_id())
    context = a_context(store, system_actor(clinic.id))

    async def keep(body: bytes, *, error=None, fingerprint=request.fingerprint):
        one = keyed(request._replace(fingerprint=fingerprint), body)
        return await keep_refusal(context, error or SlotTaken(), one)

    return keep


async def test_the_twin_that_is_second_is_told_the_first_one_s_and_that_it_is_a_replay(keep):
    first = await keep(b"first")
    second = await keep(b"second")

    assert first == (Answer(409, b"first"), False)
    assert second == (Answer(409, b"first"), True)


async def test_another_request_under_the_key_is_told_no_answer(keep):
    await keep(b"first")

    with pytest.raises(IdempotencyKeyReused):
        await keep(b"second", fingerprint=b"x" * 32)


async def test_a_refusal_that_is_not_final_is_raised_and_not_kept(keep):
    with pytest.raises(SlotInPast):
        await keep(b"first", error=SlotInPast())

    assert await keep(b"second") == (Answer(409, b"second"), False)


async def test_an_erased_answer_is_copied_to_no_cache():
    """The copy would also contain its key, which a client chose."""
    store, cache = MemoryStore(), MemoryIdempotencyCache()
    clinic = await seed_clinic(store)
    request = a_request(clinic, new_id())
    context = a_context(store, system_actor(clinic.id))
    await store.answers.keep(erased(a_stored_answer(request)))
    one = keyed(request, b"first")

    with pytest.raises(AnswerErased):
        await find_answer(request, answers=store.answers, cache=cache)
    with pytest.raises(AnswerErased):
        await keep_refusal(context, SlotTaken(), one, cache=cache)

    assert await cache.get(request) is None

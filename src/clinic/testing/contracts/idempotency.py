"""The contracts of Answers, AnswerBook and IdempotencyCache."""

from datetime import timedelta
from functools import partial

import anyio
import pytest

from clinic.domain.appointments.appointments import BookingFacts
from clinic.domain.errors import ClinicError, IdempotencyConflict, SlotTaken, TransactionAborted
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer, copy_name
from clinic.domain.people.people import system_actor
from clinic.ports.answers import IdempotencyCache
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_clinic,
    a_request,
    a_stored_answer,
    new_id,
    seed_clinic,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import every_appointment


async def _add(store: Store, stored: StoredAnswer) -> None:
    async with store.begin() as unit:
        await unit.answers.add(stored)
        await unit.commit()


async def _book(store: Store, world: World, slot: int, patient: int, stored: StoredAnswer) -> None:
    await store.desk.reserve(
        a_booking(world.clinic, world.slots[slot], world.patients[patient], stored=stored)
    )


def _request(world: World) -> IdempotentRequest:
    return a_request(world.clinic, world.patients[0].id)


class IdempotencyContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_answer_is_found_word_for_word(self, store: Store) -> None:
        world = await seed_world(store)
        request = _request(world)
        answer = Answer(409, '{"detail":"é\\u0000"}'.encode(), None, None)
        stored = StoredAnswer(request, answer, NOW)

        await _add(store, stored)

        assert await store.answers.find(request) == stored

    async def test_answer_is_found_whatever_the_fingerprint(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)

        found = await store.answers.find(stored.request._replace(fingerprint=b"f" * 32))

        assert found == stored

    async def test_answer_of_a_new_key_is_none(self, store: Store) -> None:
        world = await seed_world(store)

        assert await store.answers.find(_request(world)) is None

    async def test_answer_belongs_to_its_principal_and_clinic(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_clinic(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)

        twins = [
            stored.request._replace(principal_id=world.patients[1].id),
            stored.request._replace(clinic_id=other.id),
            stored.request._replace(key=stored.request.key.swapcase()),
        ]

        assert [await store.answers.find(twin) for twin in twins] == [None, None, None]

    async def test_add_of_a_key_with_an_answer_raises(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)
        second = a_stored_answer(stored.request._replace(fingerprint=b"f" * 32), body=b"second")

        assert await outcome_of(lambda: _add(store, second)) is IdempotencyConflict
        assert await store.answers.find(stored.request) == stored

    async def test_add_without_commit_leaves_no_answer(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))

        async with store.begin() as unit:
            await unit.answers.add(stored)

        assert await store.answers.find(stored.request) is None

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_waits_for_a_twin(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)
        request = _request(world)
        first, second = (a_stored_answer(request, body=body) for body in (b"1", b"2"))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.answers.add(first)
                twin = await attempt(group, lambda: _add(store, second), self)
                waited = not twin.has_ended
                if commits:
                    await unit.commit()
            outcome = await twin.outcome()

        assert (waited, outcome) == (True, IdempotencyConflict if commits else None)
        assert await store.answers.find(request) == (first if commits else second)

    async def test_keep_stores_the_first_and_returns_it(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))

        kept = await store.answers.keep(stored)

        assert kept == stored
        assert await store.answers.find(stored.request) == stored

    async def test_keep_returns_the_answer_that_stands(self, store: Store) -> None:
        world = await seed_world(store)
        first = a_stored_answer(_request(world), body=b"first")
        await _add(store, first)

        kept = await store.answers.keep(a_stored_answer(first.request, body=b"second"))

        assert kept == first
        assert await store.answers.find(first.request) == first

    @pytest.mark.parametrize("commits", [True, False])
    async def test_keep_waits_for_a_twin(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)
        request = _request(world)
        first, second = (a_stored_answer(request, body=body) for body in (b"1", b"2"))
        kept: list[StoredAnswer] = []

        async def keep() -> None:
            kept.append(await store.answers.keep(second))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.answers.add(first)
                twin = await attempt(group, keep, self)
                waited = not twin.has_ended
                if commits:
                    await unit.commit()
            await twin.outcome()

        winner = first if commits else second
        assert (waited, kept) == (True, [winner])
        assert await store.answers.find(request) == winner

    async def test_old_answers_are_removed_and_later_ones_stay(self, store: Store) -> None:
        world = await seed_world(store)
        old, late = (
            a_stored_answer(_request(world))._replace(created_at=NOW + timedelta(seconds=second))
            for second in (-1, 0)
        )
        await _add(store, old)
        await _add(store, late)

        removed = await store.answers.remove_old(NOW, limit=10)

        assert removed == 1
        assert await store.answers.find(old.request) is None
        assert await store.answers.find(late.request) == late

    async def test_no_more_than_the_limit_are_removed_at_once(self, store: Store) -> None:
        world = await seed_world(store)
        for _ in range(3):
            await _add(store, a_stored_answer(_request(world)))
        later = NOW + timedelta(seconds=1)

        removed = [await store.answers.remove_old(later, limit=2) for _ in range(3)]

        assert removed == [2, 1, 0]

    async def test_key_of_an_answer_that_was_removed_books_again(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)
        await store.answers.remove_old(NOW + timedelta(seconds=1), limit=10)

        await _book(store, world, 0, 0, stored)

        assert await store.answers.find(stored.request) == stored

    async def test_reserve_keeps_the_answer_with_the_booking(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))

        await _book(store, world, 0, 0, stored)

        assert await store.answers.find(stored.request) == stored
        slot, patient = world.slots[1], world.patients[0]
        facts = await store.desk.load_facts(
            system_actor(world.clinic.id), slot.id, patient.id, stored.request
        )
        assert facts == BookingFacts(world.clinic, slot, world.doctor.name, patient, stored)

    async def test_look_finds_the_answer_whatever_the_fingerprint(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)
        other = stored.request._replace(fingerprint=b"f" * 32)

        facts = await store.desk.load_facts(
            system_actor(world.clinic.id), world.slots[0].id, world.patients[0].id, other
        )

        assert facts.stored == stored

    async def test_reserve_with_a_key_that_has_an_answer_raises_and_books_nothing(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)

        refused = await outcome_of(lambda: _book(store, world, 0, 0, stored))

        assert refused is IdempotencyConflict
        assert list(await every_appointment(store, world.clinic.id)) == []
        facts = await store.desk.load_facts(
            system_actor(world.clinic.id), world.slots[0].id, world.patients[0].id
        )
        assert facts.slot == world.slots[0]

    async def test_reserve_that_is_refused_keeps_no_answer(self, store: Store) -> None:
        world = await seed_world(store)
        await _book(store, world, 0, 1, a_stored_answer(_request(world)))
        stored = a_stored_answer(_request(world))

        refused = await outcome_of(lambda: _book(store, world, 0, 0, stored))

        assert refused is SlotTaken
        assert await store.answers.find(stored.request) is None

    async def test_reserve_many_times_with_one_key_books_once(self, store: Store) -> None:
        world = await seed_world(store, slots=10)
        stored = a_stored_answer(_request(world))

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, partial(_book, store, world, n % 10, 0, stored)) for n in range(20)
            ]
            outcomes = [await each.outcome() for each in tries]

        assert outcomes.count(None) == 1
        assert {one for one in outcomes if one is not None} <= {
            IdempotencyConflict,
            SlotTaken,
            TransactionAborted,
        }
        assert len(await every_appointment(store, world.clinic.id)) == 1

    async def test_answer_lives_and_dies_with_the_change_it_answers_for(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(_request(world))
        await _add(store, stored)
        clinic = a_clinic()

        async def change() -> None:
            async with store.begin() as unit:
                await unit.people.add_clinic(clinic)
                await unit.answers.add(stored)
                await unit.commit()

        with pytest.raises(ClinicError):
            await change()

        assert await store.people.clinic(clinic.id) is None


class IdempotencyCacheContract(Contract, contract=True):
    """Needs a fixture `cache`: an empty IdempotencyCache."""

    async def test_get_of_a_new_key_is_none(self, cache: IdempotencyCache) -> None:
        assert await cache.get(a_request(a_clinic(), new_id())) is None

    async def test_get_returns_what_was_put_word_for_word(self, cache: IdempotencyCache) -> None:
        request = a_request(a_clinic(), new_id())
        answer = Answer(201, '{"detail":"é"}\x00'.encode(), "/appointments/1", 'W/"3"')
        stored = StoredAnswer(request, answer, NOW)

        await cache.put(stored)

        assert await cache.get(request) == stored

    async def test_get_returns_it_without_location_and_etag(self, cache: IdempotencyCache) -> None:
        stored = StoredAnswer(a_request(a_clinic(), new_id()), Answer(409, b""), NOW)

        await cache.put(stored)

        assert await cache.get(stored.request) == stored

    async def test_get_returns_it_whatever_the_fingerprint(self, cache: IdempotencyCache) -> None:
        stored = a_stored_answer(a_request(a_clinic(), new_id()))
        await cache.put(stored)

        assert await cache.get(stored.request._replace(fingerprint=b"f" * 32)) == stored

    async def test_get_keeps_principals_and_clinics_apart(self, cache: IdempotencyCache) -> None:
        stored = a_stored_answer(a_request(a_clinic(), new_id()))
        await cache.put(stored)

        twins = [
            stored.request._replace(principal_id=new_id()),
            stored.request._replace(clinic_id=new_id()),
            stored.request._replace(key=stored.request.key.swapcase()),
        ]

        assert [await cache.get(twin) for twin in twins] == [None, None, None]

    async def test_put_keeps_the_copy_that_is_there(self, cache: IdempotencyCache) -> None:
        first, second = (
            a_stored_answer(request, body=body)
            for request in [a_request(a_clinic(), new_id())]
            for body in (b"1", b"2")
        )
        await cache.put(first)

        await cache.put(second)

        assert await cache.get(first.request) == first

    async def test_forgotten_copy_is_gone_and_is_not_put_again(
        self, cache: IdempotencyCache
    ) -> None:
        gone, never_there, stays = (
            a_stored_answer(a_request(a_clinic(), new_id())) for _ in range(3)
        )
        await cache.put(gone)
        await cache.put(stays)

        certain = await cache.forget([copy_name(each.request) for each in (gone, never_there)])
        for each in (gone, never_there):
            await cache.put(each)

        assert certain
        found = [await cache.get(each.request) for each in (gone, never_there, stays)]
        assert found == [None, None, stays]

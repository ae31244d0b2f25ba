"""The contract of Erasures and ErasureList."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import anyio
import pytest

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.audit.audit import ERASE_USER, ERASED
from clinic.domain.audit.seals import Trail
from clinic.domain.errors import AnswerErased
from clinic.domain.idempotency import answer_to_repeat, copy_name, erased
from clinic.domain.messaging.deliveries import OutboxState, Outcome, Preferences, Record
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Patient, Role, Scope
from clinic.ports.audit import EventQuery
from clinic.ports.erasures import ErasableText, Erasure
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_request,
    a_session,
    a_stored_answer,
    a_swap,
    an_event,
    new_id,
    seed_change,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract

LEASE = timedelta(minutes=1)


async def _book(
    store: Store, world: World, place: int, why: str, type: str | None = "Botox"
) -> Appointment:
    booking = a_booking(world.clinic, world.slots[place], world.patients[place])
    appointment = replace(booking.appointment, type=type)
    audit = replace(booking.audit, reason=why)
    await store.desk.reserve(replace(booking, appointment=appointment, audit=audit))
    return appointment


async def _clear(store: Store, patient: Patient) -> set[bytes]:
    async with store.begin() as unit:
        copies = await unit.erasures.clear(patient.id)
        await unit.commit()
    return set(copies)


async def _texts(store: Store, patient: Patient) -> set[tuple[Trail, UUID]]:
    async with store.begin() as unit:
        found = await unit.erasures.texts(patient.id)
    return {(text.trail, text.row_id) for text in found}


async def _blank(
    store: Store, world: World, patient: Patient, named: Sequence[ErasableText] | None = None
) -> None:
    """Blank every text after an event that names the texts, or those in `named` instead."""
    async with store.begin() as unit:
        texts = await unit.erasures.texts(patient.id)
        named_texts = texts if named is None else named
        event = replace(
            an_event(world.clinic),
            action=ERASE_USER,
            entity_id=patient.id,
            reason=ERASED,
            detail={"texts": {str(text.row_id): text.rest for text in named_texts}},
        )
        await unit.events.add(event)
        await unit.erasures.blank(patient.id, texts)
        await unit.commit()


async def _reasons(store: Store, world: World) -> dict[UUID, str]:
    found = await store.audit_log.events(EventQuery(world.clinic.id), PageRequest(100))
    return {event.id: event.reason for event in found}


class ErasuresContract(Contract, contract=True):
    """Erasing. Needs a fixture `store`: an open, empty Store."""

    async def test_clear_removes_what_is_the_patients_and_leaves_the_others(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        mine, theirs = world.patients[0], world.patients[1]
        kept = {}
        for patient in (mine, theirs):
            booked = await _book(store, world, world.patients.index(patient), "Check-up")
            session = replace(a_session(world.clinic, patient.id, Role.PATIENT), id=new_id())
            session = replace(session, token_hash=session.id.bytes * 2)
            async with store.begin() as unit:
                await unit.sessions.add(session)
                await unit.messages.choose(world.clinic.id, patient.id, Preferences("de"))
                await unit.commit()
            kept[patient.id] = (booked, session)

        await _clear(store, mine)

        found = {}
        for patient_id, (booked, session) in kept.items():
            async with store.begin() as unit:
                view = await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
            found[patient_id] = (
                view.appointments[booked.id].type,
                await store.sessions.find(world.clinic.id, session.id) is not None,
                (await store.outbox.preferences(world.clinic.id, patient_id)).language,
            )
        assert found == {mine.id: (None, False, "en"), theirs.id: ("Botox", True, "de")}

    async def test_clear_erases_answers_to_the_patient_and_those_that_show_one(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        mine, theirs = world.patients[0], world.patients[1]
        staff = new_id()
        shown = f'{{"patientId":"{mine.id}","patientName":"Ada"}}'.encode()
        own = a_stored_answer(a_request(world.clinic, mine.id))
        by_staff = a_stored_answer(a_request(world.clinic, staff), body=shown)
        other = a_stored_answer(a_request(world.clinic, staff), body=str(theirs.id).encode())
        for stored in (own, by_staff, other):
            await store.answers.keep(stored)

        copies = await _clear(store, mine)

        assert copies == {copy_name(own.request), copy_name(by_staff.request)}
        found = [await store.answers.find(each.request) for each in (own, by_staff, other)]
        assert found == [erased(own), erased(by_staff), other]
        assert await _clear(store, mine) == set()

    async def test_clear_waits_for_a_change_under_way_and_erases_its_answer(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        mine = world.patients[0]
        # Without a type, which would have to be removed from a locked row.
        booked = await _book(store, world, 0, "Check-up", type=None)
        request = a_request(world.clinic, new_id())
        stored = a_stored_answer(request, body=str(mine.id).encode())
        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
            clearing = await attempt(group, lambda: _clear(store, mine), self)
            waited = not clearing.has_ended
            await unit.answers.add(stored)
            await unit.commit()

        assert (waited, await clearing.outcome()) == (True, None)
        assert await store.answers.find(request) == erased(stored)

    async def test_key_of_an_erased_answer_is_not_free(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(a_request(world.clinic, world.patients[0].id))
        await store.answers.keep(stored)
        await _clear(store, world.patients[0])

        kept = await store.answers.keep(stored)

        assert kept == erased(stored)
        for request in (stored.request, stored.request._replace(fingerprint=b"2" * 32)):
            with pytest.raises(AnswerErased):
                answer_to_repeat(kept, request)

    async def test_clear_without_commit_removes_nothing(self, store: Store) -> None:
        world = await seed_world(store)
        stored = a_stored_answer(a_request(world.clinic, world.patients[0].id))
        await store.answers.keep(stored)

        async with store.begin() as unit:
            await unit.erasures.clear(world.patients[0].id)

        assert await store.answers.find(stored.request) == stored

    async def test_clear_removes_messages_that_wait_and_what_was_said_of_others(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        long_ago = NOW - timedelta(days=2000)
        first, second = (
            replace(
                booking.messages[0],
                id=new_id(),
                kind=kind,
                scheduled_for=long_ago,
                created_at=long_ago,
            )
            for kind in ("confirmation", "reschedule")
        )
        await store.desk.reserve(replace(booking, messages=(first, second)))
        claim = await store.outbox.claim(world.clinic.id, first.id, token=new_id(), lease=LEASE)
        assert claim is not None
        assert not isinstance(claim, timedelta)
        await store.outbox.retry_later(claim, after=-LEASE, error="of Ada", ambiguous=False)
        await store.outbox.claim(world.clinic.id, first.id, token=new_id(), lease=LEASE)

        await _clear(store, world.patients[0])

        under_way = await store.outbox.get(world.clinic.id, first.id)
        assert under_way is not None
        assert (under_way.status, under_way.error) == (OutboxState.CLAIMED, None)
        assert await store.outbox.get(world.clinic.id, second.id) is None

    async def test_texts_are_those_about_the_patient(self, store: Store) -> None:
        world = await seed_world(store)
        mine, theirs = world.patients[0], world.patients[1]
        one = await _book(store, world, 0, "Ada came")
        two = await _book(store, world, 1, "Ben came")
        await _book(store, world, 2, "No reason given")
        swap = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))
        swapped = [replace(each, audit=replace(each.audit, reason="Ada asked")) for each in swap]
        await seed_change(store, *swapped)
        events = [
            replace(an_event(world.clinic), patient_id=mine.id, reason="of Ada"),
            replace(an_event(world.clinic), actor_id=mine.id, reason="of Ada"),
            replace(an_event(world.clinic), entity_id=mine.id, reason="of Ada"),
        ]
        silent = replace(an_event(world.clinic), entity_id=mine.id, reason="No reason given")
        await store.audit_log.append([*events, silent, an_event(world.clinic)])

        found = await _texts(store, mine)
        of_theirs = await _texts(store, theirs)

        swaps = {(Trail.APPOINTMENT, each.audit.id) for each in swapped}
        assert {(Trail.EVENT, each.id) for each in events} | swaps <= found
        assert swaps <= of_theirs
        assert len(found) == len(events) + 3
        assert len(of_theirs) == 3

    async def test_texts_of_events_about_messages_are_the_patients(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(booking)
        event = replace(an_event(world.clinic), reason="of Ada", entity_id=booking.messages[0].id)
        await store.audit_log.append([event, replace(event, id=new_id(), entity_id=new_id())])

        found = await _texts(store, world.patients[0])

        assert {row_id for trail, row_id in found if trail is Trail.EVENT} == {event.id}

    async def test_texts_waits_for_a_change_under_way_and_sees_its_reason(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        mine = world.patients[0]
        booked = await _book(store, world, 0, "No reason given")
        event = replace(an_event(world.clinic), reason="of Ada", entity_id=booked.id)
        found: set[tuple[Trail, UUID]] = set()

        async def look() -> None:
            found.update(await _texts(store, mine))

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.appointments.lock(Scope(world.clinic.id), [booked.id])
            looking = await attempt(group, look, self)
            waited = not looking.has_ended
            await unit.events.add(event)
            await unit.commit()

        assert (waited, await looking.outcome()) == (True, None)
        assert (Trail.EVENT, event.id) in found

    async def test_errors_of_messages_are_texts(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        long_ago = NOW - timedelta(days=2000)
        message = replace(booking.messages[0], scheduled_for=long_ago, created_at=long_ago)
        await store.desk.reserve(replace(booking, messages=(message,)))
        claim = await store.outbox.claim(world.clinic.id, message.id, token=new_id(), lease=LEASE)
        assert claim is not None
        assert not isinstance(claim, timedelta)
        record = Record(claim.message, Outcome.FAILED, 1, False, None, "no mailbox of Ada")
        await store.outbox.finish(claim, record)

        found = await _texts(store, world.patients[0])
        await _blank(store, world, world.patients[0])

        assert (Trail.NOTIFICATION, message.id) in found
        view = await store.outbox.get(world.clinic.id, message.id)
        assert view is not None
        assert view.error == ERASED
        assert await _texts(store, world.patients[0]) == set()

    async def test_texts_that_events_name_are_blanked_and_others_stay(self, store: Store) -> None:
        world = await seed_world(store)
        await _book(store, world, 0, "Ada came")
        await _book(store, world, 1, "Ben came")
        before = await _reasons(store, world)
        named = {row_id for _, row_id in await _texts(store, world.patients[0])}

        await _blank(store, world, world.patients[0])

        after = await _reasons(store, world)
        assert len(named) == 1
        assert {row_id: after[row_id] for row_id in before} == {
            row_id: ERASED if row_id in named else reason for row_id, reason in before.items()
        }
        assert await _texts(store, world.patients[0]) == set()

    async def test_text_that_no_event_names_is_not_blanked(self, store: Store) -> None:
        world = await seed_world(store)
        await _book(store, world, 0, "Ada came")
        before = await _reasons(store, world)

        with pytest.raises(Exception, match="append-only"):
            await _blank(store, world, world.patients[0], named=[])

        assert await _reasons(store, world) == before

    async def test_erasure_is_listed_until_it_is_finished(self, store: Store) -> None:
        world = await seed_world(store)
        first = Erasure(world.clinic.id, world.patients[0].id, NOW, (b"1" * 32,))
        other = replace(first, user_id=world.patients[1].id, erased_at=NOW + LEASE)
        later = replace(first, copies=(b"2" * 32, b"3" * 32))

        await _change(store, remember=[other, first])
        listed = list(await store.erasures.unfinished(limit=10))
        earliest = list(await store.erasures.unfinished(limit=1))
        await _change(store, remember=[later], finish=[first, other])
        (left,) = await store.erasures.unfinished(limit=10)
        await _change(store, finish=[left])

        assert (listed, earliest) == ([first, other], [first])
        assert left == replace(first, copies=(*first.copies, *later.copies))
        assert list(await store.erasures.unfinished(limit=10)) == []


async def _change(
    store: Store, *, remember: Sequence[Erasure] = (), finish: Sequence[Erasure] = ()
) -> None:
    async with store.begin() as unit:
        for erasure in remember:
            await unit.erasures.remember(erasure)
        for erasure in finish:
            await unit.erasures.finish(erasure)
        await unit.commit()

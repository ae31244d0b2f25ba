"""The contract of AuditLog."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clinic.domain.audit.audit import REASON_MAX_CHARS, AuditEvent
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyExists, InvalidInput
from clinic.domain.paging import Keyset, PageRequest
from clinic.ports.audit import EventQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import NOW, an_event, new_id, seed_booking, seed_clinic, seed_world
from clinic.testing.contracts.contract import Contract

EVERYTHING = PageRequest(50)


def _events(clinic: Clinic, number: int) -> list[AuditEvent]:
    return [
        replace(an_event(clinic), at=NOW + timedelta(seconds=second)) for second in range(number)
    ]


class AuditLogContract(Contract, contract=True):
    """The audit log. Needs a fixture `store`: an open, empty Store."""

    async def test_appended_events_are_listed_latest_first(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        events = _events(clinic, 3)
        await store.audit_log.append(events)
        await store.audit_log.append([an_event(other)])

        found = await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)

        assert list(found) == events[::-1]

    async def test_event_keeps_all_that_it_says(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        event = replace(
            an_event(clinic),
            action="read",
            entity="patients",
            entity_id=new_id(),
            patient_id=new_id(),
            outcome="permission_denied",
            detail={"route": "/patients/{patient_id}", "ids": [str(new_id())]},
            request_id="request",
            ip="192.0.2.7",
            session_id=new_id(),
        )

        await store.audit_log.append([event])

        assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == [event]

    async def test_events_of_a_unit_of_work_are_listed_once_committed(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        event = an_event(clinic)

        async with store.begin() as unit:
            await unit.events.add(event)
            assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == []
            await unit.commit()

        assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == [event]

    async def test_changes_of_appointments_are_among_them(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

        (event,) = await store.audit_log.events(
            EventQuery(world.clinic.id, entity_id=booked.id), EVERYTHING
        )

        assert (event.action, event.entity, event.entity_id) == ("BOOK", "appointment", booked.id)
        assert event.patient_id == world.patients[0].id
        assert event.detail == {"from": None, "to": "BOOKED", "version": 1}

    async def test_filters_choose(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        plain, mine, about, denied = _events(clinic, 4)
        mine = replace(mine, actor_id=new_id())
        about = replace(about, patient_id=new_id(), entity_id=new_id())
        denied = replace(denied, outcome="permission_denied", action="patch")
        await store.audit_log.append([plain, mine, about, denied])

        async def listed(**filters: Any) -> list[AuditEvent]:
            query = replace(EventQuery(clinic.id), **filters)
            return list(await store.audit_log.events(query, EVERYTHING))

        assert await listed(actor_id=mine.actor_id) == [mine]
        assert await listed(patient_id=about.patient_id) == [about]
        assert await listed(entity_id=about.entity_id) == [about]
        assert await listed(action="patch") == [denied]
        assert await listed(outcome="permission_denied") == [denied]
        assert await listed(outcome="done") == [about, mine, plain]
        assert await listed(at_from=about.at) == [denied, about]
        assert await listed(at_before=about.at) == [mine, plain]

    async def test_events_of_a_person_are_their_deeds_and_what_concerns_them(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        clinic, person = world.clinic, world.patients[0]
        for slot, patient in zip(world.slots[:2], world.patients[:2], strict=True):
            await seed_booking(store, clinic, slot, patient)
        done, read, disabled, _ = events = _events(clinic, 4)
        events[0] = replace(done, actor_id=person.id)
        events[1] = replace(read, patient_id=person.id)
        events[2] = replace(disabled, entity="user", entity_id=person.id)
        await store.audit_log.append(events)

        query = EventQuery(clinic.id, person_id=person.id)
        found = await store.audit_log.events(query, EVERYTHING)
        booked = [event for event in found if event.entity == "appointment"]
        by_staff = await store.audit_log.events(
            replace(query, person_id=booked[0].actor_id, entity_id=booked[0].entity_id), EVERYTHING
        )

        assert [event for event in found if event not in booked] == events[2::-1]
        assert [event.patient_id for event in booked] == [person.id]
        assert list(by_staff) == booked

    async def test_pages_go_on_and_back(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        events = _events(clinic, 5)[::-1]
        await store.audit_log.append(events)
        place = Keyset(events[1].at, events[1].id)

        first = await store.audit_log.events(EventQuery(clinic.id), PageRequest(2))
        second = await store.audit_log.events(EventQuery(clinic.id), PageRequest(2, place))
        back = await store.audit_log.events(
            EventQuery(clinic.id), PageRequest(1, Keyset(events[3].at, events[3].id, True))
        )

        # One row more than requested shows that there is another page.
        assert list(first) == events[:3]
        assert list(second) == events[2:5]
        assert list(back) == events[1:3]

    async def test_appending_twice_is_once(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        events = [replace(event, detail={"id": new_id()}) for event in _events(clinic, 4)]
        await store.audit_log.append(events[:2])

        await store.audit_log.append(events[:2])
        await store.audit_log.append([*events, events[3]])

        found = await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)
        assert [event.id for event in found] == [event.id for event in events[::-1]]

    async def test_two_who_append_the_same_at_once_append_it_once(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        events = _events(clinic, 20)

        await asyncio.gather(*(store.audit_log.append(events) for _ in range(4)))

        assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == events[::-1]

    async def test_other_event_under_the_same_id_is_refused_with_its_batch(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        there, new, third = _events(clinic, 3)
        await store.audit_log.append([there])

        for batch in (
            [new, replace(there, outcome="denied")],
            [there, replace(there, detail={"route": "/"}), new],
            [new, third, replace(third, reason="another one")],
        ):
            with pytest.raises(AlreadyExists):
                await store.audit_log.append(batch)

        assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == [there]

    @pytest.mark.parametrize(
        "text", ["x" * (REASON_MAX_CHARS + 1), "a\0b"], ids=["too long", "NUL"]
    )
    async def test_event_that_cannot_be_stored_is_refused_with_its_batch(
        self, store: Store, text: str
    ) -> None:
        clinic = await seed_clinic(store)
        event, other = _events(clinic, 2)

        with pytest.raises(InvalidInput):
            await store.audit_log.append([event, replace(other, reason=text)])

        assert list(await store.audit_log.events(EventQuery(clinic.id), EVERYTHING)) == []

    async def test_events_of_nobody_known_can_be_kept(self, store: Store) -> None:
        nowhere = new_id()
        event = replace(an_event(await seed_clinic(store)), clinic_id=nowhere, entity_id=None)

        await store.audit_log.append([event])

        assert list(await store.audit_log.events(EventQuery(nowhere), EVERYTHING)) == [event]

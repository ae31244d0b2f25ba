"""The contract of Sessions: who is signed in, and whether the session is still valid."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from clinic.domain.clinic import Clinic
from clinic.domain.errors import NotSignedIn
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Patient, Role, Scope, User, system_actor
from clinic.domain.people.sessions import Session, SessionKind, SignedIn, hash_of
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.calendars import SlotQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_session,
    new_id,
    seed_booking,
    seed_clinic,
    seed_world,
)
from clinic.testing.contracts.accounts_steps import seed_staff
from clinic.testing.contracts.contract import Contract


async def _session(store: Store, clinic: Clinic, user: User, **changed: Any) -> Session:
    session = replace(
        a_session(clinic, user.id, user.role),
        id=new_id(),
        token_hash=hash_of(str(new_id())),
        **changed,
    )
    async with store.begin() as unit:
        await unit.sessions.add(session)
        await unit.commit()
    return session


def _asker(session: Session) -> Actor:
    return Actor(session.user_id, session.role, session.clinic_id, session_id=session.id)


def _user_of(patient: Patient) -> User:
    return User(patient.id, patient.name, patient.email, Role.PATIENT)


async def _world_with_an_appointment(store: Store) -> World:
    world = await seed_world(store)
    await seed_booking(store, world.clinic, world.slots[1], world.patients[1])
    return world


async def _counts(store: Store, world: World, asker: Actor | None) -> bool:
    """Return whether the session is valid, on which the reads of booking, of free slots and of
    appointments must agree."""
    slot, patient, doctor = world.slots[0], world.patients[0], world.doctor
    asker = asker or system_actor(world.clinic.id)
    query = SlotQuery(world.clinic.id, slot.starts_at, slot.ends_at, doctor_id=doctor.id)
    appointments = AppointmentQuery(Scope(world.clinic.id))
    nobodys = AppointmentQuery(Scope(world.clinic.id), starts_from=slot.starts_at + timedelta(99))
    reads = (
        store.desk.load_facts(asker, slot.id, patient.id),
        store.calendars.glance(asker, query, PageRequest()),
        store.appointments.list(asker, appointments, PageRequest()),
        # This query finds nothing for anyone, but must still refuse an invalid session.
        store.appointments.list(asker, nobodys, PageRequest()),
    )
    counted = [await _is_answered(read) for read in reads]
    assert len(set(counted)) == 1
    return counted[0]


async def _is_answered(read: Awaitable[object]) -> bool:
    try:
        await read
    except NotSignedIn:
        return False
    return True


async def _revoke(
    store: Store, user_id: UUID, *, session_id: UUID | None = None, keep: UUID | None = None
) -> list[UUID]:
    async with store.begin() as unit:
        ended = await unit.sessions.revoke(user_id, NOW, session_id=session_id, keep=keep)
        await unit.commit()
    return list(ended)


class SessionsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_sessions_that_ended_before_an_instant_are_removed(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        second = timedelta(seconds=1)
        times = {"created_at": NOW - 2 * second, "last_seen_at": NOW - 2 * second}
        expired = await _session(store, clinic, user, expires_at=NOW - second, **times)
        revoked = await _session(store, clinic, user, revoked_at=NOW - second, **times)
        both = await _session(store, clinic, user, expires_at=NOW, revoked_at=NOW - second, **times)
        kept = [
            await _session(store, clinic, user, expires_at=NOW, **times),
            await _session(store, clinic, user, revoked_at=NOW, **times),
            await _session(store, clinic, user, **times),
        ]

        removed = [await store.sessions.remove_ended(NOW, limit=2) for _ in range(3)]

        assert removed == [2, 1, 0]
        gone = [await store.sessions.find(clinic.id, one.id) for one in (expired, revoked, both)]
        assert gone == [None, None, None]
        found = [await store.sessions.find(clinic.id, one.id) for one in kept]
        assert [one and one.session for one in found] == kept

    async def test_session_is_found_at_its_clinic_only(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        session = await _session(store, clinic, await seed_staff(store, clinic))

        assert await store.sessions.find(clinic.id, session.id) == SignedIn(session)
        assert await store.sessions.find(other.id, session.id) is None

    async def test_only_a_cookie_session_is_found_by_its_reference(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        cookie = await _session(store, clinic, user, kind=SessionKind.COOKIE)
        bearer = await _session(store, clinic, user)

        find = store.sessions.find_by_reference

        assert await find(clinic.id, cookie.token_hash) == SignedIn(cookie)
        assert await find(clinic.id, bearer.token_hash) is None
        assert await find(clinic.id, hash_of("another")) is None

    async def test_session_of_a_disabled_user_is_withdrawn(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        session = await _session(store, clinic, user)

        async with store.begin() as unit:
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.commit()

        assert await store.sessions.find(clinic.id, session.id) == SignedIn(session, True)

    async def test_session_in_a_role_that_the_user_has_not_is_withdrawn(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        session = await _session(store, clinic, await seed_staff(store, clinic), role=Role.ADMIN)

        found = await store.sessions.find(clinic.id, session.id)

        assert found == SignedIn(session, withdrawn=True)

    async def test_revoking_one_leaves_the_others(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        one, two = [await _session(store, clinic, user) for _ in range(2)]

        ended = await _revoke(store, user.id, session_id=one.id)

        assert list(ended) == [one.id]
        assert [session.id for session in await store.sessions.live(user.id, NOW)] == [two.id]
        found = await store.sessions.find(clinic.id, one.id)
        assert found == SignedIn(replace(one, revoked_at=NOW))

    async def test_revoking_all_but_one(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, neighbour = await seed_staff(store, clinic), await seed_staff(store, clinic)
        sessions = [await _session(store, clinic, user) for _ in range(3)]
        other = await _session(store, clinic, neighbour)

        ended = await _revoke(store, user.id, keep=sessions[1].id)

        assert sorted(ended) == sorted((sessions[0].id, sessions[2].id))
        live = await store.sessions.live(user.id, NOW)
        assert [session.id for session in live] == [sessions[1].id]
        assert await store.sessions.live(neighbour.id, NOW) == [other]

    async def test_revoking_somebody_elses_or_an_ended_one_ends_nothing(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, neighbour = await seed_staff(store, clinic), await seed_staff(store, clinic)
        session = await _session(store, clinic, user)

        assert list(await _revoke(store, neighbour.id, session_id=session.id)) == []
        await _revoke(store, user.id)
        assert list(await _revoke(store, user.id)) == []

    async def test_sessions_that_have_expired_are_not_live(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        session = await _session(store, clinic, user, expires_at=NOW + timedelta(hours=1))

        assert await store.sessions.live(user.id, NOW) == [session]
        assert await store.sessions.live(user.id, session.expires_at) == []

    async def test_sessions_of_a_user_are_listed_by_id_however_they_ended(
        self, store: Store
    ) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        user, neighbour = await seed_staff(store, clinic), await seed_staff(store, clinic)
        await _session(store, clinic, neighbour)
        made = [
            await _session(store, clinic, user),
            await _session(store, other, user, expires_at=NOW + timedelta(hours=1)),
            await _session(store, clinic, user),
        ]
        await _revoke(store, user.id, session_id=made[0].id)
        made[0] = replace(made[0], revoked_at=NOW)
        made.sort(key=lambda session: session.id)

        assert await store.sessions.of_user(user.id, limit=2) == made[:2]
        assert await store.sessions.of_user(user.id, after=made[1].id, limit=2) == made[2:]

    async def test_touch_moves_forwards_only(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        session = await _session(store, clinic, await seed_staff(store, clinic))
        later = NOW + timedelta(minutes=5)

        await store.sessions.touch(clinic.id, session.id, later)
        await store.sessions.touch(clinic.id, session.id, NOW)

        found = await store.sessions.find(clinic.id, session.id)
        assert found == SignedIn(replace(session, last_seen_at=later))

    async def test_a_session_comes_with_its_clinic_as_it_is_now(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        session = await _session(store, clinic, user)
        cookie = await _session(store, clinic, user, kind=SessionKind.COOKIE)
        by_reference = store.sessions.find_by_reference

        async def seen() -> list[Clinic | None]:
            found = [
                await store.sessions.find(clinic.id, session.id),
                await by_reference(clinic.id, cookie.token_hash),
            ]
            async with store.begin() as unit:
                found.append(await unit.sessions.find(clinic.id, session.id))
            return [one.clinic if one else None for one in found]

        assert await seen() == [clinic] * 3
        moved = replace(clinic, time_zone="Pacific/Apia")
        async with store.begin() as unit:
            await unit.people.replace_clinic(moved)
            await unit.commit()

        assert await seen() == [moved] * 3

    async def test_many_sessions_looked_up_at_once_are_each_found(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        users = [await seed_staff(store, clinic) for _ in range(4)]
        sessions = [await _session(store, clinic, user) for user in users] * 10

        found = await asyncio.gather(
            *(store.sessions.find(clinic.id, session.id) for session in sessions),
            store.sessions.find(clinic.id, new_id()),
        )

        assert found == [*map(SignedIn, sessions), None]

    async def test_a_session_that_is_not_committed_lets_nobody_in(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await seed_staff(store, clinic)
        session = a_session(clinic, user.id, user.role)

        async with store.begin() as unit:
            await unit.sessions.add(session)

        assert await store.sessions.find(clinic.id, session.id) is None

    async def test_ending_sessions_at_one_clinic_leaves_those_at_others(self, store: Store) -> None:
        here, there = await seed_clinic(store), await seed_clinic(store)
        user = await seed_staff(store, here)
        ended, kept = await _session(store, here, user), await _session(store, there, user)

        async with store.begin() as unit:
            ids = await unit.sessions.revoke(user.id, NOW, clinic_id=here.id)
            await unit.commit()

        assert list(ids) == [ended.id]
        assert await store.sessions.find(there.id, kept.id) == SignedIn(kept)

    async def test_one_read_tells_whether_the_session_counts(self, store: Store) -> None:
        world = await _world_with_an_appointment(store)
        user = _user_of(world.patients[0])
        session = await _session(store, world.clinic, user)
        in_a_former_role = await _session(store, world.clinic, user, role=Role.ADMIN)

        assert await _counts(store, world, _asker(session))
        assert await _counts(store, world, None)
        assert not await _counts(store, world, replace(_asker(session), session_id=new_id()))
        # Without a session id there is no session to check.
        assert await _counts(store, world, replace(_asker(session), session_id=None))
        assert not await _counts(store, world, _asker(in_a_former_role))
        await _revoke(store, user.id)
        assert not await _counts(store, world, _asker(session))

    async def test_one_read_takes_a_session_for_its_own_user_and_role_alone(
        self, store: Store
    ) -> None:
        world = await _world_with_an_appointment(store)
        session = await _session(store, world.clinic, _user_of(world.patients[0]))
        asker = _asker(session)

        assert not await _counts(store, world, replace(asker, role=Role.ADMIN))
        assert not await _counts(store, world, replace(asker, user_id=world.patients[1].id))
        assert await _counts(store, world, asker)

    async def test_one_read_sees_that_the_user_was_disabled(self, store: Store) -> None:
        world = await _world_with_an_appointment(store)
        user = _user_of(world.patients[0])
        session = await _session(store, world.clinic, user)
        async with store.begin() as unit:
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.commit()

        assert not await _counts(store, world, _asker(session))

    async def test_one_read_takes_no_session_of_another_clinic(self, store: Store) -> None:
        world, other = await _world_with_an_appointment(store), await seed_world(store)
        session = await _session(store, other.clinic, _user_of(other.patients[0]))

        assert not await _counts(store, world, replace(_asker(session), clinic_id=world.clinic.id))

"""What every store must do about accounts and sessions."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import anyio
import pytest

from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyExists, EmailInUse, NotSignedIn, UserNotFound
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Patient, Role, Scope, User, system_actor
from clinic.domain.people.sessions import Session, SessionKind, SignedIn, hash_of
from clinic.ports.accounts import Account
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.calendars import SlotQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_session,
    a_user,
    new_id,
    seed_booking,
    seed_clinic,
    seed_doctor,
    seed_patient,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract


async def _staff(store: Store, clinic: Clinic, role: Role = Role.RECEPTIONIST) -> User:
    user = a_user(role)
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(clinic.id, user.id)
        await unit.commit()
    return user


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


class AccountsContract(Contract, contract=True):
    """Accounts and sessions. Give it a fixture `store`: an open Store that holds nothing."""

    async def test_account_of_each_role_belongs_to_its_clinic(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        doctor, patient = await seed_doctor(store, clinic), await seed_patient(store, clinic)
        receptionist = await _staff(store, clinic)

        for user_id in (doctor.id, patient.id, receptionist.id):
            account = await store.accounts.account(user_id)
            assert account is not None
            assert (account.clinics, account.password_hash) == ((clinic.id,), None)
            assert account.disabled_at is None

    async def test_account_belongs_to_every_clinic_of_its_staff(self, store: Store) -> None:
        one, two = await seed_clinic(store), await seed_clinic(store)
        user = await _staff(store, one)

        async with store.begin() as unit:
            await unit.accounts.add_staff(two.id, user.id)
            await unit.commit()

        account = await store.accounts.account(user.id)
        assert account == Account(user, None, None, tuple(sorted((one.id, two.id))))

    async def test_account_without_a_fitting_profile_belongs_nowhere(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        admin = a_user(Role.ADMIN)
        async with store.begin() as unit:
            await unit.people.add_user(admin)
            await unit.people.add_patient(clinic.id, admin.id)
            await unit.commit()

        account = await store.accounts.account(admin.id)

        assert account is not None
        assert account.clinics == ()

    async def test_account_by_email_without_case(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        found = await store.accounts.by_email(user.email.upper())

        assert found is not None
        assert found.user == user
        assert await store.accounts.by_email("nobody@example.org") is None
        assert await store.accounts.by_email("%") is None

    async def test_unknown_account_is_none(self, store: Store) -> None:
        assert await store.accounts.account(new_id()) is None

    async def test_accounts_of_a_clinic_by_id(self, store: Store) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        people = [await _staff(store, clinic) for _ in range(3)]
        patient = await seed_patient(store, clinic)
        await _staff(store, other)

        everyone = await store.accounts.accounts(clinic.id, limit=10)
        office = await store.accounts.accounts(clinic.id, role=Role.RECEPTIONIST, limit=10)
        beyond = await store.accounts.accounts(clinic.id, after=office[0].user.id, limit=1)

        ids = [account.user.id for account in everyone]
        assert ids == sorted([*(user.id for user in people), patient.id])
        assert [account.user for account in office] == sorted(people, key=lambda user: user.id)
        assert [account.user.id for account in beyond] == [ids[ids.index(office[0].user.id) + 1]]

    async def test_password_and_disabling_last(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_password_hash(user.id, "hash")
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.password_hash, account.disabled_at) == ("hash", NOW)

    async def test_changes_of_nobody_are_refused(self, store: Store) -> None:
        stranger = a_user()

        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_password_hash(stranger.id, "x")
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_disabled_at(stranger.id, NOW)
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.set_email_verified_at(stranger.id, NOW)
        async with store.begin() as unit:
            with pytest.raises(UserNotFound):
                await unit.accounts.replace_user(stranger)

    async def test_name_email_and_phone_are_replaced_and_the_role_is_not(
        self, store: Store
    ) -> None:
        user = await _staff(store, await seed_clinic(store))
        changed = User(user.id, "New Name", "new@example.org", Role.ADMIN, "+442079460018")

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()

        assert await store.people.user(user.id) == replace(changed, role=user.role)
        assert await store.accounts.by_email(user.email) is None

    async def test_somebody_elses_email_is_refused(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        one, two = await _staff(store, clinic), await _staff(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(EmailInUse):
                await unit.accounts.replace_user(replace(one, email=two.email.upper()))

    async def test_own_email_in_another_case_is_taken(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))
        changed = replace(user, email=user.email.upper())

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()

        assert await store.people.user(user.id) == changed

    async def test_email_is_kept_as_typed_and_found_in_ascii(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, number = await _staff(store, clinic), new_id().hex
        typed = f"{number}@m\u00fcnchen.example"
        changed = replace(user, email=f"{number}@xn--mnchen-3ya.example", email_typed=typed)

        async with store.begin() as unit:
            await unit.accounts.replace_user(changed)
            await unit.commit()
        found = await store.accounts.by_email(changed.email)
        async with store.begin() as unit:
            with pytest.raises(EmailInUse):
                await unit.people.add_user(a_user(email=changed.email.upper()))

        assert found is not None
        assert found.user == changed == await store.people.user(user.id)
        assert found.user.shown_email == typed
        assert await store.accounts.by_email(typed) is None

    async def test_new_account_is_not_verified(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (None, 0)

    async def test_verified_email_stays_so_in_another_case(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.replace_user(replace(user, name="New", email=user.email.upper()))
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (NOW, 0)

    async def test_another_email_is_not_verified_and_outdates_links(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.replace_user(replace(user, email="other@example.org"))
            await unit.accounts.replace_user(user)
            await unit.commit()
        account = await store.accounts.by_email(user.email)

        assert account is not None
        assert (account.user, account.email_verified_at) == (user, None)
        assert account.link_version == 2

    async def test_disabling_and_enabling_outdate_links(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user.id, NOW)
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.accounts.set_disabled_at(user.id, None)
            await unit.commit()
        account = await store.accounts.account(user.id)

        assert account is not None
        assert (account.email_verified_at, account.link_version) == (NOW, 2)

    async def test_staff_of_a_clinic_once(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.accounts.add_staff(clinic.id, user.id)

    async def test_locked_account_waits_for_the_change_before(self, store: Store) -> None:
        user = await _staff(store, await seed_clinic(store))

        async def seen() -> str | None:
            async with store.begin() as unit:
                account = await unit.accounts.lock(user.id)
                assert account is not None
                return account.password_hash

        found: list[str | None] = []

        async def look() -> None:
            found.append(await seen())

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.accounts.lock(user.id)
            await unit.accounts.set_password_hash(user.id, "new")
            other = await attempt(group, look, self)
            waited = not other.has_ended
            await unit.commit()

        assert (waited, await other.outcome(), found) == (True, None, ["new"])

    async def test_locking_nobody_is_none(self, store: Store) -> None:
        async with store.begin() as unit:
            assert await unit.accounts.lock(new_id()) is None

    # --- sessions

    async def test_sessions_that_ended_before_an_instant_are_removed(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
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
        session = await _session(store, clinic, await _staff(store, clinic))

        assert await store.sessions.find(clinic.id, session.id) == SignedIn(session)
        assert await store.sessions.find(other.id, session.id) is None

    async def test_only_a_cookie_session_is_found_by_its_reference(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
        cookie = await _session(store, clinic, user, kind=SessionKind.COOKIE)
        bearer = await _session(store, clinic, user)

        find = store.sessions.find_by_reference

        assert await find(clinic.id, cookie.token_hash) == SignedIn(cookie)
        assert await find(clinic.id, bearer.token_hash) is None
        assert await find(clinic.id, hash_of("another")) is None

    async def test_session_of_a_disabled_user_is_withdrawn(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
        session = await _session(store, clinic, user)

        async with store.begin() as unit:
            await unit.accounts.set_disabled_at(user.id, NOW)
            await unit.commit()

        assert await store.sessions.find(clinic.id, session.id) == SignedIn(session, True)

    async def test_session_in_a_role_that_the_user_has_not_is_withdrawn(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        session = await _session(store, clinic, await _staff(store, clinic), role=Role.ADMIN)

        found = await store.sessions.find(clinic.id, session.id)

        assert found == SignedIn(session, withdrawn=True)

    async def test_revoking_one_leaves_the_others(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
        one, two = [await _session(store, clinic, user) for _ in range(2)]

        ended = await _revoke(store, user.id, session_id=one.id)

        assert list(ended) == [one.id]
        assert [session.id for session in await store.sessions.live(user.id, NOW)] == [two.id]
        found = await store.sessions.find(clinic.id, one.id)
        assert found == SignedIn(replace(one, revoked_at=NOW))

    async def test_revoking_all_but_one(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, neighbour = await _staff(store, clinic), await _staff(store, clinic)
        sessions = [await _session(store, clinic, user) for _ in range(3)]
        other = await _session(store, clinic, neighbour)

        ended = await _revoke(store, user.id, keep=sessions[1].id)

        assert sorted(ended) == sorted((sessions[0].id, sessions[2].id))
        live = await store.sessions.live(user.id, NOW)
        assert [session.id for session in live] == [sessions[1].id]
        assert await store.sessions.live(neighbour.id, NOW) == [other]

    async def test_revoking_somebody_elses_or_an_ended_one_ends_nothing(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user, neighbour = await _staff(store, clinic), await _staff(store, clinic)
        session = await _session(store, clinic, user)

        assert list(await _revoke(store, neighbour.id, session_id=session.id)) == []
        await _revoke(store, user.id)
        assert list(await _revoke(store, user.id)) == []

    async def test_sessions_that_have_expired_are_not_live(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
        session = await _session(store, clinic, user, expires_at=NOW + timedelta(hours=1))

        assert await store.sessions.live(user.id, NOW) == [session]
        assert await store.sessions.live(user.id, session.expires_at) == []

    async def test_sessions_of_a_user_are_listed_by_id_however_they_ended(
        self, store: Store
    ) -> None:
        clinic, other = await seed_clinic(store), await seed_clinic(store)
        user, neighbour = await _staff(store, clinic), await _staff(store, clinic)
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
        session = await _session(store, clinic, await _staff(store, clinic))
        later = NOW + timedelta(minutes=5)

        await store.sessions.touch(clinic.id, session.id, later)
        await store.sessions.touch(clinic.id, session.id, NOW)

        found = await store.sessions.find(clinic.id, session.id)
        assert found == SignedIn(replace(session, last_seen_at=later))

    async def test_a_session_comes_with_its_clinic_as_it_is_now(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
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
        users = [await _staff(store, clinic) for _ in range(4)]
        sessions = [await _session(store, clinic, user) for user in users] * 10

        found = await asyncio.gather(
            *(store.sessions.find(clinic.id, session.id) for session in sessions),
            store.sessions.find(clinic.id, new_id()),
        )

        assert found == [*map(SignedIn, sessions), None]

    async def test_a_session_that_is_not_committed_lets_nobody_in(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        user = await _staff(store, clinic)
        session = a_session(clinic, user.id, user.role)

        async with store.begin() as unit:
            await unit.sessions.add(session)

        assert await store.sessions.find(clinic.id, session.id) is None

    async def test_ending_sessions_at_one_clinic_leaves_those_at_others(self, store: Store) -> None:
        here, there = await seed_clinic(store), await seed_clinic(store)
        user = await _staff(store, here)
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
        # Nothing is claimed then, so there is nothing to check.
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


def _asker(session: Session) -> Actor:
    return Actor(session.user_id, session.role, session.clinic_id, session_id=session.id)


def _user_of(patient: Patient) -> User:
    return User(patient.id, patient.name, patient.email, Role.PATIENT)


async def _world_with_an_appointment(store: Store) -> World:
    world = await seed_world(store)
    await seed_booking(store, world.clinic, world.slots[1], world.patients[1])
    return world


async def _counts(store: Store, world: World, asker: Actor | None) -> bool:
    """Return what booking's read, that of free slots and that of appointments say of the
    session."""
    slot, patient, doctor = world.slots[0], world.patients[0], world.doctor
    asker = asker or system_actor(world.clinic.id)
    query = SlotQuery(world.clinic.id, slot.starts_at, slot.ends_at, doctor_id=doctor.id)
    appointments = AppointmentQuery(Scope(world.clinic.id))
    nobodys = AppointmentQuery(Scope(world.clinic.id), starts_from=slot.starts_at + timedelta(99))
    reads = (
        store.desk.load_facts(asker, slot.id, patient.id),
        store.calendars.glance(asker, query, PageRequest()),
        store.appointments.list(asker, appointments, PageRequest()),
        # Nothing is found then, whoever asks; who may not ask is refused all the same.
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

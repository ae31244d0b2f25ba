"""Memberships that end concurrently, and people who come back, on PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from tests.coming_back import (
    PASSWORD,
    READS,
    Person,
    check_patient_comes_back,
    check_staff_come_back,
)
from tests.integration.postgres.locks import wait_for_lock

from clinic.domain.errors import ClinicError
from clinic.domain.people.people import Actor, Role
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.testing import a_user
from clinic.testing.builders import a_booking, a_session
from clinic.usecases.people.manage_users import set_enabled
from clinic.usecases.people.memberships import end_membership


async def test_two_administrators_who_remove_each_other_leave_one(api):
    services = api.services
    one, two = a_user(Role.ADMIN), a_user(Role.ADMIN)
    async with services.store.begin() as unit:
        for user in (one, two):
            await unit.people.add_user(user)
            await unit.accounts.add_staff(api.clinic_id, user.id)
        await unit.commit()

    def by(user):
        return services.context(Actor(user.id, Role.ADMIN, api.clinic_id))

    done = await asyncio.gather(
        end_membership(by(two), one.id),
        set_enabled(by(one), two.id, enabled=False),
        return_exceptions=True,
    )

    [refused] = [each for each in done if isinstance(each, BaseException)]
    assert isinstance(refused, ClinicError)
    assert refused.code == "last_administrator"
    async with services.store.begin() as unit:
        assert await unit.memberships.administrators(api.clinic_id) == 1


async def test_a_membership_that_ends_leaves_no_session_on_another_server(api, other_server):
    services = api.services
    admin = a_user(Role.ADMIN)
    async with services.store.begin() as unit:
        await unit.people.add_user(admin)
        await unit.accounts.add_staff(api.clinic_id, admin.id)
        await unit.commit()
    headers = api.bearer(0)
    before = await other_server.get(f"/slots?doctor={api.doctor.id}", headers=headers)

    await end_membership(
        services.context(Actor(admin.id, Role.ADMIN, api.clinic_id)), api.patients[0].id
    )

    after = await other_server.get(
        f"/slots?doctor={api.doctor.id}",
        headers={**headers, "if-none-match": before.headers["etag"]},
    )
    body = {"slotId": str(api.slots[0].id)}
    key = {"idempotency-key": f"key-{datetime.now(UTC).timestamp()}"}
    booked = await other_server.post("/appointments", json=body, headers={**headers, **key})
    assert (before.status_code, after.status_code, booked.status_code) == (200, 401, 401)


async def test_who_disables_a_patient_waits_for_a_booking_under_way(api, postgres_urls):
    services, patient, slot = api.services, api.patients[0], api.slots[0]
    booking = a_booking(await services.store.people.clinic(api.clinic_id), slot, patient)

    async def disable() -> None:
        async with services.store.begin() as unit:
            await unit.accounts.set_disabled_at(patient.id, datetime.now(UTC))
            await unit.commit()

    # The slot's lock holds up the booking, which has locked the patient by then.
    async with await psycopg.AsyncConnection.connect(postgres_urls.owner_url) as holder:
        await holder.execute("SELECT FROM slots WHERE id = %s FOR UPDATE", [slot.id])
        booked = asyncio.create_task(services.store.desk.reserve(booking))
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="appointments")
        disabled = asyncio.create_task(disable())
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="users")
        assert not disabled.done()
        await holder.rollback()
        await asyncio.gather(booked, disabled)


@pytest.fixture
async def person(api) -> Person:
    services, admin, now = api.services, a_user(Role.ADMIN), datetime.now(UTC)
    clinic = await services.store.people.clinic(api.clinic_id)
    async with services.store.begin() as unit:
        await unit.people.add_user(admin)
        await unit.accounts.add_staff(api.clinic_id, admin.id)
        await unit.sessions.add(a_session(clinic, admin.id, admin.role, now=now))
        await unit.commit()
    token = issue_token(
        services.settings,
        user_id=admin.id,
        role=admin.role,
        clinic_id=api.clinic_id,
        session_id=admin.id,
        now=now,
        lifetime_s=3600,
    )
    headers = {"authorization": f"Bearer {token}"}
    return Person(api.client, headers, later=lambda: None)


async def test_a_patient_comes_back(api, person):
    await check_patient_comes_back(person, [slot.id for slot in api.slots])


@pytest.mark.parametrize("role", READS)
async def test_staff_come_back(person, role):
    await check_staff_come_back(person, role)


async def test_of_two_who_accept_one_offer_with_a_password_one_does(api, person, other_server):
    await person.register()
    await person.leave()
    token = await person.offer()
    body = {"offer": token, "email": person.email, "password": PASSWORD}

    answers = await asyncio.gather(
        person.accept(token), other_server.post("/memberships", json=body)
    )

    assert sorted(each.status_code for each in answers) == [201, 409]


async def test_a_password_that_changes_meanwhile_accepts_nothing(api, person, postgres_urls):
    await person.register()
    await person.leave()
    token = await person.offer()

    async with await psycopg.AsyncConnection.connect(postgres_urls.owner_url) as holder:
        await holder.execute(
            "UPDATE users SET password_hash = 'another' WHERE id = %s", [person.id]
        )
        accepting = asyncio.create_task(person.accept(token))
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="users")
        await holder.commit()
        answer = await accepting

    account = await api.services.store.accounts.by_email(person.email)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")
    assert account.clinics == ()

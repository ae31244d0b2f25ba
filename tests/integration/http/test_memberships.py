"""Memberships that end at the same moment, on PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import psycopg
from tests.integration.postgres.locks import wait_for_lock

from clinic.domain.errors import ClinicError
from clinic.domain.people import Actor, Role
from clinic.testing import a_user
from clinic.testing.builders import a_booking
from clinic.usecases.manage_users import set_enabled
from clinic.usecases.memberships import end_membership


async def test_two_administrators_who_remove_each_other_leave_one(api):
    services = api.services
    one, two = a_user(Role.ADMIN), a_user(Role.ADMIN)
    async with services.store.begin() as unit:
        for user in (one, two):
            await unit.people.add_user(user)
            await unit.accounts.add_staff(api.clinic_id, user.id)
        await unit.commit()
    writing = {
        "transactions": services.transactions,
        "clock": services.clock,
        "new_id": services.new_id,
    }

    def by(user):
        return {**writing, "actor": Actor(user.id, Role.ADMIN, api.clinic_id)}

    done = await asyncio.gather(
        end_membership(one.id, **by(two)),
        set_enabled(two.id, enabled=False, **by(one)),
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
        api.patients[0].id,
        transactions=services.transactions,
        clock=services.clock,
        new_id=services.new_id,
        actor=Actor(admin.id, Role.ADMIN, api.clinic_id),
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

    # Whoever holds the slot holds up the booking, which has the patient by then.
    async with await psycopg.AsyncConnection.connect(postgres_urls.owner_url) as holder:
        await holder.execute("SELECT FROM slots WHERE id = %s FOR UPDATE", [slot.id])
        booked = asyncio.create_task(services.store.desk.take(booking))
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="appointments")
        disabled = asyncio.create_task(disable())
        await asyncio.to_thread(wait_for_lock, postgres_urls.owner_url, holder="users")
        assert not disabled.done()
        await holder.rollback()
        await asyncio.gather(booked, disabled)

"""Lists of appointments are read together with the session and clinic they depend on."""

from dataclasses import replace
from uuid import uuid4

import pytest

LISTS = (
    "/appointments",
    "/appointments?limit=1",
    "/appointments?date=2026-11-24",
    "/appointments?date=2026-11-30",
    "/appointments?doctor={nobody}",
    "/appointments?patient={nobody}",
    "/appointments?limit=1&cursor={cursor}",
    "/appointments?limit=0",
    "/appointments?cursor=odd",
    "/appointments?date=9999-12-31",
    "/appointments?from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z",
)


async def _ids(api, path, who="receptionist"):
    answer = await api.send("GET", path, who=who)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


@pytest.mark.parametrize("path", LISTS)
async def test_no_list_of_appointments_is_for_a_session_that_has_ended(api, path):
    await api.book(0)
    await api.book(1, who="other")
    page = await api.send("GET", "/appointments?limit=1", who="receptionist")
    path = path.format(nobody=uuid4(), cursor=page.json()["next"])
    before = await api.send("GET", path, who="receptionist")
    await api.send("DELETE", "/sessions", who="receptionist")

    after = await api.send("GET", path, who="receptionist")

    assert before.status_code in (200, 400, 404)
    assert (after.status_code, after.json()["code"]) == (401, "not_signed_in")


async def test_a_disabled_user_sees_no_appointment_from_then_on(api):
    await api.book()
    assert len(await _ids(api, "/appointments", "patient")) == 1
    async with api.services.store.begin() as unit:
        await unit.accounts.set_disabled_at(api.world.patients[0].id, api.clock.now())
        await unit.commit()

    after = await api.send("GET", "/appointments")

    assert (after.status_code, after.json()["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize("with_an_older_look", [True, False])
@pytest.mark.parametrize(("date", "slot"), [("2026-11-24", 0), ("2026-11-25", 2)])
async def test_a_day_is_the_clinics_as_it_is_now(api, date, slot, with_an_older_look):
    """Given appointments at 9:00 and 10:00, the second of which is at midnight in the clinic's new
    time zone."""
    booked = {0: await api.book(0), 2: await api.book(2, who="other")}
    if with_an_older_look:
        assert len(await _ids(api, "/appointments?date=2026-11-24")) == 2
    async with api.services.store.begin() as unit:
        clinic = replace(api.world.clinic, time_zone="Pacific/Kiritimati")
        await unit.people.replace_clinic(clinic)
        await unit.commit()

    assert await _ids(api, f"/appointments?date={date}") == [booked[slot]["id"]]


async def test_a_list_that_finds_something_asks_for_nothing_else(api, monkeypatch):
    await api.book()
    path = "/appointments?date=2026-11-24"
    await _ids(api, path)
    people = api.services.store.people
    looks = []

    async def clinic(clinic_id):
        looks.append(clinic_id)
        return await type(people).clinic(people, clinic_id)

    monkeypatch.setattr(people, "clinic", clinic)
    monkeypatch.delattr(type(api.services.store.sessions), "find")

    assert len(await _ids(api, path)) == 1
    assert looks == []
    assert await _ids(api, "/appointments?date=2026-11-30") == []
    assert looks == [api.world.clinic.id]

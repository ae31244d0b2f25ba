"""Taking back an arrival, an end, an absence or a cancellation, over HTTP."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from clinic.domain.calendar.slots import SlotState
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery
from clinic.testing.builders import a_block, a_type, seed_closings, seed_state, seed_type

pytestmark = pytest.mark.anyio

Put = Callable[..., Awaitable[Any]]


@pytest.fixture
def put(api) -> Put:
    """Changes an appointment, as the receptionist unless said otherwise."""

    async def change(booked: Any, status: str, *, who: str = "receptionist", **more: Any) -> Any:
        body = {"status": status, **more}
        path, any_version = f"/appointments/{booked['id']}", {"if-match": "*"}
        return await api.send("PATCH", path, body, who=who, headers=any_version)

    return change


async def trail(api, booked: Any) -> list[tuple[str, str]]:
    path = f"/appointments/{booked['id']}/audit"
    found = (await api.send("GET", path, who="receptionist")).json()["items"]
    return [(entry["action"], entry["toStatus"]) for entry in found]


async def messages_of(api, booked: Any) -> list[tuple[str, int]]:
    """Return kind and version of every message about it, in the order in which they are due."""
    query = NotificationQuery(Scope(api.world.clinic.id), appointment_id=UUID(booked["id"]))
    found = await api.services.store.outbox.list(query, PageRequest(50))
    return [(each.message.kind, each.message.version) for each in found]


@pytest.mark.parametrize("was", ["BOOKED", "CONFIRMED"])
@pytest.mark.parametrize("to", ["ARRIVED", "NO_SHOW", "COMPLETED"])
async def test_status_goes_back_to_the_one_before_on_the_same_day(api, put, was, to) -> None:
    booked = await api.book(0)
    if was == "CONFIRMED":
        await put(booked, "CONFIRMED", who="patient")
    api.clock.set(api.world.slots[0].starts_at)
    changed = (await put(booked, to)).json()
    other = "CONFIRMED" if was == "BOOKED" else "BOOKED"

    by_patient = await put(booked, was, who="patient")
    wrong = await put(booked, other)
    undone = await put(booked, was, reason="Another patient of the name")
    again = await put(booked, was)

    assert (by_patient.status_code, by_patient.json()["code"]) == (403, "permission_denied")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "transition_not_allowed")
    assert wrong.json()["allowed"] == [was]
    assert (undone.status_code, undone.json()["status"]) == (200, was)
    assert undone.json()["version"] == again.json()["version"] == changed["version"] + 1
    assert (await trail(api, booked))[-2:] == [("CHANGE_STATUS", to), ("UNDO", was)]


async def test_each_undo_goes_one_step_further_back(api, put) -> None:
    booked = await api.book(0)
    await put(booked, "CONFIRMED", who="patient")
    api.clock.set(api.world.slots[0].starts_at)
    await put(booked, "ARRIVED")
    await put(booked, "COMPLETED")

    by_colleague = await put(booked, "ARRIVED", who="colleague")
    steps = [await put(booked, to, who="doctor") for to in ("ARRIVED", "BOOKED", "CONFIRMED")]
    arrived_again = await put(booked, "ARRIVED")

    assert by_colleague.status_code == 404
    assert [step.status_code for step in steps] == [200, 409, 200]
    assert arrived_again.status_code == 200


async def test_status_of_another_day_stays(api, put) -> None:
    """Given an absence that was noted on the day after the appointment
    When it is taken back on that day, or on the next
    Then only the first is possible."""
    booked = await api.book(0)
    api.clock.set(api.world.slots[0].starts_at + timedelta(days=1))
    await put(booked, "NO_SHOW")

    undone = await put(booked, "BOOKED")
    await put(booked, "NO_SHOW")
    midnight = api.clock.now().replace(hour=0, minute=0) + timedelta(days=1)
    api.clock.set(midnight)
    late = await put(booked, "BOOKED")

    assert undone.status_code == 200
    assert (late.status_code, late.json()["code"]) == (409, "too_late_to_undo")
    assert late.json()["when"] == "on the day on which it got this status"


async def test_cancelled_appointment_is_booked_again(api, put) -> None:
    """Given a confirmed appointment that was cancelled by mistake
    When staff book it again
    Then it has its place, id and messages as a new booking has, and both versions are higher."""
    booked = await api.book(0)
    await put(booked, "CONFIRMED", who="patient")
    cancelled = (await put(booked, "CANCELLED", who="patient")).json()

    by_patient = await put(booked, "BOOKED", who="patient")
    undone = await put(booked, "BOOKED")

    assert (by_patient.status_code, by_patient.json()["code"]) == (403, "permission_denied")
    assert undone.status_code == 200, undone.text
    assert undone.json() == {
        **booked,
        "status": "BOOKED",
        "version": cancelled["version"] + 1,
    }
    assert (await trail(api, booked))[-1] == ("UNDO", "BOOKED")
    taken = {"slotId": booked["slotId"]}
    refused = await api.send("POST", "/appointments", taken, who="other")
    assert refused.json()["code"] == "slot_taken"
    assert [each for each in await messages_of(api, booked) if each[1] == 2] == [
        ("confirmation", 2),
        ("reminder_1440m", 2),
        ("reminder_120m", 2),
    ]


@pytest.mark.parametrize(
    ("obstacle", "status", "code"),
    [
        ("started", 422, "slot_in_past"),
        ("taken", 409, "slot_taken"),
        ("blocked", 409, "slot_blocked"),
        ("retired", 409, "slot_blocked"),
        ("patient busy", 409, "patient_busy"),
        ("patient disabled", 409, "patient_disabled"),
        ("as many as allowed", 422, "too_many_open_appointments"),
    ],
)
async def test_cancelled_appointment_whose_place_or_patient_is_not_free(
    api, put, obstacle, status, code
) -> None:
    booked = await api.book(0)
    await put(booked, "CANCELLED")
    slot, store = api.world.slots[0], api.services.store
    if obstacle == "started":
        api.clock.set(slot.starts_at)
    elif obstacle == "taken":
        await api.book(0, who="other")
    elif obstacle == "blocked":
        await seed_state(store, SlotState.BLOCKED, slot)
    elif obstacle == "retired":
        await seed_state(store, SlotState.RETIRED, slot)
    elif obstacle == "patient busy":
        there = {"slotId": str(api.world.colleague_slots[0].id)}
        await api.send("POST", "/appointments", there)
    elif obstacle == "patient disabled":
        async with store.begin() as unit:
            await unit.accounts.set_disabled_at(api.world.patients[0].id, api.clock.now())
            await unit.commit()
    else:
        policy, any_version = {"policy": {"maxOpenAppointments": 1}}, {"if-match": "*"}
        await api.send("PATCH", "/clinics/current", policy, who="admin", headers=any_version)
        await api.book(1)
    before = await api.everything()

    refused = await put(booked, "BOOKED")

    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert await api.everything() == before
    if obstacle == "taken":
        assert len(refused.json()["nearest"]) == 3
    if obstacle == "as many as allowed":
        assert (await put(booked, "BOOKED", override=True)).status_code == 200


@pytest.mark.parametrize("closed", [True, False])
async def test_long_appointment_with_buffers_takes_all_of_its_time_again(api, put, closed) -> None:
    kind = a_type(api.world.clinic, "Long", 60, before_min=15, after_min=10, is_default=True)
    await seed_type(api.services.store, kind)
    booked = await api.book(3)
    await put(booked, "CANCELLED")
    last = api.world.slots[-1]
    if closed:
        await seed_closings(api.services.store, a_block(api.world.doctor, last.ends_at))

    undone = await put(booked, "BOOKED")

    slots = (await api.send("GET", "/slots?status=all", who="receptionist")).json()["items"]
    taken = {each["startsAt"][11:16] for each in slots if each["taken"]}
    if closed:
        assert (undone.status_code, undone.json()["code"]) == (409, "slot_blocked")
        assert taken == set()
    else:
        assert undone.status_code == 200, undone.text
        assert taken == {"10:00", "10:30", "11:00"}

"""Rooms and equipment over HTTP: entering them, and appointments that need them."""

from typing import Any
from uuid import UUID

import pytest

from clinic.domain.people.people import Scope

pytestmark = pytest.mark.anyio

RESOURCES, TYPES = "/resources", "/appointment-types"
ANY = {"if-match": "*"}


async def add(api, kind: str = "room", name: str = "Room 1", **more: Any) -> dict[str, Any]:
    body = {"kind": kind, "name": name, **more}
    answer = await api.send("POST", RESOURCES, body, who="admin")
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def add_type(api, *needs: str, minutes: int = 30, **more: Any) -> Any:
    body = {"name": "Scan", "visibleMin": minutes, "needs": needs, "default": True, **more}
    return await api.send("POST", TYPES, body, who="admin")


async def book(api, slot: int = 0, *, who: str = "patient", colleague: bool = False) -> Any:
    slots = api.world.colleague_slots if colleague else api.world.slots
    return await api.send("POST", "/appointments", {"slotId": str(slots[slot].id)}, who=who)


async def change(api, path: str, who: str = "admin", **members: Any) -> Any:
    return await api.send("PATCH", path, members, who=who, headers=ANY)


def times(api, first: int, last: int) -> dict[str, str]:
    """Return the time of these slots, as a closure has it."""
    slots = api.world.slots
    return {
        "from": slots[first].starts_at.isoformat().replace("+00:00", "Z"),
        "to": slots[last].ends_at.isoformat().replace("+00:00", "Z"),
    }


async def events(api) -> list[tuple[str, Any, str]]:
    await api.services.audit.flush()
    found = (await api.send("GET", "/audit?limit=100", who="admin")).json()["items"]
    return [
        (one["action"], one["detail"], one["reason"])
        for one in found
        if one["entity"] == "resource"
    ]


async def test_added_resource_is_read_as_it_was_sent(api) -> None:
    sent = {"kind": "ultrasound room", "name": "Room 2", "capacity": 4, "locationId": None}
    answer = await api.send("POST", RESOURCES, sent, who="admin")

    added = answer.json()
    assert (answer.status_code, added) == (201, {"id": added["id"], **sent, "active": True})
    path = answer.headers["location"]
    assert path == f"{RESOURCES}/{added['id']}"
    read = await api.send("GET", path, who="doctor")
    assert (read.json(), read.headers["etag"]) == (added, answer.headers["etag"])
    other = await add(api, "chair", "Chair 1")
    listed = (await api.send("GET", RESOURCES, who="receptionist")).json()["items"]
    assert listed == [added, other]
    of_kind = await api.send("GET", f"{RESOURCES}?kind=Ultrasound%20ROOM", who="doctor")
    assert of_kind.json()["items"] == [added]


async def test_kind_is_spelled_as_the_first_of_its_kind(api) -> None:
    first = await add(api, "Ultrasound room")
    second = await add(api, "ULTRASOUND  ROOM", "Room 2")
    kind = (await add_type(api, "ultrasound room")).json()

    assert first["kind"] == second["kind"] == "Ultrasound room"
    assert kind["needs"] == ["Ultrasound room"]


async def test_change_needs_the_version_that_was_read_and_is_audited(api) -> None:
    added = await add(api)
    path = f"{RESOURCES}/{added['id']}"
    tag = (await api.send("GET", path, who="admin")).headers["etag"]

    stale = {"if-match": '"x"'}
    refused = await api.send("PATCH", path, {"name": "X"}, who="admin", headers=stale)
    members = {"name": "Room 7", "capacity": 3, "active": False, "reason": "Moved"}
    changed = await api.send("PATCH", path, members, who="admin", headers={"if-match": tag})
    again = await change(api, path, name="Room 7")

    assert refused.json()["code"] == "version_mismatch"
    want = {**added, "name": "Room 7", "capacity": 3, "active": False}
    assert (changed.status_code, changed.json()) == (200, want)
    assert again.json() == {**want, "note": "The resource is the same as before."}
    assert (await api.send("GET", path, who="admin")).headers["etag"] == changed.headers["etag"]
    fields = {"fields": ["name", "capacity", "active"]}
    assert ("change_resource", fields, "Moved") in await events(api)


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"kind": " ", "name": "Room"}, "/kind"),
        ({"kind": "room", "name": "x" * 81}, "/name"),
        ({"kind": "room", "name": "Room", "capacity": 0}, "/capacity"),
        ({"kind": "room", "name": "Room", "capacity": 101}, "/capacity"),
    ],
)
async def test_resource_that_is_not_valid(api, members, pointer) -> None:
    answer = await api.send("POST", RESOURCES, members, who="admin")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_type_needs_kinds_that_the_clinic_has(api) -> None:
    room = await add(api)

    unknown = await add_type(api, "room", "scanner")
    twice = await add_type(api, "room", "ROOM")
    kind = (await add_type(api, "room")).json()
    path = f"{TYPES}/{kind['id']}"
    await change(api, f"{RESOURCES}/{room['id']}", active=False)
    inactive = await change(api, path, needs=["room", "Room 9"])
    off = await change(api, path, active=False)
    on = await change(api, path, active=True)
    without = await change(api, path, active=True, needs=[])

    problem = unknown.json()
    assert (unknown.status_code, problem["code"]) == (400, "no_such_resource")
    assert (problem["kind"], problem["errors"][0]["pointer"]) == ("scanner", "/needs/1")
    assert twice.json()["errors"][0]["pointer"] == "/needs/1"
    assert inactive.json()["code"] == on.json()["code"] == "no_such_resource"
    assert (off.status_code, without.status_code, without.json()["needs"]) == (200, 200, [])


async def test_appointment_names_its_room_in_every_answer(api) -> None:
    room = await add(api)
    await add_type(api, "room")
    key = "a-key-of-this-one-test"
    sent = {"slotId": str(api.world.slots[0].id)}

    first, again = [await api.send("POST", "/appointments", sent, key=key) for _ in "12"]

    booked = first.json()
    assert (first.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert booked["resources"] == [{"id": room["id"], "name": "Room 1", "kind": "room"}]
    assert (await api.send("GET", f"/appointments/{booked['id']}")).json() == booked
    assert (await api.send("GET", "/appointments")).json()["items"] == [booked]
    gone = await change(api, f"/appointments/{booked['id']}", who="patient", status="CANCELLED")
    assert gone.json()["resources"] == []
    assert (await book(api, colleague=True, who="other")).status_code == 201


async def test_start_without_a_free_room_is_not_offered_and_refused(api) -> None:
    await add(api)
    kind = (await add_type(api, "room", afterMin=30)).json()
    await book(api, 1)
    before = await api.everything()

    refused = await book(api, 1, who="other", colleague=True)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "no_resource_free")
    assert problem["kind"] == "room"
    near = [UUID(each["id"]) for each in problem["nearest"]]
    assert near == [slot.id for slot in api.world.colleague_slots[3:]]
    assert await api.everything() == before
    listed = (await api.send("GET", f"/slots?type={kind['name']}")).json()["items"]
    offered = {UUID(each["id"]) for each in listed}
    assert offered == {
        slot.id for slots in (api.world.slots, api.world.colleague_slots) for slot in slots[3:]
    }
    assert (await book(api, 3, who="other", colleague=True)).status_code == 201


async def test_move_to_where_no_room_is_free(api) -> None:
    await add(api)
    await add_type(api, "room")
    mine = (await book(api, 0)).json()
    await book(api, 2, who="other", colleague=True)

    path = f"/appointments/{mine['id']}"
    refused = await change(api, path, who="patient", slotId=str(api.world.slots[2].id))
    moved = await change(api, path, who="patient", slotId=str(api.world.slots[1].id))

    assert refused.json()["code"] == "no_resource_free"
    assert refused.json()["nearest"]
    assert (moved.status_code, moved.json()["resources"]) == (200, mine["resources"])


async def test_swap_names_the_kind_that_is_missing(api) -> None:
    """Each needs the only room; at the other's place, a third one has it."""
    await add(api)
    await add_type(api, "room", minutes=20)
    plain = await api.send("POST", TYPES, {"name": "Talk", "visibleMin": 20}, who="admin")
    mine = (await book(api, 0)).json()
    sent = {"slotId": str(api.world.slots[2].id), "typeId": plain.json()["id"]}
    theirs = (await api.send("POST", "/appointments", sent, who="other")).json()
    await book(api, 2, who="third", colleague=True)

    ids = {"appointmentIds": [mine["id"], theirs["id"]]}
    refused = await api.send("POST", "/swaps", ids, who="receptionist")

    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["kind"]) == (409, "not_swappable", "room")
    scope = Scope(api.world.clinic.id)
    for each in (mine, theirs):
        view = await api.services.store.appointments.get(scope, UUID(each["id"]))
        assert str(view.appointment.slot_id) == each["slotId"]


async def test_closed_room_is_reported_kept_and_given_to_nobody(api) -> None:
    room = await add(api)
    await add_type(api, "room")
    early, late = (await book(api, 0)).json(), (await book(api, 3)).json()
    path = f"{RESOURCES}/{room['id']}/closures"
    sent = {**times(api, 0, 1), "reason": "Repair"}

    closed = await api.send("POST", path, sent, who="admin")
    again = await api.send("POST", path, {**times(api, 1, 1), "reason": "X"}, who="admin")

    answer = closed.json()
    assert closed.status_code == 201, closed.text
    assert answer == {
        "id": answer["id"],
        "resourceId": room["id"],
        **sent,
        "stranded": [early],
    }
    assert (again.json()["code"], again.json()["closureId"]) == ("already_entered", answer["id"])
    listed = await api.send("GET", path, who="doctor")
    entered = {name: value for name, value in answer.items() if name != "stranded"}
    assert listed.json()["items"] == [entered]
    refused = await book(api, 1, who="other")
    assert refused.json()["code"] == "no_resource_free"
    read = await api.send("GET", f"/appointments/{early['id']}")
    assert read.json()["resources"] == late["resources"]

    gone = await api.send("DELETE", f"{path}/{answer['id']}", who="admin")
    assert (gone.status_code, gone.json()) == (200, entered)
    assert (await book(api, 1, who="other")).status_code == 201
    assert [one[0] for one in await events(api)] == [
        "reopen_resource",
        "close_resource",
        "add_resource",
    ]


async def test_room_set_inactive_names_the_appointments_ahead(api) -> None:
    room = await add(api)
    await add_type(api, "room")
    booked = (await book(api, 0)).json()

    changed = await change(api, f"{RESOURCES}/{room['id']}", active=False)

    assert changed.json() == {**room, "active": False, "stranded": [booked]}
    assert (await book(api, 1, who="other")).json()["code"] == "no_resource_free"


@pytest.mark.parametrize("times_of", [{"from": 1, "to": 0}, None])
async def test_closure_that_is_not_valid(api, times_of) -> None:
    room = await add(api)
    path = f"{RESOURCES}/{room['id']}/closures"
    slots = api.world.slots
    body = {"from": slots[1].starts_at.isoformat(), "to": slots[0].starts_at.isoformat()}
    code = "end_before_start"
    if times_of is None:
        body = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
        code = "time_in_past"

    refused = await api.send("POST", path, body, who="admin")

    assert (refused.status_code, refused.json()["code"]) == (400, code)

"""An explicit null in a PATCH clears optional members, and is refused everywhere else."""

from typing import get_args

import msgspec
import pytest
from msgspec import Struct

from clinic.entrypoints.http.app import ENDPOINTS

PATCHES = [one for one in ENDPOINTS if one.method == "PATCH"]
#: members that null clears; all others refuse it
CLEARED = {
    ("/users/me", "/phone"),
    ("/clinics/current", "/address"),
    ("/clinics/current", "/phone"),
    ("/clinics/current", "/policy/maxOpenPerDoctor"),
    ("/clinics/current", "/policy/maxBookingsPerDay"),
    ("/availabilities/{availability_id}", "/validFrom"),
    ("/availabilities/{availability_id}", "/validUntil"),
    ("/availabilities/{availability_id}", "/locationId"),
    ("/leaves/{leave_id}", "/startTime"),
    ("/leaves/{leave_id}", "/endTime"),
    ("/closures/{closure_id}", "/startTime"),
    ("/closures/{closure_id}", "/endTime"),
    ("/doctors/{doctor_id}", "/lastDay"),
    ("/locations/{location_id}", "/address"),
    ("/locations/{location_id}", "/directions"),
    ("/locations/{location_id}", "/phone"),
    ("/locations/{location_id}", "/country"),
    ("/locations/{location_id}", "/subdivision"),
    ("/resources/{resource_id}", "/locationId"),
    ("/appointment-types/{type_id}", "/noticeMin"),
    ("/appointment-types/{type_id}", "/horizonDays"),
    ("/appointment-types/{type_id}", "/offeredBy"),
    ("/appointment-types/{type_id}", "/instructions"),
    ("/appointment-types/{type_id}", "/color"),
}
#: a valid body of each
RIGHT = {
    "/appointments/{appointment_id}": {"status": "CONFIRMED"},
    "/slots/{slot_id}": {"status": "BLOCKED"},
    "/doctors/{doctor_id}/slots": {
        "from": "2026-11-24T09:00:00Z",
        "to": "2026-11-24T10:00:00Z",
        "status": "BLOCKED",
    },
    "/users/{user_id}": {"disabled": True},
    "/leaves/{leave_id}": {"until": "2027-03-05"},
    "/closures/{closure_id}": {"until": "2027-04-05"},
}


def members(kind, at=""):
    """Yield a pointer to every member of a body, at any depth."""
    for field in msgspec.structs.fields(kind):
        yield f"{at}/{field.encode_name}"
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and issubclass(part, Struct):
                yield from members(part, f"{at}/{field.encode_name}")


def with_null(body, pointer):
    first, *rest = pointer.removeprefix("/").split("/", 1)
    return {**body, first: with_null(body.get(first, {}), rest[0]) if rest else None}


CASES = [(one.path, pointer) for one in PATCHES for pointer in members(one.body)]


async def _world(api):
    """Set every member that null could clear; return the ids in paths."""
    branch = {
        "name": "Harbour branch",
        "address": "1 Quay Street",
        "directions": "Ring twice.",
        "phone": "+44 117 496 0000",
        "country": "DE",
        "subdivision": "BE",
    }
    branch = (await api.send("POST", "/locations", branch, who="admin")).json()
    hours = {
        "locationId": branch["id"],
        "doctorId": str(api.world.colleague.id),
        "weekdays": ["sat"],
        "startTime": "14:00",
        "endTime": "16:00",
        "slotMinutes": 30,
        "validFrom": "2026-12-01",
        "validUntil": "2026-12-31",
    }
    availability = (await api.send("POST", "/availabilities", hours, who="admin")).json()
    await api.send("PATCH", "/users/me", {"phone": "+44 20 7946 0018"}, who="admin")
    contact: dict[str, object] = {"address": "1 Quay Road", "phone": "+44 20 7946 0018"}
    match = {"if-match": "*"}
    limits = {"policy": {"maxOpenPerDoctor": 5, "maxBookingsPerDay": 5}}
    clinic = {**contact, **limits}
    await api.send("PATCH", "/clinics/current", clinic, who="admin", headers=match)
    times = {"startTime": "12:00", "endTime": "15:00"}
    away = {"doctorId": str(api.world.doctor.id), "from": "2027-03-01", **times}
    leave = (await api.send("POST", "/leaves", away, who="admin")).json()
    closed = {"name": "Outing", "from": "2027-04-01", **times}
    closure = (await api.send("POST", "/closures", closed, who="admin")).json()
    kind = {
        "name": "Check-up",
        "visibleMin": 20,
        "noticeMin": 30,
        "horizonDays": 7,
        "offeredBy": [{"doctorId": str(api.world.doctor.id)}],
        "instructions": "Bring your card.",
        "color": "#2f6fde",
        "default": True,
    }
    kind = (await api.send("POST", "/appointment-types", kind, who="admin")).json()
    room = {"kind": "room", "name": "Room 1", "locationId": branch["id"]}
    room = (await api.send("POST", "/resources", room, who="admin")).json()
    last = {"lastDay": "2027-12-31"}
    await api.send("PATCH", f"/doctors/{api.world.doctor.id}", last, who="admin")
    return {
        "leave_id": leave["id"],
        "closure_id": closure["id"],
        "type_id": kind["id"],
        "resource_id": room["id"],
        "location_id": branch["id"],
        "appointment_id": (await api.book(4))["id"],
        "slot_id": str(api.world.slots[0].id),
        "doctor_id": str(api.world.doctor.id),
        "user_id": str(api.world.patients[2].id),
        "availability_id": availability["id"],
    }


async def _read(api):
    me = (await api.send("GET", "/users/me", who="admin")).json()
    users = (await api.send("GET", "/users", who="admin")).json()
    return [me, users, *await api.everything()]


def test_every_change_is_walked():
    assert len(PATCHES) >= 7
    assert len(CASES) >= 30
    assert {*CASES} >= CLEARED


@pytest.mark.parametrize(("path", "pointer"), CASES)
async def test_null_clears_or_is_refused_and_is_never_ignored(api, path, pointer):
    ids = await _world(api)
    before = await _read(api)
    body = with_null(RIGHT.get(path, {}), pointer)

    answer = await api.send(
        "PATCH", path.format(**ids), body, who="admin", headers={"if-match": "*"}
    )

    after = await _read(api)
    if (path, pointer) in CLEARED:
        assert answer.status_code == 200, answer.text
        found = answer.json()
        for member in pointer.removeprefix("/").split("/"):
            found = found[member]
        assert found is None
        assert after != before
    else:
        assert answer.status_code == 400, answer.text
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
        assert after == before


async def test_null_takes_the_end_of_hours_away_and_their_slots_follow(api):
    ids = await _world(api)
    path = f"/availabilities/{ids['availability_id']}"

    kept = await api.send("PATCH", path, {"endTime": "15:00"}, who="admin")
    answer = await api.send("PATCH", path, {"validUntil": None}, who="admin")

    assert kept.json()["validUntil"] == "2026-12-31"
    assert answer.json()["validUntil"] is None
    assert answer.json()["slotsOpened"]["added"] > 0


async def test_null_and_left_out_are_two_requests_of_one_key(api):
    ids = await _world(api)
    path, key = f"/availabilities/{ids['availability_id']}", "k" * 20
    first = await api.send("PATCH", path, {"endTime": "15:00"}, who="admin", key=key)

    other = await api.send(
        "PATCH", path, {"endTime": "15:00", "validUntil": None}, who="admin", key=key
    )

    assert (first.status_code, other.json()["code"]) == (200, "idempotency_key_reused")


async def test_a_phone_number_that_is_null_is_removed(api):
    await _world(api)

    answer = await api.send("PATCH", "/users/me", {"phone": None}, who="admin")

    stored = await api.services.store.people.user(api.admin.id)
    assert (answer.json()["phone"], stored.phone) == (None, None)

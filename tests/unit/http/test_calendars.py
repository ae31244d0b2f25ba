"""Slots, hours and exceptions over HTTP."""

import pytest

MONDAYS = {"weekdays": ["mon", "wed"], "startTime": "14:00", "endTime": "16:00", "slotMinutes": 30}


def hours(api, **more):
    return {"doctorId": str(api.world.doctor.id), **MONDAYS, **more}


async def test_the_open_slots_are_those_that_may_be_booked_now(api):
    await api.book(0)
    blocked = {"status": "BLOCKED", "reason": "Training"}
    await api.send("PATCH", f"/slots/{api.world.slots[1].id}", blocked, who="doctor")

    answer = await api.send("GET", f"/slots?doctor={api.world.doctor.id}", who="other")

    found = answer.json()["items"]
    assert [slot["id"] for slot in found] == [str(slot.id) for slot in api.world.slots[2:]]
    assert found[0] == {
        "id": str(api.world.slots[2].id),
        "doctorId": str(api.world.doctor.id),
        "doctorName": "Dr Grace Hill",
        "specialty": "General",
        "startsAt": "2026-11-24T10:00:00Z",
        "endsAt": "2026-11-24T10:30:00Z",
        "date": "2026-11-24",
        "time": "10:00",
        "duration": 30,
        "status": "OPEN",
        "taken": False,
        "locationId": None,
        "places": 1,
    }


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("", None),
        (" ", None),
        ("Fire  drill", "Fire drill"),
        ("word " * 100, "word " * 39 + "word…"),
        ("x" * 500, "…"),
    ],
    ids=["empty", "blank", "short", "long", "without-spaces"],
)
async def test_block_keeps_what_fits_of_the_reason(api, reason, kept):
    body = {"status": "BLOCKED", "reason": reason}

    answer = await api.send("PATCH", f"/slots/{api.world.slots[1].id}", body, who="doctor")

    assert answer.status_code == 200
    blocks = (await api.send("GET", "/blocks", who="doctor")).json()["items"]
    assert [block.get("reason") for block in blocks] == [kept]


async def test_staff_see_blocked_slots_and_all_of_them(api):
    await api.book(0)
    await api.send("PATCH", f"/slots/{api.world.slots[1].id}", {"status": "BLOCKED"}, who="doctor")
    path = f"/doctors/{api.world.doctor.id}/slots"

    every = (await api.send("GET", f"{path}?status=all", who="doctor")).json()["items"]
    blocked = (await api.send("GET", f"{path}?status=blocked", who="doctor")).json()["items"]
    free = (await api.send("GET", path)).json()["items"]

    assert [(slot["status"], slot["taken"]) for slot in every[:3]] == [
        ("OPEN", True),
        ("BLOCKED", False),
        ("OPEN", False),
    ]
    assert [slot["id"] for slot in blocked] == [str(api.world.slots[1].id)]
    assert [slot["id"] for slot in free] == [str(slot.id) for slot in api.world.slots[2:]]


async def test_a_plus_that_was_not_encoded_is_read_as_one(api):
    plain = await api.send("GET", "/slots?from=2026-11-24T11:00:00+01:00")
    encoded = await api.send("GET", "/slots?from=2026-11-24T11:00:00%2B01:00")

    assert plain.status_code == 200
    assert plain.json()["items"] == encoded.json()["items"] != []


async def test_a_slot_says_that_it_is_taken_but_not_by_whom(api):
    booked = await api.book()

    answer = await api.send("GET", f"/slots/{booked['slotId']}", who="other")

    assert answer.json()["taken"] is True
    assert str(api.world.patients[0].id) not in answer.text
    assert "Patient" not in answer.text


async def test_blocking_a_stretch_names_the_slots_and_the_appointments_it_hits(api):
    booked = await api.book(1)

    answer = await api.send(
        "PATCH",
        f"/doctors/{api.world.doctor.id}/slots",
        {
            "from": "2026-11-24T09:15:00Z",
            "to": "2026-11-24T10:00:00Z",
            "status": "BLOCKED",
            "reason": "Training",
        },
        who="doctor",
    )

    changed = answer.json()
    assert answer.status_code == 200
    assert [slot["id"] for slot in changed["slots"]] == [
        str(slot.id) for slot in api.world.slots[:2]
    ]
    assert {slot["status"] for slot in changed["slots"]} == {"BLOCKED"}
    assert [slot["doctorName"] for slot in changed["slots"]] == ["Dr Grace Hill"] * 2
    assert changed["appointments"] == [booked]


async def test_a_slot_is_blocked_and_opened_again(api):
    path = f"/slots/{api.world.slots[0].id}"

    blocked = await api.send("PATCH", path, {"status": "BLOCKED"}, who="receptionist")
    again = await api.send("PATCH", path, {"status": "BLOCKED"}, who="receptionist")
    opened = await api.send("PATCH", path, {"status": "OPEN"}, who="receptionist")

    assert [slot["status"] for slot in blocked.json()["slots"]] == ["BLOCKED"]
    note = "The slots of this time are the same as before."
    assert again.json() == {"slots": [], "appointments": [], "note": note}
    assert [slot["status"] for slot in opened.json()["slots"]] == ["OPEN"]


async def test_new_hours_open_their_slots(api):
    answer = await api.send("POST", "/availabilities", hours(api, reason="New"), who="doctor")

    added = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/availabilities/{added['id']}"
    report = added.pop("slotsOpened")
    assert added == {
        "id": added["id"],
        "doctorId": str(api.world.doctor.id),
        "startTime": "14:00",
        "endTime": "16:00",
        "slotMinutes": 30,
        "weekdays": ["mon", "wed"],
        "date": None,
        "validFrom": None,
        "validUntil": None,
        "overnight": False,
        "locationId": None,
        "capacity": 1,
    }
    assert report["added"] > 90
    assert (report["retired"], report["stranded"]) == (0, [])
    read = await api.send("GET", f"/availabilities/{added['id']}", who="doctor")
    listed = await api.send("GET", "/availabilities", who="receptionist")
    others = await api.send("GET", "/availabilities", who="colleague")
    assert read.json() == added
    assert added in listed.json()["items"]
    assert {one["doctorId"] for one in others.json()["items"]} == {str(api.world.colleague.id)}


async def test_hours_on_one_date_are_opened(api):
    body = hours(api, date="2026-12-01")
    del body["weekdays"]

    answer = await api.send("POST", "/availabilities", body, who="receptionist")

    assert answer.status_code == 201
    assert (answer.json()["date"], answer.json()["weekdays"]) == ("2026-12-01", None)
    assert answer.json()["slotsOpened"]["added"] == 4


async def test_changed_and_deleted_hours_report_who_is_stranded(api):
    added = (await api.send("POST", "/availabilities", hours(api), who="doctor")).json()
    path = f"/availabilities/{added['id']}"
    slots = (await api.send("GET", f"/slots?doctor={api.world.doctor.id}")).json()["items"]
    first, last = slots[0], slots[3]
    for slot, who in ((first, "patient"), (last, "other")):
        booked = await api.send("POST", "/appointments", {"slotId": slot["id"]}, who=who)
        assert booked.status_code == 201

    changed = await api.send("PATCH", path, {"endTime": "15:00", "reason": "Shorter"}, who="doctor")
    deleted = await api.send("DELETE", f"{path}?reason=Leaving", who="doctor")
    gone = await api.send("GET", path, who="doctor")

    stranded = [one["slotId"] for one in changed.json()["slotsOpened"]["stranded"]]
    assert (changed.status_code, changed.json()["endTime"]) == (200, "15:00")
    assert stranded == [last["id"]]
    assert (deleted.status_code, deleted.json()["id"]) == (200, added["id"])
    both = [one["slotId"] for one in deleted.json()["slotsOpened"]["stranded"]]
    assert both == [first["id"], last["id"]]
    assert gone.status_code == 404


async def test_overlapping_hours_are_refused(api):
    await api.send("POST", "/availabilities", hours(api), who="doctor")

    answer = await api.send(
        "POST", "/availabilities", hours(api, startTime="15:30", endTime="17:00"), who="doctor"
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "availability_overlap")


async def test_a_day_off_removes_its_slots_until_it_is_taken_back(api):
    await api.send("POST", "/availabilities", hours(api), who="doctor")
    day_off = {"doctorId": str(api.world.doctor.id), "date": "2026-11-30", "kind": "remove"}

    added = await api.send("POST", "/availability-exceptions", day_off, who="doctor")
    path = added.headers["location"]
    read = await api.send("GET", path, who="doctor")
    listed = await api.send("GET", "/availability-exceptions", who="doctor")
    taken_back = await api.send("DELETE", path, who="doctor")

    exception = added.json()
    assert added.status_code == 201
    nothing = {"added": 0, "blocked": 0, "unblocked": 0, "stranded": []}
    assert exception.pop("slotsOpened") == {**nothing, "retired": 4}
    assert exception == {
        "id": exception["id"],
        "doctorId": str(api.world.doctor.id),
        "date": "2026-11-30",
        "kind": "remove",
        "startTime": None,
        "endTime": None,
        "slotMinutes": None,
        "overnight": False,
        "locationId": None,
        "capacity": 1,
    }
    assert read.json() == exception
    assert listed.json()["items"] == [exception]
    assert taken_back.json()["slotsOpened"]["added"] == 4
    assert (await api.send("GET", "/availability-exceptions", who="doctor")).json()["items"] == []


async def test_added_hours_of_one_day_are_opened(api):
    answer = await api.send(
        "POST",
        "/availability-exceptions",
        {
            "doctorId": str(api.world.colleague.id),
            "date": "2026-12-05",
            "kind": "add",
            "startTime": "10:00",
            "endTime": "11:00",
            "slotMinutes": 20,
        },
        who="colleague",
    )

    assert answer.status_code == 201
    assert answer.json()["slotsOpened"]["added"] == 3


async def test_opening_twice_adds_nothing(api):
    await api.send("POST", "/availabilities", hours(api), who="doctor")
    path = f"/doctors/{api.world.doctor.id}/slots"

    first = await api.send("POST", path, {"until": "2027-06-30"}, who="doctor")
    second = await api.send("POST", path, {"until": "2027-06-30"}, who="doctor")
    by_itself = await api.send("POST", path, content=b"", who="doctor")

    assert first.json()["added"] > 0
    nothing = {"added": 0, "retired": 0, "blocked": 0, "unblocked": 0, "stranded": []}
    note = "The slots of this time are the same as before."
    assert second.json() == by_itself.json() == {**nothing, "note": note}

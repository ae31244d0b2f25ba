"""Several places at a time over HTTP: hours with a capacity, and places beside the hours."""

from typing import Any
from urllib.parse import urlencode

import pytest

from clinic.testing.builders import a_type, seed_type

pytestmark = pytest.mark.anyio

DAY = "2026-12-07"
PEOPLE = ("patient", "other", "third")


@pytest.fixture
async def group(calendar):
    """The doctor of `calendar`, with three places at 09:00 and 09:30 each day."""
    await calendar.change_clinic(policy={"maxOpenAppointments": 20})
    hours = await calendar.add_hours("09:00", "10:00", 30, capacity=3)
    calendar.hours = hours["id"]
    return calendar


async def offered(group, who: str = "patient", **query: Any) -> list[dict[str, Any]]:
    """Return the slots of the day that may be booked, as they are listed for a user."""
    query = {"from": f"{DAY}T00:00:00Z", "to": f"{DAY}T23:59:59Z", **query}
    path = f"/doctors/{group.doctor}/slots?{urlencode(query)}"
    found: list[dict[str, Any]] = (await group.send("GET", path, who=who))["items"]
    return found


async def lanes(group) -> list[tuple[str, int, str, bool]]:
    """Return what the office sees of the day, by time and lane."""
    return sorted(
        (slot["time"], slot["lane"], slot["status"], slot["taken"])
        for slot in await group.slots(DAY)
    )


async def book(group, slot_id: str, who: str, **more: Any) -> Any:
    return await group.api.send("POST", "/appointments", {"slotId": slot_id, **more}, who=who)


async def test_group_is_listed_once_for_each_start_and_booked_until_it_is_full(group) -> None:
    first, second = await offered(group)
    assert [(each["time"], each["places"]) for each in (first, second)] == [
        ("09:00", 3),
        ("09:30", 3),
    ]
    assert "lane" not in first

    booked = [await book(group, first["id"], who) for who in PEOPLE]

    assert [answer.status_code for answer in booked] == [201] * 3
    assert len({answer.json()["slotId"] for answer in booked}) == 3
    assert {answer.json()["startsAt"] for answer in booked} == {first["startsAt"]}
    assert [(each["time"], each["places"]) for each in await offered(group)] == [("09:30", 3)]
    assert await lanes(group) == [
        *(("09:00", lane, "OPEN", True) for lane in (1, 2, 3)),
        *(("09:30", lane, "OPEN", False) for lane in (1, 2, 3)),
    ]
    await group.send(
        "PATCH",
        f"/appointments/{booked[1].json()['id']}",
        {"status": "CANCELLED"},
        headers={"if-match": "*"},
    )
    assert [each["places"] for each in await offered(group)] == [1, 3]
    assert (await book(group, first["id"], "other")).status_code == 201
    again = await book(group, first["id"], "patient")
    assert (again.status_code, again.json()["code"]) == (409, "slot_taken")
    nearest = again.json()["nearest"]
    assert len({(each["date"], each["time"]) for each in nearest}) == len(nearest) == 3


async def test_pages_of_one_item_hold_each_start_once(group) -> None:
    for who in PEOPLE[:2]:
        await book(group, (await offered(group))[0]["id"], who)
    path: str | None = f"/doctors/{group.doctor}/slots?limit=1&to={DAY}T12:00:00Z"
    seen, back = [], None
    while path:
        page = await group.api.send("GET", path)
        seen += [(each["startsAt"], each["places"]) for each in page.json()["items"]]
        path, back = page.links.get("next", {}).get("url"), page.links.get("prev", {}).get("url")
    there = [*seen]
    while back:
        page = await group.api.send("GET", back)
        [each] = page.json()["items"]
        there.pop()
        assert (each["startsAt"], each["places"]) == there[-1]
        back = page.links.get("prev", {}).get("url")

    assert len(there) == 1
    assert len({start for start, _ in seen}) == len(seen) > 10
    assert [places for start, places in seen if start.startswith(DAY)] == [1, 3]


async def test_lower_capacity_strands_those_for_whom_there_is_no_place(group) -> None:
    start = (await offered(group))[0]["id"]
    booked = [(await book(group, start, who)).json() for who in PEOPLE]
    by_lane = {slot["id"]: slot["lane"] for slot in await group.slots(DAY)}
    last = max(booked, key=lambda each: by_lane[each["slotId"]])
    path, lower = f"/availabilities/{group.hours}", {"capacity": 2}

    foreseen = await group.send("PATCH", f"{path}?preview=true", lower)
    changed = await group.send("PATCH", path, lower)

    for answer in (foreseen, changed):
        assert [each["id"] for each in answer["slotsOpened"]["stranded"]] == [last["id"]]
    assert changed["capacity"] == 2
    gone = await group.send("GET", f"/slots/{last['slotId']}")
    assert (gone["status"], gone["blockedBy"]) == ("BLOCKED", [{"kind": "no_hours"}])
    assert [row for row in await lanes(group) if row[0] == "09:30"] == [
        ("09:30", 1, "OPEN", False),
        ("09:30", 2, "OPEN", False),
    ]

    raised = await group.send("PATCH", path, {"capacity": 3})

    assert raised["slotsOpened"]["stranded"] == []
    assert await lanes(group) == [
        *(("09:00", lane, "OPEN", True) for lane in (1, 2, 3)),
        *(("09:30", lane, "OPEN", False) for lane in (1, 2, 3)),
    ]


async def test_lower_capacity_keeps_the_places_with_an_appointment(group) -> None:
    slots = {slot["lane"]: slot["id"] for slot in await group.slots(DAY) if slot["time"] == "09:00"}
    assert (await book(group, slots[3], "patient")).json()["slotId"] == slots[3]

    changed = await group.send("PATCH", f"/availabilities/{group.hours}", {"capacity": 1})

    assert changed["slotsOpened"]["stranded"] == []
    assert await lanes(group) == [("09:00", 3, "OPEN", True), ("09:30", 1, "OPEN", False)]
    assert [each["places"] for each in await offered(group)] == [1]


async def test_place_that_gets_free_goes_to_who_was_stranded(group) -> None:
    """Given a lower capacity, and more patients than places
    When one of those who have a place cancels
    Then another one has it, and it cannot be booked."""
    start = (await offered(group))[0]["id"]
    for who in PEOPLE:
        await book(group, start, who)
    await group.send("PATCH", f"/availabilities/{group.hours}", {"capacity": 1})
    [kept] = [slot for slot in await group.slots(DAY) if slot["time"] == "09:00"]
    mine = await group.send("GET", "/appointments?limit=200")
    [first] = [each for each in mine["items"] if each["slotId"] == kept["id"]]

    await group.cancel(first)

    assert [each["time"] for each in await offered(group)] == ["09:30"]
    assert [row[2:] for row in await lanes(group) if row[0] == "09:00"] == [("OPEN", True)]
    refused = await book(group, kept["id"], "patient")
    assert refused.status_code in (404, 409)


async def test_move_to_a_slot_that_is_taken_takes_another_place(group) -> None:
    early, late = (each["id"] for each in await offered(group))
    one = (await book(group, early, "patient")).json()
    two = (await book(group, late, "other")).json()

    moved = await group.send(
        "PATCH", f"/appointments/{one['id']}", {"slotId": late}, headers={"if-match": "*"}
    )

    assert (moved["time"], moved["slotId"] != two["slotId"]) == ("09:30", True)
    assert [each["places"] for each in await offered(group)] == [3, 1]


async def test_block_of_one_slot_blocks_its_lane_and_opening_it_opens_that_lane(group) -> None:
    slots = {slot["lane"]: slot["id"] for slot in await group.slots(DAY) if slot["time"] == "09:00"}

    await group.send("PATCH", f"/slots/{slots[2]}", {"status": "BLOCKED"})

    assert [each["places"] for each in await offered(group)] == [2, 3]
    refused = await book(group, slots[2], "patient")
    assert (refused.status_code, refused.json()["code"]) == (409, "slot_blocked")
    assert (await book(group, slots[1], "patient")).status_code == 201

    times = {"from": f"{DAY}T09:00:00Z", "to": f"{DAY}T09:30:00Z"}
    await group.add("/blocks", **times)
    opened = await group.send("PATCH", f"/slots/{slots[3]}", {"status": "OPEN"})

    assert [slot["id"] for slot in opened["slots"]] == [slots[3]]
    assert [row[2] for row in await lanes(group)][:3] == ["BLOCKED", "BLOCKED", "OPEN"]


async def test_long_type_takes_slots_of_one_lane_and_is_offered_where_it_fits_in_one(group) -> None:
    kind = a_type(group.api.world.clinic, "Double", 60)
    await seed_type(group.api.services.store, kind)
    by_place = {(slot["time"], slot["lane"]): slot["id"] for slot in await group.slots(DAY)}
    short = a_type(group.api.world.clinic, "Single", 30)
    await seed_type(group.api.services.store, short)
    await book(group, by_place["09:30", 1], "patient", type="Single")
    assert [(e["time"], e["places"]) for e in await offered(group, type="Double")] == [("09:00", 2)]

    booked = await book(group, by_place["09:00", 1], "other", type="Double")

    assert booked.status_code == 201, booked.text
    lane = next(place[1] for place, id in by_place.items() if id == booked.json()["slotId"])
    assert lane in (2, 3)
    assert [row[:2] for row in await lanes(group) if row[3]] == sorted(
        [("09:00", lane), ("09:30", 1), ("09:30", lane)]
    )


@pytest.mark.parametrize("capacity", [0, 21])
async def test_capacity_out_of_range(calendar, capacity) -> None:
    body = {"doctorId": calendar.doctor, "startTime": "09:00", "endTime": "10:00"}
    hours = {**body, "slotMinutes": 30, "capacity": capacity}
    for path, more in (
        ("/availabilities", {"weekdays": ["mon"]}),
        ("/availability-exceptions", {"date": DAY, "kind": "add"}),
    ):
        refused = await calendar.send("POST", path, {**hours, **more}, status=400)

        assert refused["code"] == "invalid_input"
        assert [each["pointer"] for each in refused["errors"]] == ["/capacity"]
        assert "1 to 20" in refused["errors"][0]["detail"]


async def test_lane_out_of_range(group) -> None:
    times = {"from": f"{DAY}T09:00:00Z", "to": f"{DAY}T09:30:00Z"}
    body = {"doctorId": group.doctor, **times, "lane": 65}

    refused = await group.send("POST", "/blocks", body, status=400)

    assert [each["pointer"] for each in refused["errors"]] == ["/lane"]


async def test_patient_is_squeezed_in_beside_the_hours_as_far_as_the_clinic_allows(
    calendar,
) -> None:
    await calendar.add_hours("09:00", "10:00", 30)
    await calendar.book(DAY, "09:00")
    place = {"doctorId": calendar.doctor, "from": f"{DAY}T09:10:00Z", "to": f"{DAY}T09:25:00Z"}
    refused = await calendar.send("POST", "/added-places", place, status=409)
    assert refused["code"] == "slot_overlap"
    await calendar.change_clinic(policy={"squeezeMax": 1})

    added = await calendar.send("POST", "/added-places", place, status=201)

    assert (added["lane"], added["slotsOpened"]["added"]) == (21, 1)
    assert await lanes(calendar) == [
        ("09:00", 1, "OPEN", True),
        ("09:10", 21, "OPEN", False),
        ("09:30", 1, "OPEN", False),
    ]
    booked = await calendar.book(DAY, "09:10", "other")
    assert booked["duration"] == 15
    full = await calendar.send("POST", "/added-places", place, status=409)
    assert (full["code"], "as many as" in full["detail"]) == ("slot_overlap", True)
    taken_back = await calendar.send("DELETE", f"/added-places/{added['id']}")
    assert [each["id"] for each in taken_back["slotsOpened"]["stranded"]] == [booked["id"]]

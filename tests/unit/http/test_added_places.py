"""Slots beside a doctor's hours, over HTTP."""

import pytest

BEFORE_HOURS = {"from": "2026-11-24T08:00:00Z", "to": "2026-11-24T08:20:00Z"}


def a_place(api, **more):
    return {"doctorId": str(api.world.doctor.id), **BEFORE_HOURS, **more}


async def slots_of(api, day="2026-11-24"):
    days = f"from={day}T00:00:00Z&to={day}T23:00:00Z"
    path = f"/doctors/{api.world.doctor.id}/slots?status=all&{days}"
    found = (await api.send("GET", path, who="admin")).json()["items"]
    return [(one["startsAt"], one["endsAt"], one["status"], one["taken"]) for one in found]


async def test_added_place_can_be_booked_and_taken_back(api):
    before = await slots_of(api)

    added = await api.send("POST", "/added-places", a_place(api), who="doctor")

    assert added.status_code == 201, added.text
    place = added.json()
    assert place["slotsOpened"]["added"] == 1
    assert added.headers["location"] == f"/added-places/{place['id']}"
    new = ("2026-11-24T08:00:00Z", "2026-11-24T08:20:00Z", "OPEN", False)
    assert await slots_of(api) == [new, *before]

    path = f"/slots?doctor={api.world.doctor.id}"
    [slot, *_] = (await api.send("GET", path)).json()["items"]
    booked = await api.send("POST", "/appointments", {"slotId": slot["id"]})
    assert booked.status_code == 201, booked.text

    taken_back = await api.send("DELETE", f"/added-places/{place['id']}", who="doctor")

    opened = taken_back.json()["slotsOpened"]
    assert (opened["retired"], [one["id"] for one in opened["stranded"]]) == (
        1,
        [booked.json()["id"]],
    )
    assert (await api.send("GET", "/added-places", who="doctor")).json()["items"] == []


async def test_preview_of_an_added_place_writes_nothing(api):
    before = await api.everything()

    answer = await api.send("POST", "/added-places?preview=true", a_place(api), who="doctor")

    assert answer.status_code == 200, answer.text
    assert answer.json()["slotsOpened"]["added"] == 1
    assert await api.everything() == before


async def test_hours_that_cover_a_place_replace_it_and_it_comes_back_with_its_slot(api):
    await api.send("POST", "/added-places", a_place(api), who="doctor")
    [slot, *_] = (await api.send("GET", f"/slots?doctor={api.world.doctor.id}")).json()["items"]
    early = {"date": "2026-11-24", "startTime": "07:30", "endTime": "08:30", "slotMinutes": 30}
    hours = {"doctorId": str(api.world.doctor.id), **early}

    entered = (await api.send("POST", "/availabilities", hours, who="doctor")).json()

    assert (entered["slotsOpened"]["added"], entered["slotsOpened"]["retired"]) == (2, 1)
    await api.send("DELETE", f"/availabilities/{entered['id']}", who="doctor")
    [again, *_] = (await api.send("GET", f"/slots?doctor={api.world.doctor.id}")).json()["items"]
    assert again["id"] == slot["id"]


async def test_closed_place_is_blocked_until_it_is_open_again(api):
    await api.send("POST", "/added-places", a_place(api), who="doctor")
    closure = {"name": "Outing", "from": "2026-11-24"}
    closed = (await api.send("POST", "/closures", closure, who="admin")).json()
    assert (await slots_of(api))[0][2] == "BLOCKED"

    await api.send("DELETE", f"/closures/{closed['id']}", who="admin")

    assert (await slots_of(api))[0][2] == "OPEN"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"from": "2026-11-24T08:10:30Z"}, 400, "invalid_input"),
        ({"to": "2026-11-24T08:03:00Z"}, 400, "invalid_input"),
        ({"to": "2026-11-24T17:00:00Z"}, 400, "invalid_input"),
        ({"to": "2026-11-24T07:00:00Z"}, 400, "end_before_start"),
        ({"from": "2020-01-01T08:00:00Z", "to": "2020-01-01T08:20:00Z"}, 400, "time_in_past"),
        ({"to": "2026-11-24T09:10:00Z"}, 409, "slot_overlap"),
        ({"doctorId": "00000000-0000-0000-0000-000000000000"}, 404, "doctor_not_found"),
    ],
)
async def test_refused_place_changes_nothing(api, change, status, code):
    before = await api.everything()

    answer = await api.send("POST", "/added-places", a_place(api, **change), who="admin")

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await api.everything() == before


async def test_place_in_another_or_in_closed_time_is_refused_by_name(api):
    added = (await api.send("POST", "/added-places", a_place(api), who="doctor")).json()
    closure = {"name": "Outing", "from": "2026-11-26"}
    closed = (await api.send("POST", "/closures", closure, who="admin")).json()
    overlapping = a_place(api, to="2026-11-24T08:10:00Z")
    in_closure = a_place(api, **{"from": "2026-11-26T20:00:00Z", "to": "2026-11-26T20:20:00Z"})

    twice = await api.send("POST", "/added-places", overlapping, who="doctor")
    shut = await api.send("POST", "/added-places", in_closure, who="doctor")

    assert (twice.status_code, twice.json()["code"]) == (409, "already_entered")
    assert twice.json()["placeId"] == added["id"]
    assert (shut.status_code, shut.json()["code"]) == (409, "blocked_by")
    assert shut.json()["blockedBy"] == [{"kind": "closure", "id": closed["id"], "name": "Outing"}]
    assert shut.json()["detail"] == (
        "No slot can be added in this time: the clinic is closed (Outing)."
    )


async def test_place_in_blocked_time_is_refused_without_the_reason(api):
    doctor = str(api.world.doctor.id)
    block = {"doctorId": doctor, **BEFORE_HOURS, "reason": "Surgery"}
    blocked = (await api.send("POST", "/blocks", block, who="doctor")).json()

    answer = await api.send("POST", "/added-places", a_place(api), who="doctor")

    assert (answer.status_code, answer.json()["code"]) == (409, "blocked_by")
    assert answer.json()["blockedBy"] == [
        {"kind": "block", "id": blocked["id"], "name": "Surgery"},
    ]
    assert answer.json()["detail"] == "No slot can be added in this time: the time is blocked."


async def test_place_beyond_the_horizon_is_opened_with_its_day(api):
    far = a_place(api, **{"from": "2027-06-01T06:00:00Z", "to": "2027-06-01T06:20:00Z"})
    added = await api.send("POST", "/added-places", far, who="doctor")
    assert (added.status_code, added.json()["slotsOpened"]["added"]) == (201, 0)
    assert added.json()["slotsOpened"]["note"]

    until = {"until": "2027-06-02"}
    opened = await api.send("POST", f"/doctors/{api.world.doctor.id}/slots", until, who="doctor")
    assert opened.json()["added"] == 1, opened.text

    assert (await slots_of(api, "2027-06-01"))[0][:3] == (
        "2027-06-01T07:00:00+01:00",
        "2027-06-01T07:20:00+01:00",
        "OPEN",
    )


async def test_nobody_adds_a_place_for_a_doctor_who_has_left_by_then(api):
    doctor = str(api.world.doctor.id)
    await api.send("PATCH", f"/doctors/{doctor}", {"lastDay": "2026-11-30"}, who="admin")
    late = a_place(api, **{"from": "2026-12-01T08:00:00Z", "to": "2026-12-01T08:20:00Z"})

    answer = await api.send("POST", "/added-places", late, who="admin")

    assert (answer.status_code, answer.json()["code"]) == (409, "blocked_by")
    assert answer.json()["blockedBy"] == [{"kind": "no_hours"}]
    assert answer.json()["detail"] == (
        "No slot can be added in this time: the doctor does not work here then."
    )

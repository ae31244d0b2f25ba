"""Locations, over HTTP."""

import pytest

from clinic.entrypoints.cli.check_calendars import calendars
from clinic.testing.builders import an_anonymous_context
from clinic.usecases.calendar.check_calendars import CalendarReport, check_calendars

LOCATIONS = "/locations"
ANY = {"if-match": "*"}
HARBOUR = {
    "name": "Harbour branch",
    "address": "1 Quay Street\nBristol BS1 4QA",
    "directions": "Ring twice.",
    "phone": "+441174960000",
    "country": "DE",
    "subdivision": "BE",
    "active": True,
}
BARE = {
    "address": None,
    "directions": None,
    "phone": None,
    "country": None,
    "subdivision": None,
    "active": True,
}


async def add(api, name="Harbour branch", **more):
    answer = await api.send("POST", LOCATIONS, {"name": name, **more}, who="admin")
    assert answer.status_code == 201, answer.text
    return answer.json()


async def change(api, location, headers=ANY, **members):
    path = f"{LOCATIONS}/{location['id']}"
    return await api.send("PATCH", path, members, who="admin", headers=headers)


async def test_added_location_is_read_as_it_was_sent_also_by_patients(api):
    sent = {**HARBOUR, "phone": "+44 117 496 0000", "reason": "We grow"}
    answer = await api.send("POST", LOCATIONS, sent, who="admin")

    assert answer.status_code == 201, answer.text
    added = answer.json()
    assert added == {"id": added["id"], **HARBOUR}
    path = answer.headers["location"]
    assert path == f"{LOCATIONS}/{added['id']}"
    for who in ("patient", "doctor"):
        read = await api.send("GET", path, who=who)
        assert (read.json(), read.headers["etag"]) == (added, answer.headers["etag"])
        assert (await api.send("GET", LOCATIONS, who=who)).json()["items"] == [added]
    known = {"if-none-match": read.headers["etag"]}
    assert (await api.send("GET", path, who="doctor", headers=known)).status_code == 304


async def test_name_is_enough_and_is_stored_as_a_plain_line(api):
    added = await add(api, "  Mill \n Lane ", address=" 2 Mill Lane \n\n Bath ")

    assert added == {**BARE, "id": added["id"], "name": "Mill Lane", "address": "2 Mill Lane\nBath"}


async def test_change_needs_the_tag_changes_what_is_sent_and_is_in_the_audit_trail(api):
    added = await add(api, **{name: HARBOUR[name] for name in HARBOUR if name != "name"})
    read = await api.send("GET", f"{LOCATIONS}/{added['id']}", who="admin")
    known = {"if-match": read.headers["etag"]}

    missing = await change(api, added, headers={}, name="Quay")
    changed = await change(api, added, headers=known, directions="Second floor.")
    late = await change(api, added, headers=known, name="Quay")
    same = await change(api, added, directions="Second floor.")

    assert (missing.status_code, late.status_code) == (428, 412)
    assert changed.json() == {**added, "directions": "Second floor."}
    assert same.json()["note"] == "The location is the same as before."
    assert same.headers["etag"] == changed.headers["etag"]
    await api.services.audit.flush()
    found = (await api.send("GET", "/audit?limit=100", who="admin")).json()["items"]
    trail = [(one["action"], one["detail"]) for one in found if one["entity"] == "location"]
    assert ("change_location", {"fields": ["directions"]}) in trail
    assert [action for action, _ in trail].count("change_location") == 1
    assert "add_location" in [action for action, _ in trail]


async def test_two_active_locations_have_two_names(api):
    first = await add(api, "Straße am Hafen")
    second = await add(api, "Mill")

    again = await api.send("POST", LOCATIONS, {"name": "STRASSE AM HAFEN"}, who="admin")
    renamed = await change(api, second, name="strasse am hafen")

    for answer in (again, renamed):
        found = answer.json()
        assert (answer.status_code, found["code"]) == (409, "location_name_in_use")
        assert found["locationId"] == first["id"]
    assert (await change(api, first, active=False)).json()["active"] is False
    assert (await change(api, second, name="strasse am hafen")).status_code == 200


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"name": ""}, "invalid_input", "/name"),
        ({"name": "x" * 201}, "invalid_input", "/name"),
        ({"address": "1\n2\n3\n4\n5\n6\n7"}, "invalid_input", "/address"),
        ({"directions": "x" * 1001}, "invalid_input", "/directions"),
        ({"phone": "123"}, "phone_number_refused", "/phone"),
        ({"country": "de"}, "invalid_input", "/country"),
        ({"country": "XX"}, "unknown_holiday_calendar", "/country"),
        ({"country": "DE", "subdivision": "ZZZZ"}, "unknown_holiday_calendar", "/subdivision"),
        ({"country": None, "subdivision": "BE"}, "invalid_input", "/subdivision"),
    ],
)
async def test_wrong_member_is_refused_and_nothing_is_written(api, members, code, pointer):
    known = await add(api, "Mill", phone="+441174960000")

    added = await api.send("POST", LOCATIONS, {"name": "Quay", **members}, who="admin")
    changed = await change(api, known, **members)

    for answer in (added, changed):
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await api.send("GET", LOCATIONS, who="patient")).json()["items"] == [known]


# --- hours at locations --------------------------------------------------------------------------

#: the world's doctors have no hours on weekends; NOW is Monday, 2026-11-23
SATURDAY, SUNDAY = "2026-11-28", "2026-11-29"


async def hours(api, location, start, end, *, status=201, days=("sat",), query="", **more):
    body = {
        "doctorId": str(api.world.doctor.id),
        "startTime": start,
        "endTime": end,
        "slotMinutes": 30,
        "locationId": location and location["id"],
        **({} if "date" in more else {"weekdays": list(days)}),
        **more,
    }
    answer = await api.send("POST", f"/availabilities{query}", body, who="admin")
    assert answer.status_code == status, answer.text
    return answer.json()


async def travel(api, minutes):
    policy = {"policy": {"travelMin": minutes}}
    answer = await api.send("PATCH", "/clinics/current", policy, who="admin", headers=ANY)
    assert answer.json()["policy"]["travelMin"] == minutes


async def slots(api, day=SATURDAY, who="patient", **filters):
    query = "".join(f"&{name}={value}" for name, value in filters.items())
    path = f"/slots?from={day}T00:00:00Z&to={day}T23:59:00Z&limit=100{query}"
    return (await api.send("GET", path, who=who)).json()["items"]


async def test_slots_are_at_the_location_of_their_hours_and_are_found_by_it(api):
    harbour, mill = await add(api), await add(api, "Mill")
    at_harbour = await hours(api, harbour, "09:00", "10:00")
    await hours(api, mill, "11:00", "12:00")
    await hours(api, None, "13:00", "14:00")
    doctor = api.world.doctor.id

    found = [(slot["time"], slot["locationId"]) for slot in await slots(api, doctor=doctor)]

    assert at_harbour["locationId"] == harbour["id"]
    expected = [(harbour, "09:00"), (harbour, "09:30"), (mill, "11:00"), (mill, "11:30")]
    assert found == [
        *((time, where["id"]) for where, time in expected),
        ("13:00", None),
        ("13:30", None),
    ]
    for filters in ({}, {"doctor": doctor}, {"specialty": "General"}):
        there = await slots(api, location=mill["id"], **filters)
        assert [slot["time"] for slot in there] == ["11:00", "11:30"]
        every = await slots(api, location=mill["id"], who="admin", status="all", **filters)
        assert [slot["time"] for slot in every] == ["11:00", "11:30"]
    nobody = await api.send("GET", f"/slots?location={doctor}", who="patient")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "location_not_found")


async def test_hours_moved_elsewhere_keep_their_slots_and_appointments(api):
    harbour, mill = await add(api), await add(api, "Mill")
    entered = await hours(api, harbour, "09:00", "10:00")
    before = await slots(api, doctor=api.world.doctor.id)
    path = f"/availabilities/{entered['id']}"

    preview = await api.send(
        "PATCH", f"{path}?preview=true", {"locationId": mill["id"]}, who="admin"
    )
    unmoved = await slots(api, doctor=api.world.doctor.id)
    changed = await api.send("PATCH", path, {"locationId": mill["id"]}, who="admin")
    after = await slots(api, doctor=api.world.doctor.id)

    assert unmoved == before
    for answer in (preview, changed):
        report = answer.json()["slotsOpened"]
        counts = {name: report[name] for name in ("added", "retired", "blocked", "stranded")}
        assert counts == {"added": 0, "retired": 0, "blocked": 0, "stranded": []}
        # Every Saturday of the next 90 days.
        assert report["relocated"] == 26
    assert after == [{**slot, "locationId": mill["id"]} for slot in before]
    again = await api.send("PATCH", path, {"locationId": mill["id"]}, who="admin")
    assert again.json()["slotsOpened"]["note"] == "The hours are the same as before."


async def test_location_that_is_unknown_of_another_clinic_or_inactive_is_refused(api):
    harbour, closed = await add(api), await add(api, "Mill")
    assert (await change(api, closed, active=False)).status_code == 200
    unknown = {"id": str(api.world.doctor.id)}
    known = await hours(api, harbour, "09:00", "10:00")
    doctor = {"doctorId": str(api.world.doctor.id)}
    day = {"date": SUNDAY, "startTime": "09:00", "endTime": "10:00", "slotMinutes": 30}
    place = {"from": f"{SUNDAY}T18:00:00Z", "to": f"{SUNDAY}T18:30:00Z"}

    for location, status, code in (
        (unknown, 404, "location_not_found"),
        (closed, 409, "location_inactive"),
    ):
        wrong = {"locationId": location["id"]}
        refused = await hours(api, location, "11:00", "12:00", status=status)
        assert (refused["code"], refused["locationId"]) == (code, location["id"])
        for method, path, body in (
            ("PATCH", f"/availabilities/{known['id']}", {}),
            ("POST", "/availability-exceptions", {**doctor, **day, "kind": "add"}),
            ("POST", "/added-places", {**doctor, **place}),
            ("POST", "/closures", {"name": "Flood", "from": SUNDAY}),
        ):
            answer = await api.send(method, path, {**body, **wrong}, who="admin")
            assert (answer.status_code, answer.json()["code"]) == (status, code), path
    removed = {**doctor, "date": SUNDAY, "kind": "remove", "locationId": harbour["id"]}
    answer = await api.send("POST", "/availability-exceptions", removed, who="admin")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/locationId")


async def test_location_with_hours_ahead_cannot_be_set_inactive(api):
    harbour = await add(api)
    entered = await hours(api, harbour, "09:00", "10:00")
    day = {"date": SUNDAY, "startTime": "09:00", "endTime": "10:00", "slotMinutes": 30}
    more = {"doctorId": str(api.world.doctor.id), "locationId": harbour["id"]}
    exception = (
        await api.send(
            "POST", "/availability-exceptions", {**day, **more, "kind": "add"}, who="admin"
        )
    ).json()
    times = {"from": f"{SUNDAY}T18:00:00Z", "to": f"{SUNDAY}T18:30:00Z"}
    place = (await api.send("POST", "/added-places", {**times, **more}, who="admin")).json()

    refused = await change(api, harbour, active=False)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "location_in_use")
    assert problem["availabilityIds"] == [entered["id"]]
    assert problem["exceptionIds"] == [exception["id"]]
    assert problem["placeIds"] == [place["id"]]
    for path in (
        f"/availabilities/{entered['id']}",
        f"/availability-exceptions/{exception['id']}",
        f"/added-places/{place['id']}",
    ):
        assert (await api.send("DELETE", path, who="admin")).status_code == 200
    assert (await change(api, harbour, active=False)).json()["active"] is False


# --- the way between them ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "more", "missing_min"),
    [
        ("10:30", "11:30", {}, 15),
        ("10:45", "11:45", {}, None),
        ("10:00", "11:00", {}, 45),
        ("07:00", "08:30", {}, 15),
        ("07:00", "08:00", {}, None),
        ("10:30", "11:30", {"date": SATURDAY}, 15),
        ("10:30", "11:30", {"date": SUNDAY}, None),
        ("23:00", "08:30", {"days": ["fri"], "overnight": True}, 15),
        ("23:00", "08:00", {"days": ["fri"], "overnight": True}, None),
    ],
)
async def test_hours_elsewhere_leave_time_for_the_way(api, start, end, more, missing_min):
    harbour, mill = await add(api), await add(api, "Mill")
    await travel(api, 45)
    known = await hours(api, harbour, "09:00", "10:00")

    answer = await hours(api, mill, start, end, status=409 if missing_min else 201, **more)

    if missing_min:
        assert answer["code"] == "too_close"
        assert (answer["availabilityId"], answer["locationId"]) == (known["id"], harbour["id"])
        assert (answer["travelMin"], answer["missingMin"]) == (45, missing_min)
        # At the same location, or without one, there is no way.
        await hours(api, None, start, end, query="?preview=true", status=200, **more)
        if start != "10:00":
            await hours(api, harbour, start, end, query="?preview=true", status=200, **more)


async def test_added_hours_and_places_leave_time_for_the_way_and_a_day_off_makes_room(api):
    harbour, mill = await add(api), await add(api, "Mill")
    await travel(api, 60)
    weekly = await hours(api, harbour, "09:00", "10:00")
    doctor = {"doctorId": str(api.world.doctor.id), "locationId": mill["id"]}
    times = {"date": SATURDAY, "startTime": "10:30", "endTime": "11:30", "slotMinutes": 30}
    added = {**doctor, **times, "kind": "add"}
    place = {**doctor, "from": f"{SATURDAY}T08:00:00Z", "to": f"{SATURDAY}T08:30:00Z"}

    for path, body in (("/availability-exceptions", added), ("/added-places", place)):
        answer = await api.send("POST", path, body, who="admin")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "too_close"), answer.text
        assert (problem["missingMin"], problem["availabilityId"]) == (30, weekly["id"])
    off = {"doctorId": doctor["doctorId"], "date": SATURDAY, "kind": "remove"}
    assert (await api.send("POST", "/availability-exceptions", off, who="admin")).is_success
    for path, body in (("/availability-exceptions", added), ("/added-places", place)):
        assert (await api.send("POST", path, body, who="admin")).status_code == 201
    # Weekly hours that are entered later leave time for the way to what is on one day alone.
    place |= {"from": f"{SUNDAY}T18:00:00Z", "to": f"{SUNDAY}T18:30:00Z"}
    known = (await api.send("POST", "/added-places", place, who="admin")).json()
    late = await hours(api, harbour, "19:00", "20:00", days=("sun",), status=409)
    assert (late["code"], late["missingMin"]) == ("too_close", 30)
    assert late["placeId"] == known["id"]


# --- closures and public holidays of a location --------------------------------------------------


async def test_closure_of_a_location_closes_it_alone(api):
    harbour, mill = await add(api), await add(api, "Mill")
    await hours(api, harbour, "09:00", "10:00")
    await hours(api, mill, "11:00", "12:00")
    closure = {"name": "Flood", "from": SATURDAY, "locationId": harbour["id"]}

    preview = await api.send("POST", "/closures?preview=true", closure, who="admin")
    closed = await api.send("POST", "/closures", closure, who="admin")

    for answer in (preview, closed):
        assert answer.json()["slotsOpened"]["blocked"] == 2
    assert closed.json()["locationId"] == harbour["id"]
    assert [slot["time"] for slot in await slots(api)] == ["11:00", "11:30"]
    blocked = await slots(api, who="admin", status="blocked")
    by = [{"kind": "closure", "id": closed.json()["id"], "name": "Flood"}]
    assert [(slot["time"], slot["blockedBy"]) for slot in blocked] == [
        ("09:00", by),
        ("09:30", by),
    ]


async def test_location_keeps_the_public_holidays_of_its_own_country(api):
    """Saturday, 26 December is a holiday in Germany, and not in France."""
    mill = await add(api, "Mill", country="FR")
    day = {"date": "2026-12-26"}
    await hours(api, None, "09:00", "10:00", **day)
    await hours(api, mill, "11:00", "12:00", **day)

    closed = {"name": "Holidays", "kind": "holidays", "country": "DE"}
    answer = await api.send("POST", "/closures", closed, who="admin")
    assert answer.status_code == 201, answer.text
    assert [slot["time"] for slot in await slots(api, day["date"])] == ["11:00", "11:30"]

    preview = await api.send(
        "PATCH",
        f"{LOCATIONS}/{mill['id']}?preview=true",
        {"country": None},
        who="admin",
        headers=ANY,
    )
    moved = await change(api, mill, country=None)
    for report in (preview.json()["slotsOpened"], moved.json()["slotsOpened"]):
        assert (report["blocked"], report["unblocked"]) == (2, 0)
    assert await slots(api, day["date"]) == []


# --- appointments --------------------------------------------------------------------------------


async def test_appointment_says_where_it_is_and_follows_its_hours(api):
    harbour, mill = await add(api), await add(api, "Mill")
    entered = await hours(api, harbour, "09:00", "10:00")
    await hours(api, None, "13:00", "14:00")
    at_harbour, _, own, _ = await slots(api, doctor=api.world.doctor.id)

    booked = await api.send("POST", "/appointments", {"slotId": at_harbour["id"]})
    path = booked.headers["location"]
    elsewhere = await api.send("POST", "/appointments", {"slotId": own["id"]}, who="other")

    def where(appointment):
        return appointment["locationId"], appointment["locationName"]

    assert where(booked.json()) == (harbour["id"], "Harbour branch")
    assert where(elsewhere.json()) == (None, None)
    listed = (await api.send("GET", "/appointments", who="admin")).json()["items"]
    assert [where(one) for one in listed] == [where(booked.json()), (None, None)]

    moved = {"locationId": mill["id"]}
    await api.send("PATCH", f"/availabilities/{entered['id']}", moved, who="admin")
    assert where((await api.send("GET", path)).json()) == (mill["id"], "Mill")
    # What is only named differently is as it was.
    await change(api, mill, name="Old mill")
    assert where((await api.send("GET", path)).json()) == (mill["id"], "Old mill")
    gone = await api.send("DELETE", f"/availabilities/{entered['id']}", who="admin")
    [stranded] = gone.json()["slotsOpened"]["stranded"]
    assert where(stranded) == (mill["id"], "Old mill")


async def test_appointment_of_two_slots_is_at_one_location(api):
    harbour, mill = await add(api), await add(api, "Mill")
    await hours(api, harbour, "09:00", "10:00", date=SATURDAY)
    second = await hours(api, harbour, "10:00", "11:00", date=SATURDAY)
    kind = {"name": "Check-up", "visibleMin": 60, "default": True}
    assert (await api.send("POST", "/appointment-types", kind, who="admin")).is_success
    path = f"/availabilities/{second['id']}"
    starts = [slot["time"] for slot in await slots(api, type="Check-up")]
    slot = (await slots(api, type="Check-up"))[1]
    booked = await api.send("POST", "/appointments", {"slotId": slot["id"]})

    changed = await api.send("PATCH", path, {"locationId": mill["id"]}, who="admin")

    assert starts == ["09:00", "09:30", "10:00"]
    assert booked.status_code == 201, booked.text
    report = changed.json()["slotsOpened"]
    assert report["relocated"] == 2
    assert [one["id"] for one in report["stranded"]] == [booked.json()["id"]]
    appointment = f"/appointments/{booked.json()['id']}"
    cancelled = {"status": "CANCELLED"}
    assert (await api.send("PATCH", appointment, cancelled, headers=ANY)).is_success
    assert [slot["time"] for slot in await slots(api, type="Check-up")] == ["09:00", "10:00"]
    again = await api.send("POST", "/appointments", {"slotId": slot["id"]})
    assert (again.status_code, again.json()["code"]) == (409, "does_not_fit")


async def test_way_that_becomes_longer_is_named_by_the_check(api):
    """Given hours at two locations with half an hour between them
    When the way takes longer
    Then the clinic may say so, and the check names the doctor and the first slot."""
    harbour, mill = await add(api), await add(api, "Mill")
    await hours(api, harbour, "09:00", "10:00")
    await hours(api, mill, "10:30", "11:30")
    context = an_anonymous_context(api.services.store, clock=api.clock)

    await travel(api, 30)
    in_time = await check_calendars(context)
    await travel(api, 31)
    [hurried] = (await check_calendars(context)).hurried

    assert in_time.hurried == ()
    assert (hurried.doctor.id, hurried.clinic.id) == (api.world.doctor.id, api.world.clinic.id)
    assert hurried.at.isoformat() == f"{SATURDAY}T10:30:00+00:00"
    [fault] = calendars(CalendarReport(hurried=(hurried,)), api.clock.now())
    assert "2026-11-28 10:30" in fault.problem
    assert "31 minutes" in fault.problem

"""Locations, over HTTP."""

import pytest

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

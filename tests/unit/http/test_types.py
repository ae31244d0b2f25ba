"""Types of appointments, over HTTP."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given

from clinic.domain.appointments.types import TYPES_MAX
from clinic.entrypoints.http.api.appointments.type_schemas import (
    AppointmentTypeIn,
    AppointmentTypeOut,
    type_of,
)
from clinic.testing import an_availability
from clinic.testing.builders import a_type, new_id, seed_type
from clinic.testing.strategies import appointment_types

TYPES = "/appointment-types"
ANY = {"if-match": "*"}
#: the longest stretch of hours of each doctor of the world
LONGEST_MIN = 150
CHECK_UP = {
    "name": "Check-up",
    "visibleMin": 40,
    "beforeMin": 5,
    "afterMin": 10,
    "noticeMin": 1440,
    "horizonDays": 30,
    "bookableBy": "known_patients",
    "offeredBy": None,
    "instructions": "Bring your card.",
    "color": "#2f6fde",
    "needs": [],
    "default": True,
    "active": True,
}
BARE: dict[str, object] = {
    "beforeMin": 0,
    "afterMin": 0,
    "noticeMin": None,
    "horizonDays": None,
    "bookableBy": "patients",
    "offeredBy": None,
    "instructions": None,
    "color": None,
    "needs": [],
    "default": False,
    "active": True,
}


async def add(api, name="Check-up", minutes=30, **more):
    body = {"name": name, "visibleMin": minutes, **more}
    answer = await api.send("POST", TYPES, body, who="admin")
    assert answer.status_code == 201, answer.text
    return answer.json()


async def change(api, type, headers=ANY, **members):
    path = f"{TYPES}/{type['id']}"
    return await api.send("PATCH", path, members, who="admin", headers=headers)


async def names(api, who):
    return [each["name"] for each in (await api.send("GET", TYPES, who=who)).json()["items"]]


async def events(api):
    await api.services.audit.flush()
    found = (await api.send("GET", "/audit?limit=100", who="admin")).json()["items"]
    return [
        (one["action"], one["entity"], one["entityId"], one["detail"], one["reason"])
        for one in found
        if one["entity"] == "appointment_type"
    ]


async def test_added_type_is_read_as_it_was_sent(api):
    answer = await api.send("POST", TYPES, CHECK_UP, who="admin")

    assert answer.status_code == 201, answer.text
    added = answer.json()
    assert added == {"id": added["id"], **CHECK_UP}
    path = answer.headers["location"]
    assert path == f"{TYPES}/{added['id']}"
    read = await api.send("GET", path, who="doctor")
    assert (read.json(), read.headers["etag"]) == (added, answer.headers["etag"])
    assert (await api.send("GET", TYPES, who="doctor")).json()["items"] == [added]
    known = {"if-none-match": read.headers["etag"]}
    assert (await api.send("GET", path, who="doctor", headers=known)).status_code == 304


async def test_name_and_length_are_enough(api):
    added = await add(api, "  X-ray \n of the\thand ", 5)

    assert added == {**BARE, "id": added["id"], "name": "X-ray of the hand", "visibleMin": 5}


async def test_key_repeated_adds_one_type(api):
    key = "a-key-of-this-one-test"
    body = {"name": "X-ray", "visibleMin": 10}

    first, again = [await api.send("POST", TYPES, body, who="admin", key=key) for _ in "12"]

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"]
    assert await names(api, "admin") == ["X-ray"]


async def test_offers_are_by_doctor_and_may_differ_in_length(api):
    doctor, colleague = str(api.world.doctor.id), str(api.world.colleague.id)
    offers: list[dict[str, Any]] = [
        {"doctorId": colleague, "visibleMin": 20},
        {"doctorId": doctor},
    ]
    added = await add(api, offeredBy=offers)

    entered = [{"visibleMin": None, **each} for each in offers]
    assert added["offeredBy"] == sorted(entered, key=lambda offer: offer["doctorId"])

    fewer = await change(api, added, offeredBy=offers[:1])
    assert fewer.json()["offeredBy"] == offers[:1]
    nobody = await change(api, added, offeredBy=[])
    assert nobody.json()["offeredBy"] == []
    everybody = await change(api, added, offeredBy=None)
    assert everybody.json() == added | {"offeredBy": None}


async def test_change_writes_the_given_members_alone(api):
    added = (await api.send("POST", TYPES, CHECK_UP, who="admin")).json()

    for members in (
        {"name": "Great check-up"},
        {"visibleMin": 45, "beforeMin": 0},
        {"afterMin": 15},
        {"noticeMin": None, "horizonDays": 14},
        {"bookableBy": "patients"},
        {"instructions": None, "color": "#000000"},
        {"default": False},
        {"active": False},
    ):
        answer = await change(api, added, **members)
        added = added | members
        assert (answer.status_code, answer.json()) == (200, added)
    assert (await api.send("GET", TYPES, who="admin")).json()["items"] == [added]


async def test_change_needs_the_version_that_was_read(api):
    added = await add(api)
    path = f"{TYPES}/{added['id']}"
    tag = (await api.send("GET", path, who="admin")).headers["etag"]

    missing = await change(api, added, {}, name="X-ray")
    changed = await change(api, added, {"if-match": tag}, name="X-ray")
    late = await change(api, added, {"if-match": tag}, name="CT")

    assert (missing.status_code, missing.json()["code"]) == (428, "version_missing")
    assert changed.status_code == 200
    assert (late.status_code, late.json()["code"]) == (412, "version_mismatch")
    read = await api.send("GET", path, who="admin")
    assert (read.json()["name"], read.headers["etag"]) == ("X-ray", changed.headers["etag"])


async def test_change_of_nothing_says_so_and_writes_nothing(api):
    added = await add(api)

    for members in ({}, {"name": "Check-up", "active": True}, {"reason": "Just because"}):
        same = await change(api, added, **members)
        assert same.status_code == 200
        assert same.json() == added | {"note": "The type is the same as before."}
    assert len(await events(api)) == 1


async def test_changes_are_audited_with_the_names_of_fields(api):
    added = await add(api, instructions="A secret", reason="New in spring")
    await change(api, added, afterMin=5, active=False, reason="Too tight")

    changed, entered = await events(api)

    assert changed == (
        "change_type",
        "appointment_type",
        added["id"],
        {"fields": ["afterMin", "active"]},
        "Too tight",
    )
    assert (entered[0], entered[4]) == ("add_type", "New in spring")
    assert "instructions" in entered[3]["fields"]
    assert "secret" not in str(entered)


async def test_patients_see_active_types_that_patients_may_book(api):
    shown = await add(api)
    known = await add(api, "Follow-up", bookableBy="known_patients")
    staffs = await add(api, "Surgery", bookableBy="staff")
    inactive = await add(api, "Old", active=False)

    assert await names(api, "patient") == ["Check-up", "Follow-up"]
    for who in ("doctor", "receptionist", "admin"):
        assert await names(api, who) == ["Check-up", "Follow-up", "Surgery", "Old"]
    for type, status in ((shown, 200), (known, 200), (staffs, 404), (inactive, 404)):
        path = f"{TYPES}/{type['id']}"
        answer = await api.send("GET", path)
        assert answer.status_code == status
        if status == 404:
            assert answer.json()["code"] == "appointment_type_not_found"
        assert (await api.send("GET", path, who="doctor")).status_code == 200


@pytest.mark.parametrize("name", ["Straße", "STRASSE", "strasse", " Strasse  ", "STRA\u1e9eE"])
async def test_name_that_is_in_use_is_refused_whatever_its_case(api, name):
    known = await add(api, "Straße")
    other = await add(api, "X-ray")
    before = await api.everything()

    body = {"name": name, "visibleMin": 20}
    for answer in (
        await api.send("POST", TYPES, body, who="admin"),
        await change(api, other, name=name),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "type_name_in_use")
        assert problem["typeId"] == known["id"]
    assert await api.everything() == before


async def test_name_is_the_same_however_it_is_encoded(api):
    await add(api, "Re\u0301union")

    answer = await api.send("POST", TYPES, {"name": "R\u00c9UNION", "visibleMin": 5}, who="admin")

    assert (answer.status_code, answer.json()["code"]) == (409, "type_name_in_use")


async def test_inactive_type_gives_its_name_up_and_cannot_take_it_back(api):
    first = await add(api, default=True)
    assert (await change(api, first, active=False)).status_code == 200
    second = await add(api, "CHECK-UP", default=True)

    named = await change(api, first, active=True)
    renamed = await change(api, first, active=True, name="Other")

    assert (named.json()["code"], named.json()["typeId"]) == ("type_name_in_use", second["id"])
    assert renamed.status_code == 409
    assert (renamed.json()["code"], renamed.json()["typeId"]) == (
        "default_type_taken",
        second["id"],
    )
    assert (await change(api, first, active=True, name="Other", default=False)).status_code == 200


async def test_second_default_is_refused(api):
    default, other = await add(api, default=True), await add(api, "X-ray")

    answers = [
        await api.send(
            "POST", TYPES, {"name": "CT", "visibleMin": 5, "default": True}, who="admin"
        ),
        await change(api, other, default=True),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "default_type_taken")
        assert answer.json()["typeId"] == default["id"]
    assert (await change(api, default, default=False)).status_code == 200
    assert (await change(api, other, default=True)).json()["default"] is True


async def test_clinic_has_so_many_active_types_at_most(api):
    types = [a_type(api.world.clinic, f"Type {number}") for number in range(TYPES_MAX)]
    await seed_type(api.services.store, *types)
    inactive = await add(api, "Later", active=False)

    answers = [
        await api.send("POST", TYPES, {"name": "One more", "visibleMin": 20}, who="admin"),
        await change(api, inactive, active=True),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_types")
        assert answer.json()["most"] == TYPES_MAX
    first = {"id": str(types[0].id)}
    assert (await change(api, first, visibleMin=25)).status_code == 200
    await change(api, first, active=False)
    assert (await change(api, inactive, active=True)).status_code == 200
    assert (await change(api, first, active=True)).status_code == 409


async def test_doctor_of_nobody_is_refused(api):
    known = await add(api)
    before = await api.everything()

    for doctor_id in (str(new_id()), str(api.world.patients[0].id)):
        offers = [{"doctorId": str(api.world.doctor.id)}, {"doctorId": doctor_id}]
        body = {"name": "X-ray", "visibleMin": 20, "offeredBy": offers}
        for answer in (
            await api.send("POST", TYPES, body, who="admin"),
            await change(api, known, offeredBy=offers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "doctor_not_found")
            assert answer.json()["doctorId"] == doctor_id
    assert await api.everything() == before


async def test_type_longer_than_all_hours_is_refused(api):
    known = await add(api, minutes=LONGEST_MIN, beforeMin=60)
    doctor, colleague = str(api.world.doctor.id), str(api.world.colleague.id)

    longer = LONGEST_MIN + 1
    shortened = {"doctorId": doctor, "visibleMin": LONGEST_MIN}
    for answer in (
        await api.send("POST", TYPES, {"name": "Surgery", "visibleMin": longer}, who="admin"),
        await change(api, known, visibleMin=longer),
        await change(api, known, offeredBy=[{"doctorId": doctor, "visibleMin": longer}]),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "type_too_long")
        assert problem["longestMin"] == LONGEST_MIN
        assert [each["pointer"] for each in problem["errors"]] == ["/visibleMin"]
    # One doctor with whom it fits is enough.
    both = await change(
        api, known, visibleMin=longer, offeredBy=[shortened, {"doctorId": colleague}]
    )
    assert both.status_code == 200
    # An inactive type may be of any length, and must fit once it is active again.
    assert (await change(api, known, offeredBy=None, active=False)).status_code == 200
    assert (await change(api, known, active=True)).json()["code"] == "type_too_long"


async def test_type_may_be_entered_before_hours_and_renamed_after_they_are_shortened(api):
    person = {"name": "Dr New", "email": "new@example.org", "specialty": "Surgery"}
    doctor = (await api.send("POST", "/doctors", person, who="admin")).json()
    offers = [{"doctorId": doctor["id"]}]
    long = await add(api, "Surgery", 480, offeredBy=offers)
    hours = {"weekdays": ["mon"], "startTime": "09:00", "endTime": "11:00", "slotMinutes": 30}

    added = await api.send(
        "POST", "/availabilities", {"doctorId": doctor["id"], **hours}, who="admin"
    )

    assert added.status_code == 201, added.text
    assert (await change(api, long, name="Great surgery")).status_code == 200
    answer = await change(api, long, visibleMin=479)
    assert (answer.json()["code"], answer.json()["longestMin"]) == ("type_too_long", 120)


async def test_hours_of_a_doctor_who_left_do_not_count(api):
    world = api.world
    async with api.services.store.begin() as unit:
        await unit.calendars.add_availability(an_availability(world.doctor))
        await unit.commit()
    for doctor in (world.doctor, world.colleague):
        last = {"lastDay": "2026-11-22"}
        answer = await api.send("PATCH", f"/doctors/{doctor.id}", last, who="admin")
        assert answer.status_code == 200, answer.text

    assert (await add(api, minutes=480))["visibleMin"] == 480


@pytest.mark.parametrize(
    ("pointer", "members"),
    [
        ("/name", {"name": "  "}),
        ("/name", {"name": "x" * 81}),
        ("/visibleMin", {"visibleMin": 4}),
        ("/visibleMin", {"visibleMin": 481}),
        ("/beforeMin", {"beforeMin": 241}),
        ("/afterMin", {"afterMin": -1}),
        ("/beforeMin", {"visibleMin": 480, "beforeMin": 120, "afterMin": 121}),
        ("/noticeMin", {"noticeMin": -1}),
        ("/horizonDays", {"horizonDays": 731}),
        ("/bookableBy", {"bookableBy": "PATIENTS"}),
        ("/instructions", {"instructions": ""}),
        ("/color", {"color": "blue"}),
        ("/default", {"default": 1}),
    ],
)
async def test_member_that_is_not_accepted_is_named(api, pointer, members):
    known = await add(api)
    before = await api.everything()

    body = {"name": "X-ray", "visibleMin": 20, **members}
    for answer in (
        await api.send("POST", TYPES, body, who="admin"),
        await change(api, known, **members),
    ):
        assert answer.status_code == 400, answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert await api.everything() == before


async def test_offer_that_is_not_accepted_is_named(api):
    doctor = str(api.world.doctor.id)
    for pointer, offers in (
        ("/offeredBy/1/doctorId", [{"doctorId": doctor}, {"doctorId": doctor}]),
        ("/offeredBy/0/visibleMin", [{"doctorId": doctor, "visibleMin": 481}]),
    ):
        body = {"name": "X-ray", "visibleMin": 20, "offeredBy": offers}
        answer = await api.send("POST", TYPES, body, who="admin")
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_type_that_does_not_exist_is_not_found(api):
    nobody = {"id": str(UUID(int=7))}

    read = await api.send("GET", f"{TYPES}/{nobody['id']}", who="admin")
    changed = await change(api, nobody, name="X-ray")

    for answer in (read, changed):
        assert (answer.status_code, answer.json()["code"]) == (404, "appointment_type_not_found")


DOCTORS = (UUID(int=11), UUID(int=12), UUID(int=13))


@given(type=appointment_types(UUID(int=1), DOCTORS))
def test_what_a_type_is_shown_as_enters_the_same_type(type):
    shown = msgspec.to_builtins(AppointmentTypeOut.of(type))
    shown.pop("id")

    read = msgspec.convert(shown, AppointmentTypeIn, strict=False)

    assert type_of(read, id=type.id, clinic_id=type.clinic_id) == type

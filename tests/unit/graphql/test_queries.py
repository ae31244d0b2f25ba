"""What queries return, to whom, and that REST returns the same."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.people.people import Scope
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_booking,
    a_slot,
    a_status_change,
    seed_booking,
    seed_change,
    seed_doctor,
    seed_slots,
)
from clinic.usecases.appointments import read_schedule

from .conftest import Gql
from .test_schema import SEED_QUERY

#: an unused id; the same in every process, since it is in the names of tests
NOBODY = "01a20000-0000-7000-8000-000000000000"
ALL = "id patientName doctorName date time duration type status"
RECORD = (
    "id clinicId slotId doctorId doctorName patientId patientName startsAt endsAt date time"
    " duration type typeId status state version resources{id name kind} locationId locationName"
    " doctor{id name specialty clinicId lastDay}"
)
SLOT = (
    "id doctorId doctorName specialty startsAt endsAt date time duration status taken lane places"
    " locationId doctor{id name}"
)
WHO = ("admin", "receptionist", "doctor", "colleague", "patient", "other")


def _published(record: dict[str, Any]) -> dict[str, Any]:
    """Return REST's appointment in the form of the published type."""
    texts = {"BOOKED": "Scheduled", "CANCELLED": "Cancelled", "CONFIRMED": "Confirmed"}
    named = {name: record[name] for name in ALL.split()}
    return {**named, "status": texts[record["status"]]}


async def _three(gql: Gql) -> None:
    """Book three slots for two patients with two doctors; cancel one."""
    first = await gql.book(0)
    await gql.book(1, who="other")
    world = gql.world
    await seed_booking(
        gql.services.store, world.clinic, world.colleague_slots[2], world.patients[0]
    )
    scope = Scope(world.clinic.id)
    view = await gql.services.store.appointments.get(scope, UUID(first["id"]))
    assert view is not None
    change = a_status_change(world.clinic, view.appointment, Status.CANCELLED)
    await seed_change(gql.services.store, change)


@pytest.mark.parametrize("who", WHO)
async def test_seed_query_says_what_rest_says_to_everyone(gql: Gql, who: str) -> None:
    await _three(gql)

    data = await gql.data(SEED_QUERY, who=who)

    rest = (await gql.rest("/appointments", who=who))["items"]
    assert data == {"getAppointments": [_published(one) for one in rest]}
    numbers = {"patient": 2, "other": 1, "doctor": 2, "colleague": 1}
    assert len(rest) == numbers.get(who, 3)


@pytest.mark.parametrize("who", WHO)
async def test_appointments_are_the_records_of_rest(gql: Gql, who: str) -> None:
    await _three(gql)

    data = await gql.data(f"{{appointments{{edges{{node{{{RECORD}}}}}}}}}", who=who)

    rest = (await gql.rest("/appointments", who=who))["items"]
    doctors = {one["id"]: one for one in (await gql.rest("/doctors"))["items"]}
    texts = {"BOOKED": "Scheduled", "CANCELLED": "Cancelled"}
    assert [edge["node"] for edge in data["appointments"]["edges"]] == [
        {
            **one,
            "state": one["status"],
            "status": texts[one["status"]],
            "doctor": doctors[one["doctorId"]],
        }
        for one in rest
    ]


async def test_slots_are_those_of_rest(gql: Gql) -> None:
    await gql.book(0)

    for asked, path in (
        ("", "/slots"),
        ("(status:ALL)", "/slots?status=all"),
        ("(status:BLOCKED)", "/slots?status=blocked"),
        (f'(doctorId:"{gql.world.doctor.id}")', f"/slots?doctor={gql.world.doctor.id}"),
        ('(specialty:"general",to:"2026-11-24T10:00:00Z")', "/slots?to=2026-11-24T10:00:00Z"),
    ):
        data = await gql.data(f"{{slots{asked}{{edges{{node{{{SLOT}}}}}}}}}")

        rest = (await gql.rest(path))["items"]
        assert [edge["node"] for edge in data["slots"]["edges"]] == [
            {
                "lane": None,
                "places": None,
                **one,
                "doctor": {"id": one["doctorId"], "name": one["doctorName"]},
            }
            for one in rest
        ]


async def test_doctors_and_me_are_those_of_rest(gql: Gql) -> None:
    data = await gql.data(
        "{doctors{edges{node{id clinicId name specialty lastDay}}}"
        " me{id clinicId role name email phone}}"
    )

    doctors = (await gql.rest("/doctors"))["items"]
    assert [edge["node"] for edge in data["doctors"]["edges"]] == doctors
    me = await gql.rest("/users/me")
    assert data["me"] == {name: me[name] for name in data["me"]}


@pytest.mark.parametrize("left", [{"disabled": True}, {"lastDay": "2026-11-22"}], ids=str)
async def test_doctor_who_has_left_is_shown_to_staff_only(
    gql: Gql, left: dict[str, object]
) -> None:
    doctor = str(gql.world.doctor.id)
    path = f"/users/{doctor}" if "disabled" in left else f"/doctors/{doctor}"
    changed = await gql.send("PATCH", path=path, who="admin", json=left)

    assert changed.status_code == 200, changed.text
    for who, is_shown in (("patient", False), ("receptionist", True), ("admin", True)):
        data = await gql.data("{doctors{edges{node{id}}}}", who=who)
        shown = {edge["node"]["id"] for edge in data["doctors"]["edges"]}
        assert (doctor in shown) == is_shown, who


# --- the published query's filters


async def test_doctor_is_named_by_id_or_name_without_case(gql: Gql) -> None:
    await _three(gql)
    query = "query($d:String){getAppointments(doctor:$d){doctorName}}"

    answers = [
        await gql.data(query, d=named)
        for named in (str(gql.world.doctor.id), "dr GRACE  hill", str(gql.world.doctor.id).upper())
    ]

    assert answers == [{"getAppointments": [{"doctorName": "Dr Grace Hill"}] * 2}] * 3


@pytest.mark.parametrize("doctor", ["", "Dr Grace", "nobody", NOBODY, "\u0000", "%"])
async def test_unknown_doctor_is_an_error(gql: Gql, doctor: str) -> None:
    query = "query($d:String){getAppointments(doctor:$d){id}}"

    assert await gql.errors(query, d=doctor) == [("doctor_not_found", ["getAppointments"])]


async def test_name_of_several_doctors_is_an_error(gql: Gql) -> None:
    await seed_doctor(gql.services.store, gql.world.clinic, name="Dr Grace Hill")

    found = await gql.errors('{getAppointments(doctor:"Dr Grace Hill"){id}}')

    assert found == [("invalid_input", ["getAppointments"])]


@pytest.mark.parametrize(
    "date",
    ["", "2026-02-30", "20261124", "2026-W48-2", "24.11.2026", "2026-11-24T09:00", "٢٠٢٦-11-24"],
)
async def test_bad_date_is_an_error(gql: Gql, date: str) -> None:
    query = "query($d:String){getAppointments(date:$d){id}}"

    assert await gql.errors(query, d=date) == [("invalid_input", ["getAppointments"])]


async def test_far_off_date_is_an_error(gql: Gql) -> None:
    found = await gql.errors('{getAppointments(date:"1999-12-31"){id}}')

    assert found == [("datetime_out_of_range", ["getAppointments"])]


async def test_null_is_no_filter(gql: Gql) -> None:
    await gql.book(0)

    data = await gql.data("{getAppointments(doctor:null,date:null){time}}")

    assert data == {"getAppointments": [{"time": "09:00"}]}


async def test_date_is_a_day_at_the_clinic(gql: Gql) -> None:
    await gql.book(0)
    query = "query($d:String){getAppointments(date:$d){date time type}}"

    there, elsewhere = await gql.data(query, d="2026-11-24"), await gql.data(query, d="2026-11-23")

    assert there == {
        "getAppointments": [{"date": "2026-11-24", "time": "09:00", "type": "Consultation"}]
    }
    assert elsewhere == {"getAppointments": []}


async def test_without_date_it_spans_from_a_week_ago_to_the_horizon(gql: Gql) -> None:
    world, store = gql.world, gql.services.store
    week, horizon = timedelta(days=7), timedelta(days=world.clinic.policy.horizon_days)
    before = a_slot(world.colleague, NOW - week - timedelta(microseconds=1))
    first, last = a_slot(world.doctor, NOW - week), a_slot(world.doctor, NOW + horizon)
    beyond = a_slot(world.colleague, NOW + horizon + timedelta(microseconds=1))
    for slot, patient in zip((before, first, last, beyond), "0110", strict=True):
        await seed_slots(store, slot)
        made_at = slot.starts_at - timedelta(days=1)
        booking = a_booking(world.clinic, slot, world.patients[int(patient)], now=made_at)
        await store.desk.reserve(booking)

    data = await gql.data("{getAppointments{date doctorName}}")

    assert data == {
        "getAppointments": [
            {"date": "2026-11-16", "doctorName": "Dr Grace Hill"},
            {"date": "2027-02-21", "doctorName": "Dr Grace Hill"},
        ]
    }


async def test_more_rows_than_an_answer_holds_is_an_error(
    gql: Gql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_schedule, "ROWS_MAX", 2)
    await gql.book(0)
    await gql.book(1, who="other")
    assert len((await gql.data("{getAppointments{id}}"))["getAppointments"]) == 2

    await gql.book(2)

    assert await gql.errors("{getAppointments{id}}") == [("too_many_rows", ["getAppointments"])]
    answer = await gql.ask("{getAppointments{id}}")
    assert "one doctor or one date" in answer.json()["errors"][0]["message"]


async def test_times_are_on_the_clinics_clock(gql: Gql) -> None:
    # The clocks in London go forward at 01:00 on 29 March 2026.
    world, store = gql.world, gql.services.store
    gql.clock.set(NOW.replace(month=3, day=28))
    slot = a_slot(world.doctor, MORNING.replace(month=3, day=30))
    await seed_slots(store, slot)
    await store.desk.reserve(a_booking(world.clinic, slot, world.patients[0], now=gql.clock.now()))

    data = await gql.data(
        "{getAppointments{date time} appointments{edges{node{startsAt endsAt}}}}",
        who="receptionist",
    )

    assert data == {
        "getAppointments": [{"date": "2026-03-30", "time": "10:00"}],
        "appointments": {
            "edges": [
                {
                    "node": {
                        "startsAt": "2026-03-30T10:00:00+01:00",
                        "endsAt": "2026-03-30T10:30:00+01:00",
                    }
                }
            ]
        },
    }


# --- connections


async def _pages(gql: Gql, field: str, number: int, arguments: str = "") -> list[list[str]]:
    """Return the ids on each page of `number`."""
    query = (
        f"query($a:String){{{field}(first:{number} after:$a {arguments})"
        "{edges{cursor node{id}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}"
    )
    pages: list[list[str]] = []
    after = None
    while True:
        found = (await gql.data(query, a=after))[field]
        info, edges = found["pageInfo"], found["edges"]
        pages.append([edge["node"]["id"] for edge in edges])
        assert info["hasPreviousPage"] == (after is not None)
        assert info["startCursor"] == (edges[0]["cursor"] if edges else None)
        assert info["endCursor"] == (edges[-1]["cursor"] if edges else None)
        if not info["hasNextPage"]:
            return pages
        after = info["endCursor"]


@pytest.mark.parametrize(("field", "total"), [("slots", 10), ("doctors", 2), ("appointments", 5)])
async def test_pages_follow_each_other(gql: Gql, field: str, total: int) -> None:
    for slot in range(5 if field == "appointments" else 0):
        await gql.book(slot)

    whole = await _pages(gql, field, 100)
    pages = await _pages(gql, field, 2 if total > 2 else 1)

    assert [len(page) for page in pages[:-1]] == [len(pages[0])] * (len(pages) - 1)
    assert sum(len(page) for page in pages) == total
    assert [id for page in pages for id in page] == whole[0]


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
@pytest.mark.parametrize("field", ["slots", "doctors", "appointments"])
async def test_first_beyond_one_to_a_hundred_is_refused(gql: Gql, field: str, first: int) -> None:
    selection = f"{field}(first:%s){{edges{{cursor}}}}"
    conditions = f"$n:Int={first} $skip:Boolean=true"
    asked = [
        await gql.ask(f"query($n:Int){{{selection % '$n'}}}", n=first),
        await gql.ask(f"query($n:Int={first}){{{selection % '$n'}}}"),
        await gql.ask(f"query($n:Int!){{...f}} fragment f on Query{{{selection % '$n'}}}", n=first),
        await gql.ask(f"{{{selection % first}}}"),
        await gql.ask(f"{{...f}} fragment f on Query{{{selection % first}}}"),
        # Even if nothing would be read.
        await gql.ask(f"{{a:{selection % first} b:{selection % 1} {selection % 2} }}"),
        await gql.ask(f"{{doctors{{edges{{cursor}}}} ...@skip(if:true){{a:{selection % first}}}}}"),
        await gql.ask(f"query({conditions}){{...@skip(if:$skip){{{selection % '$n'}}} me{{id}}}}"),
    ]

    codes = ["invalid_variables"] * 3 + ["invalid_document"] * 4 + ["invalid_variables"]
    for answer, code in zip(asked, codes, strict=True):
        [error] = answer.json()["errors"]
        assert answer.status_code == 422
        assert error["extensions"]["code"] == code
        assert error["message"].endswith("first is from 1 to 100.")
    assert "data" not in asked[0].json()


@pytest.mark.parametrize("first", ["null", "1", "100"])
async def test_first_may_be_left_out_null_or_within_its_bounds(gql: Gql, first: str) -> None:
    query = "query($n:Int){slots(first:$n){edges{cursor}}}"

    assert await gql.data(query, n=json.loads(first)) == await gql.data(
        f"{{slots(first:{first}){{edges{{cursor}}}}}}"
    )


@pytest.mark.parametrize("field", ["slots", "doctors", "appointments"])
async def test_cursor_that_is_not_of_this_list_is_an_error(gql: Gql, field: str) -> None:
    await gql.book(0)
    elsewhere = "doctors" if field != "doctors" else "slots"
    data = await gql.data(f"{{{elsewhere}{{edges{{cursor}}}}}}")
    other = data[elsewhere]["edges"][0]["cursor"]
    query = f"query($a:String){{{field}(after:$a){{edges{{cursor}}}}}}"

    for cursor in ("", "x", "é", "A" * 60, other, other[:-2]):
        assert await gql.errors(query, a=cursor) == [("invalid_cursor", [field])]


async def test_cursor_of_other_filters_is_an_error(gql: Gql) -> None:
    data = await gql.data("{slots(status:ALL){edges{cursor}}}")
    cursor = data["slots"]["edges"][0]["cursor"]

    found = await gql.errors("query($a:String){slots(after:$a){edges{cursor}}}", a=cursor)

    assert found == [("invalid_cursor", ["slots"])]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{slots(doctorId:"x"){edges{cursor}}}', "invalid_input"),
        (f'{{slots(doctorId:"{NOBODY}"){{edges{{cursor}}}}}}', "doctor_not_found"),
        ('{slots(specialty:"none"){edges{cursor}}}', "doctor_not_found"),
        ('{slots(specialty:"\\u0000"){edges{cursor}}}', "invalid_input"),
        ('{slots(from:"2026-11-24T09:00:00"){edges{cursor}}}', "naive_datetime"),
        ('{slots(from:"1999-11-24T09:00:00Z"){edges{cursor}}}', "datetime_out_of_range"),
        (
            '{slots(from:"2026-11-25T09:00:00Z" to:"2026-11-24T09:00:00Z"){edges{cursor}}}',
            "end_before_start",
        ),
        (f'{{appointments(patientId:"{NOBODY}"){{edges{{cursor}}}}}}', "patient_not_found"),
        ('{appointments(date:"x"){edges{cursor}}}', "invalid_input"),
    ],
)
async def test_bad_filter_is_an_error_not_an_empty_list(gql: Gql, query: str, code: str) -> None:
    assert [found[0] for found in await gql.errors(query)] == [code]


# --- policy


@pytest.mark.parametrize("who", ["patient", "other"])
async def test_calendar_is_for_staff(gql: Gql, who: str) -> None:
    for status in ("ALL", "BLOCKED"):
        found = await gql.errors(f"{{slots(status:{status}){{edges{{cursor}}}}}}", who=who)

        assert found == [("permission_denied", ["slots"])]


async def test_every_role_may_ask_each_field_as_over_rest(gql: Gql) -> None:
    paths = {
        "getAppointments{id}": "/appointments",
        "appointments{edges{cursor}}": "/appointments",
        "doctors{edges{cursor}}": "/doctors",
        "slots{edges{cursor}}": "/slots",
        "slots(status:ALL){edges{cursor}}": "/slots?status=all",
        "me{id}": "/users/me",
    }
    for who in WHO:
        for field, path in paths.items():
            rest = (await gql.send("GET", who=who, path=path)).status_code
            graphql = (await gql.ask(f"{{{field}}}", who=who)).status_code

            assert (who, field, graphql == 200) == (who, field, rest == 200)


async def test_what_is_read_of_patients_is_noted(gql: Gql) -> None:
    booked = await gql.book(0)
    await gql.data("{a:getAppointments{id} appointments{edges{node{id}}}}", who="doctor")
    await gql.data("{doctors{edges{cursor}}}", who="doctor")
    await gql.services.audit.flush()

    events = [e for e in gql.services.store.events if e.detail.get("route") == "/graphql"]  # type: ignore[attr-defined]

    assert [(e.actor_id, e.action, e.detail["ids"]) for e in events] == [
        (gql.world.doctor.id, "read", [booked["id"]] * 2)
    ]


async def test_what_is_read_twice_for_one_answer_is_noted_once(gql: Gql) -> None:
    booked = await gql.book(0)
    await gql.errors('{getAppointments{id} other:getAppointments(date:"x"){id}}')
    await gql.services.audit.flush()

    events = [e for e in gql.services.store.events if e.detail.get("route") == "/graphql"]  # type: ignore[attr-defined]

    assert [e.detail["ids"] for e in events] == [[booked["id"]]]


async def test_denial_is_noted(gql: Gql) -> None:
    await gql.errors("{slots(status:ALL){edges{cursor}}}", who="patient")
    await gql.services.audit.flush()

    events = [e for e in gql.services.store.events if e.detail.get("route") == "/graphql"]  # type: ignore[attr-defined]

    assert [(e.actor_id, e.outcome) for e in events] == [
        (gql.world.patients[0].id, "permission_denied")
    ]

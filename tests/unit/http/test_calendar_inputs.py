"""Changes of a calendar over HTTP: previewed, repeated, refused when they make no sense, left to a
worker when they concern many slots."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.testing import seed_world
from clinic.usecases.calendar import calendar_changes, change_calendar
from clinic.usecases.calendar.calendar_changes import carry_on
from clinic.usecases.maintenance.align_calendars import align_calendars

DAY, NEXT_DAY = "2026-12-07", "2026-12-08"
NOTHING = {"added": 0, "retired": 0, "blocked": 0, "unblocked": 0, "stranded": []}
SO_ALREADY = "The slots of this time are the same as before."


def rows(api, *, without=("answers",)):
    """Return every row of the store."""
    tables = api.services.store._database.tables.by_name()
    return {name: dict(each.items()) for name, each in tables.items() if name not in without}


@dataclass(frozen=True)
class Request:
    """A request by the office, whose paths and bodies name entities of the scene."""

    method: str
    path: str
    body: Any = None
    who: str = "receptionist"

    async def send(self, calendar, ids, *, preview=False, who=None, **more):
        body = {
            key: ids.get(value, value) if isinstance(value, str) else value
            for key, value in (self.body or {}).items()
        }
        headers = {"if-match": "*"} if self.path == "/clinics/current" else {}
        query = "?preview=true" if preview else ""
        # Without a body, DELETE has none.
        return await calendar.api.send(
            self.method,
            self.path.format(**ids) + query,
            body or None,
            who=who or self.who,
            headers=headers | more.pop("headers", {}),
        )


def post(path, **members):
    return Request("POST", path, {"doctorId": "doctor", **members})


CLOSURES, EXCEPTIONS = "/closures", "/availability-exceptions"
ZONE = Request("PATCH", "/clinics/current", {"timeZone": "Asia/Tokyo", "confirm": 1}, "admin")
CHANGES = {
    "hours": post("/availabilities", date=DAY, startTime="13:00", endTime="14:00", slotMinutes=20),
    "shorter_hours": Request("PATCH", "/availabilities/{hours}", {"startTime": "10:00"}),
    "longer_slots": Request("PATCH", "/availabilities/{hours}", {"slotMinutes": 60}),
    "no_hours": Request("DELETE", "/availabilities/{hours}"),
    "day_off": post(EXCEPTIONS, date=DAY, kind="remove"),
    "no_day_off": Request("DELETE", EXCEPTIONS + "/{day_off}"),
    "closure": Request("POST", CLOSURES, {"name": "Training", "from": DAY}),
    "yearly_closure": Request(
        "POST", CLOSURES, {"name": "Summer", "kind": "yearly", "from": "2025-12-07"}
    ),
    "holidays": Request(
        "POST", CLOSURES, {"name": "Holidays", "kind": "holidays", "country": "ES"}
    ),
    "moved_closure": Request("PATCH", CLOSURES + "/{closure}", {"from": DAY, "until": DAY}),
    "no_closure": Request("DELETE", CLOSURES + "/{closure}"),
    "leave": post("/leaves", **{"from": DAY, "startTime": "08:00", "endTime": "09:10"}),
    "longer_leave": Request("PATCH", "/leaves/{leave}", {"from": DAY}),
    "no_leave": Request("DELETE", "/leaves/{leave}"),
    "block": post("/blocks", **{"from": "2026-12-07T09:10:00Z", "to": "2026-12-07T09:40:00Z"}),
    "no_block": Request("DELETE", "/blocks/{block}"),
    "place": post(
        "/added-places", **{"from": "2026-12-07T13:00:00Z", "to": "2026-12-07T13:20:00Z"}
    ),
    "no_place": Request("DELETE", "/added-places/{place}"),
    "last_day": Request("PATCH", "/doctors/{doctor}", {"lastDay": "2026-12-06"}, "admin"),
    "disabled": Request(
        "PATCH", "/users/{doctor}", {"disabled": True, "appointments": "keep"}, "admin"
    ),
    "zone": ZONE,
    "horizon": Request("PATCH", "/clinics/current", {"policy": {"horizonDays": 36}}, "admin"),
}  # fmt: skip
#: those that leave the appointment of the scene outside the open hours
STRANDING = {
    "shorter_hours", "no_hours", "day_off", "closure", "yearly_closure", "moved_closure", "leave",
    "longer_leave", "block", "last_day", "disabled", "zone",
}  # fmt: skip


@pytest.fixture
async def scene(calendar):
    """Hours every day from 09:00 to 12:00 by 30 minutes, an appointment at 09:00 on DAY, and on the
    days after it a day off, a closure, leave, a block and an added place."""
    await calendar.change_clinic(policy={"horizonDays": 35})
    hours = await calendar.add_hours("09:00", "12:00", 30)
    added = {
        "day_off": await calendar.add(EXCEPTIONS, date="2026-12-08", kind="remove"),
        "closure": await calendar.add(CLOSURES, name="Audit", **{"from": "2026-12-09"}),
        "leave": await calendar.add("/leaves", **{"from": "2026-12-10"}),
        "block": await calendar.add(
            "/blocks", **{"from": "2026-12-11T10:00:00Z", "to": "2026-12-11T11:00:00Z"}
        ),
    }
    evening = {"from": "2026-12-12T18:00:00Z", "to": "2026-12-12T18:20:00Z"}
    added["place"] = await calendar.add("/added-places", **evening)
    booked = await calendar.book(DAY, "09:00")
    ids = {name: each["id"] for name, each in added.items()}
    [blocked] = [each for each in await calendar.slots("2026-12-11") if each["time"] == "10:00"]
    return {
        **ids,
        "doctor": calendar.doctor,
        "hours": hours["id"],
        "appointment": booked["id"],
        "booked_slot": booked["slotId"],
        "blocked_slot": blocked["id"],
    }


# --- previews ---


@pytest.mark.parametrize("name", CHANGES)
async def test_preview_says_what_the_change_does_and_writes_nothing(calendar, scene, name):
    api, change = calendar.api, CHANGES[name]
    before, events = rows(api, without=("events",)), len(api.services.store.events)

    previewed = await change.send(calendar, scene, preview=True)
    await api.services.audit.flush()
    after, read = rows(api, without=("events",)), api.services.store.events[events:]
    done = await change.send(calendar, scene)

    foreseen, effect = previewed.json()["slotsOpened"], done.json()["slotsOpened"]
    assert (previewed.status_code, done.is_success) == (200, True), (previewed.text, done.text)
    assert foreseen.pop("asOf") == "2026-11-23T08:00:00Z"
    assert foreseen == effect
    assert {key: effect[key] for key in NOTHING} != NOTHING
    assert after == before
    stranded = [one["id"] for one in effect["stranded"]]
    assert stranded == ([scene["appointment"]] if name in STRANDING else [])
    assert [event.action for event in read] == ["read"] * len(stranded)
    assert [event.detail["ids"] for event in read] == [[each] for each in stranded]


async def test_preview_is_refused_to_those_who_may_not_change_it(calendar, scene):
    before = rows(calendar.api)

    refusals = {
        (name, who): await change.send(calendar, scene, preview=True, who=who)
        for name, change in CHANGES.items()
        for who in ("patient", "colleague")
    }

    # A doctor does not see others' leave, blocks and added places at all.
    unseen = ("longer_leave", "no_leave", "no_block", "no_place")
    hidden = {(name, "colleague") for name in unseen}
    for each, answer in refusals.items():
        assert answer.status_code == (404 if each in hidden else 403), (each, answer.text)
    assert rows(calendar.api) == before


async def test_text_of_another_form_is_answered_with_an_example(calendar):
    closure = {"name": "Eve", "from": "24.12.2026", "startTime": "noon", "country": "gb"}
    block = {"doctorId": calendar.doctor, "from": "2026-12-07", "to": "2026-12-07T12:00"}

    closed = await calendar.send("POST", CLOSURES, closure, status=400)
    blocked = await calendar.send("POST", "/blocks", block, status=400)
    listed = await calendar.send("GET", "/blocks?from=yesterday", status=400)

    instant = (
        "Write a time with its offset, such as 2026-11-23T09:00:00Z or 2026-11-23T10:00:00+01:00."
    )
    assert {fault["pointer"]: fault["detail"] for fault in closed["errors"]} == {
        "/from": "Write a date such as 2026-11-23.",
        "/startTime": "Write a time as HH:MM, from 00:00 to 23:59.",
        "/country": "Write the country as two capital letters, such as DE.",
    }
    assert [fault["detail"] for fault in blocked["errors"]] == [instant, instant]
    assert listed["errors"] == [{"parameter": "from", "detail": instant}]


async def test_preview_needs_no_confirmation(calendar, scene):
    change = Request("PATCH", "/clinics/current", {"timeZone": "Europe/Berlin"}, "admin")

    answer = await change.send(calendar, scene, preview=True)

    assert (answer.status_code, answer.json()["appointmentsAhead"]) == (200, 1)
    assert answer.json()["timeZone"] == "Europe/Berlin"
    assert (await calendar.send("GET", "/clinics/current"))["timeZone"] == "Europe/London"


STRETCH = "/doctors/{doctor}/slots"
#: changes of slots themselves, and how many slots they concern
OF_SLOTS = {
    "slot_blocked": (Request("PATCH", "/slots/{booked_slot}", {"status": "BLOCKED"}), 1),
    "slot_opened": (Request("PATCH", "/slots/{blocked_slot}", {"status": "OPEN"}), 1),
    "stretch_blocked": (
        Request("PATCH", STRETCH, {"status": "BLOCKED", "from": "2026-12-07T08:00:00Z",
                                   "to": "2026-12-07T10:10:00Z"}),
        3,
    ),
    "stretch_opened": (
        Request("PATCH", STRETCH, {"status": "OPEN", "from": "2026-12-11T10:10:00Z",
                                   "to": "2026-12-11T10:40:00Z"}),
        2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_SLOTS)
async def test_preview_of_slots_says_what_the_change_does_and_writes_nothing(calendar, scene, name):
    api, (change, number) = calendar.api, OF_SLOTS[name]
    before, events = rows(api, without=("events",)), len(api.services.store.events)

    previewed = await change.send(calendar, scene, preview=True)
    await api.services.audit.flush()
    after, read = rows(api, without=("events",)), api.services.store.events[events:]
    done = await change.send(calendar, scene)

    foreseen, effect = previewed.json(), done.json()
    assert (previewed.status_code, done.status_code) == (200, 200), (previewed.text, done.text)
    assert foreseen.pop("asOf") == "2026-11-23T08:00:00Z"
    assert foreseen == effect
    assert len(effect["slots"]) == number
    assert after == before
    hit = [one["id"] for one in effect["appointments"]]
    assert hit == ([scene["appointment"]] if name.endswith("_blocked") else [])
    assert [(event.action, event.detail["ids"]) for event in read] == [
        ("read", [each]) for each in hit
    ]


async def test_preview_of_slots_is_refused_as_the_change_is(calendar, scene):
    before = rows(calendar.api)
    closed = (await calendar.slots("2026-12-09"))[0]["id"]
    others = Request("PATCH", "/slots/{closed}", {"status": "OPEN"})

    for change, _ in OF_SLOTS.values():
        for who in ("patient", "colleague"):
            answer = await change.send(calendar, scene, preview=True, who=who)
            assert answer.status_code == 403, answer.text
    blocked_by = await others.send(calendar, {"closed": closed}, preview=True)

    assert (blocked_by.status_code, blocked_by.json()["code"]) == (409, "blocked_by")
    assert rows(calendar.api) == before


async def test_preview_of_disabling_a_doctor_gives_the_number_to_decide_on(calendar, scene):
    undecided = Request("PATCH", "/users/{doctor}", {"disabled": True}, "admin")

    previewed = await undecided.send(calendar, scene, preview=True)
    refused = await undecided.send(calendar, scene)

    assert (previewed.status_code, previewed.json()["disabled"]) == (200, True)
    assert (refused.status_code, refused.json()["code"]) == (409, "confirmation_needed")
    assert len(previewed.json()["slotsOpened"]["stranded"]) == refused.json()["appointmentsAhead"]


async def test_preview_of_enabling_a_doctor_says_which_slots_come_back(calendar, scene):
    await CHANGES["disabled"].send(calendar, scene)
    enabled = Request("PATCH", "/users/{doctor}", {"disabled": False}, "admin")
    before = rows(calendar.api, without=("events",))

    previewed = await enabled.send(calendar, scene, preview=True)
    after = rows(calendar.api, without=("events",))
    done = await enabled.send(calendar, scene)

    foreseen, effect = previewed.json(), done.json()
    assert foreseen["slotsOpened"].pop("asOf") == "2026-11-23T08:00:00Z"
    assert foreseen == effect
    assert effect["slotsOpened"]["added"] > 0
    assert after == before


async def test_preview_of_a_memberships_end_says_what_it_does_and_writes_nothing(calendar, scene):
    api, ending = calendar.api, Request("DELETE", "/users/{doctor}/membership", None, "admin")
    before, events = rows(api, without=("events",)), len(api.services.store.events)

    previewed = await ending.send(calendar, scene, preview=True)
    await api.services.audit.flush()
    after, read = rows(api, without=("events",)), api.services.store.events[events:]
    undecided = await ending.send(calendar, scene)
    decided = Request("DELETE", ending.path + "?appointments=keep", None, "admin")
    done = await decided.send(calendar, scene)

    foreseen = previewed.json()["slotsOpened"]
    assert (previewed.status_code, previewed.json()["userId"]) == (200, calendar.doctor)
    assert foreseen["asOf"] == "2026-11-23T08:00:00Z"
    assert after == before
    assert [(event.action, event.detail["ids"]) for event in read] == [
        ("read", [scene["appointment"]])
    ]
    stranded = [one["id"] for one in foreseen["stranded"]]
    assert (undecided.status_code, undecided.json()["appointmentsAhead"]) == (409, len(stranded))
    assert (done.status_code, done.content) == (204, b"")
    [event] = [one for one in api.services.store.events if one.action == "end_membership"]
    counts = {key: foreseen[key] for key in ("added", "retired", "blocked", "unblocked")}
    assert counts["retired"] > 0
    assert {key: event.detail[key] for key in counts} == counts
    assert event.detail["stranded"] == stranded


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_preview_of_people_is_refused_as_the_change_is(calendar, scene, method):
    api = calendar.api
    stranger = await seed_world(api.services.store)
    path = "/users/{user}" if method == "PATCH" else "/users/{user}/membership"
    change = Request(method, path, {"disabled": True} if method == "PATCH" else None, "admin")
    before = rows(api)

    async def asked(user, who="admin"):
        answer = await change.send(calendar, {"user": str(user)}, preview=True, who=who)
        return answer.status_code, answer.json()["code"]

    assert await asked(stranger.doctor.id) == (404, "user_not_found")
    assert await asked(api.admin.id) == (400, "invalid_input")
    for who in ("patient", "doctor", "receptionist"):
        assert await asked(calendar.doctor, who) == (403, "permission_denied")
    assert rows(api) == before


async def test_preview_of_somebody_who_is_no_doctor_affects_none(calendar):
    api = calendar.api
    receptionist, patient = str(api.receptionist.id), str(api.world.patients[0].id)
    disabling = Request("PATCH", "/users/{user}", {"disabled": True}, "admin")
    leaving = Request("DELETE", "/users/{user}/membership", None, "admin")
    before, events = rows(api, without=("events",)), len(api.services.store.events)
    nobody = {**NOTHING, "note": "No doctor is affected.", "asOf": "2026-11-23T08:00:00Z"}

    for change in (disabling, leaving):
        answer = await change.send(calendar, {"user": receptionist}, preview=True)
        assert answer.json()["slotsOpened"] == nobody
    await api.services.audit.flush()
    assert len(api.services.store.events) == events
    shown = await disabling.send(calendar, {"user": patient}, preview=True)
    await api.services.audit.flush()

    assert (shown.json()["disabled"], shown.json()["slotsOpened"]) == (True, nobody)
    [read] = api.services.store.events[events:]
    assert (read.action, read.entity_id) == ("read", UUID(patient))
    assert rows(api, without=("events",)) == before


# --- doing it twice ---


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hours", "availability_overlap"),
        ("day_off", "availability_overlap"),
        ("closure", "already_entered"),
        ("yearly_closure", "already_entered"),
        ("holidays", "already_entered"),
        ("leave", "already_entered"),
        ("block", "already_entered"),
        ("no_hours", "availability_not_found"),
        ("no_day_off", "exception_not_found"),
        ("no_closure", "closure_not_found"),
        ("no_leave", "leave_not_found"),
        ("no_block", "block_not_found"),
        ("place", "already_entered"),
        ("no_place", "added_place_not_found"),
    ],
)
async def test_what_is_entered_or_deleted_twice_is_refused(calendar, scene, name, code):
    change, unchanging = CHANGES[name], ("answers", "events")
    first = await change.send(calendar, scene)
    before = rows(calendar.api, without=unchanging)

    second = await change.send(calendar, scene)

    problem, entered = second.json(), first.json()["id"]
    assert (second.status_code, problem["code"]) == (404 if "no_" in name else 409, code)
    if second.status_code == 409:
        assert entered in {value for key, value in problem.items() if key.endswith("Id")}
    assert rows(calendar.api, without=unchanging) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("shorter_hours", "The hours are the same as before."),
        ("moved_closure", "The closure is the same as before."),
        ("longer_leave", "The leave is the same as before."),
        ("last_day", "This is already the last day."),
        ("disabled", "The account is already disabled."),
    ],
)
async def test_change_that_is_made_twice_changes_nothing_and_says_so(calendar, scene, name, why):
    change, unchanging = CHANGES[name], ("answers", "events")
    first = await change.send(calendar, scene)
    before = rows(calendar.api, without=unchanging)

    second = await change.send(calendar, scene)

    assert second.json() == {
        **first.json(),
        "slotsOpened": {
            **NOTHING,
            "stranded": second.json()["slotsOpened"]["stranded"],
            "note": why,
        },
    }
    assert rows(calendar.api, without=unchanging) == before


async def test_zone_that_is_the_clinics_already_changes_no_slot(calendar, scene):
    await ZONE.send(calendar, scene)
    before = rows(calendar.api, without=("answers", "events"))

    again = await ZONE.send(calendar, scene)

    assert again.status_code == 200
    assert "slotsOpened" not in again.json()
    assert rows(calendar.api, without=("answers", "events")) == before


async def test_what_changes_no_slot_says_why(calendar, scene):
    closed = await calendar.add(CLOSURES, name="Closed too", **{"from": "2026-12-10"})
    no_hours = await calendar.add("/leaves", **{"from": "2026-12-08"})
    beyond = await calendar.add("/leaves", **{"from": "2027-11-01"})

    notes = [each["slotsOpened"] for each in (closed, no_hours, beyond)]

    assert [{key: each[key] for key in NOTHING} for each in notes] == [NOTHING] * 3
    assert [each["note"] for each in notes] == [
        SO_ALREADY,
        SO_ALREADY,
        "No slots are open on these days: they are over, or have not been opened yet.",
    ]


# --- what makes no sense ---


REFUSED = {
    "closure_that_ends_before_it_begins": (
        Request("POST", CLOSURES, {"name": "Back", "from": NEXT_DAY, "until": DAY}),
        400, "end_before_start",
    ),
    "closure_that_ends_when_it_begins": (
        Request("POST", CLOSURES,
                {"name": "Never", "from": DAY, "startTime": "09:00", "endTime": "09:00"}),
        400, "end_before_start",
    ),
    "closure_of_800_days": (
        Request("POST", CLOSURES, {"name": "Long", "from": DAY, "until": "2029-02-14"}),
        400, "range_too_long",
    ),
    "yearly_closure_of_a_year": (
        Request("POST", CLOSURES, {"name": "Always", "kind": "yearly", "from": "2027-01-01",
                                   "until": "2028-01-01"}),
        400, "range_too_long",
    ),
    "closure_that_is_over": (
        Request("POST", CLOSURES, {"name": "Gone", "from": "2026-11-20"}), 400, "time_in_past",
    ),
    "holidays_of_no_country": (
        Request("POST", CLOSURES, {"name": "Nowhere", "kind": "holidays", "country": "XX"}),
        400, "unknown_holiday_calendar",
    ),
    "holidays_of_no_subdivision": (
        Request("POST", CLOSURES, {"name": "Nowhere", "kind": "holidays", "country": "GB",
                                   "subdivision": "ZZ"}),
        400, "unknown_holiday_calendar",
    ),
    "hours_that_begin_and_end_at_one_instant": (
        post("/availabilities", date="2027-03-28", startTime="01:00", endTime="02:00",
             slotMinutes=30),
        400, "hours_empty",
    ),
    "added_hours_that_begin_and_end_at_one_instant": (
        post(EXCEPTIONS, date="2027-03-28", kind="add", startTime="01:00", endTime="02:00",
             slotMinutes=30),
        400, "hours_empty",
    ),
    "leave_of_a_doctor_of_another_clinic": (
        Request("POST", "/leaves", {"doctorId": "stranger", "from": DAY}), 404, "doctor_not_found",
    ),
    "block_of_a_doctor_of_another_clinic": (
        Request("POST", "/blocks", {"doctorId": "stranger", "from": "2026-12-07T09:00:00Z",
                                    "to": "2026-12-07T10:00:00Z"}),
        404, "doctor_not_found",
    ),
    "leave_that_ends_before_it_begins": (
        post("/leaves", **{"from": NEXT_DAY, "until": DAY}), 400, "end_before_start",
    ),
    "leave_that_is_over": (
        post("/leaves", **{"from": "2026-11-20"}), 400, "time_in_past",
    ),
    "block_in_the_past": (
        post("/blocks", **{"from": "2026-11-23T06:00:00Z", "to": "2026-11-23T07:59:00Z"}),
        400, "time_in_past",
    ),
    "block_that_ends_before_it_begins": (
        post("/blocks", **{"from": "2026-12-07T10:00:00Z", "to": "2026-12-07T09:00:00Z"}),
        400, "end_before_start",
    ),
    "block_without_an_offset": (
        post("/blocks", **{"from": "2026-12-07T09:00:00", "to": "2026-12-07T10:00:00"}),
        400, "naive_datetime",
    ),
    "block_that_ends_in_another_year_in_utc": (
        post("/blocks", **{"from": "2199-12-31T00:00:00-12:00", "to": "2199-12-31T23:00:00-12:00"}),
        400, "datetime_out_of_range",
    ),
    "zone_without_a_confirmation": (
        Request("PATCH", "/clinics/current", {"timeZone": "Europe/Berlin"}, "admin"),
        409, "confirmation_needed",
    ),
    "zone_with_another_number_confirmed": (
        Request("PATCH", "/clinics/current", {"timeZone": "Europe/Berlin", "confirm": 2}, "admin"),
        409, "confirmation_needed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("2026-12-07T09:00:00", "naive_datetime"),
        ("0001-01-01T00:00:00%2B14:00", "datetime_out_of_range"),
        ("9999-12-31T23:00:00-12:00", "datetime_out_of_range"),
    ],
)
@pytest.mark.parametrize("bound", ["from", "to"])
async def test_blocks_are_not_listed_by_a_time_that_makes_no_sense(
    calendar, scene, bound, when, code
):
    answer = await calendar.api.send("GET", f"/blocks?{bound}={when}", who="receptionist")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code), answer.text
    assert problem["errors"][0]["parameter"] == bound


@pytest.mark.parametrize("name", REFUSED)
async def test_what_makes_no_sense_is_a_problem_with_a_remedy(calendar, scene, name):
    request, status, code = REFUSED[name]
    stranger = await seed_world(calendar.api.services.store)
    scene = {**scene, "stranger": str(stranger.doctor.id)}
    before = rows(calendar.api)

    answer = await request.send(calendar, scene)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    remedy = (await calendar.api.client.get(problem["type"])).json()["mend"]
    assert len(remedy) > 20
    assert status != 400 or problem["errors"][0]["detail"]
    assert rows(calendar.api) == before


# --- slots that are opened while something else closes them ---


@pytest.mark.parametrize("which", ["slot", "stretch"])
@pytest.mark.parametrize(
    ("day", "kind"),
    [("2026-12-09", "closure"), ("2026-12-10", "leave")],
)
async def test_slot_that_is_closed_cannot_be_opened(calendar, scene, day, kind, which):
    [slot, *_] = await calendar.slots(day)
    path, body = f"/slots/{slot['id']}", {"status": "OPEN"}
    if which == "stretch":
        path = f"/doctors/{calendar.doctor}/slots"
        body |= {"from": f"{day}T09:00:00Z", "to": f"{day}T12:00:00Z"}
    before = rows(calendar.api)

    problem = await calendar.send("PATCH", path, body, status=409)

    names = {"closure": "Audit"}
    by = {"kind": kind, "id": scene[kind]} | ({"name": names[kind]} if kind in names else {})
    assert (problem["code"], problem["blockedBy"]) == ("blocked_by", [by])
    why = {"closure": "the clinic is closed (Audit)", "leave": "the doctor is on leave"}[kind]
    assert problem["detail"] == f"This time cannot be opened: {why}."
    assert slot["blockedBy"] == [by]
    assert rows(calendar.api) == before


async def test_slots_are_shown_whichever_holidays_are_known(calendar, scene):
    """Given a closure on holidays of a country that the installed package does not know
    When the office lists slots, or reads one
    Then it is told what else blocks them."""
    store, day = calendar.api.services.store, "2026-12-10"
    clinic_id, closure_id = calendar.api.world.clinic.id, calendar.api.services.new_id()
    async with store.begin() as unit:
        await unit.closings.add(
            Closure(closure_id, clinic_id, "Unknown", ClosureKind.HOLIDAYS, country="XX")
        )
        await unit.commit()

    [slot, *_] = await calendar.slots(day)
    again = await calendar.send("GET", f"/slots/{slot['id']}")

    assert slot["blockedBy"] == again["blockedBy"] == [{"kind": "leave", "id": scene["leave"]}]


async def test_slot_without_hours_cannot_be_opened(calendar, scene):
    booked = await calendar.send("GET", f"/appointments/{scene['appointment']}")
    await CHANGES["day_off"].send(calendar, scene)
    path = f"/slots/{booked['slotId']}"
    before = rows(calendar.api)

    problem = await calendar.send("PATCH", path, {"status": "OPEN"}, status=409)

    assert (problem["code"], problem["blockedBy"]) == ("blocked_by", [{"kind": "no_hours"}])
    assert problem["detail"] == "This time cannot be opened: the doctor has no hours then."
    assert rows(calendar.api) == before


async def test_opening_a_time_cuts_its_slots_out_of_the_blocks(calendar):
    """Given a block of the morning
    When ten minutes of it are opened
    Then the whole slot that they are in is open, and the block is left before and after it."""
    await calendar.add_hours("09:00", "12:00", 30)
    morning = {"from": "2026-12-07T09:00:00Z", "to": "2026-12-07T12:00:00Z", "reason": "Audit"}
    block = await calendar.add("/blocks", **morning)
    stretch = {"from": "2026-12-07T10:05:00Z", "to": "2026-12-07T10:15:00Z", "status": "OPEN"}
    path = f"/doctors/{calendar.doctor}/slots"

    opened = await calendar.send("PATCH", path, stretch)
    again = await calendar.send("PATCH", path, stretch)

    assert [slot["time"] for slot in opened["slots"]] == ["10:00"]
    assert again == {"slots": [], "appointments": [], "note": "Nothing blocks this time."}
    states = {slot["time"]: slot["status"] for slot in await calendar.slots(DAY)}
    assert [time for time, state in states.items() if state == "OPEN"] == ["10:00"]
    left = (await calendar.send("GET", "/blocks"))["items"]
    assert [(each["from"], each["to"], each["reason"]) for each in left] == [
        ("2026-12-07T09:00:00Z", "2026-12-07T10:00:00Z", "Audit"),
        ("2026-12-07T10:30:00Z", "2026-12-07T12:00:00Z", "Audit"),
    ]
    assert left[0]["id"] == block["id"]
    [event] = [one for one in calendar.api.services.store.events if one.action == "cut_blocks"]
    assert (event.entity_id, event.detail["unblocked"]) == (UUID(calendar.doctor), 1)


async def test_patients_see_a_closure_by_name_and_no_reason_of_staff(calendar, scene):
    async def seen(day):
        [slot, *_] = await calendar.slots(day)
        return (await calendar.send("GET", f"/slots/{slot['id']}", who="patient"))["blockedBy"]

    assert await seen("2026-12-09") == [{"kind": "closure", "name": "Audit"}]
    assert await seen("2026-12-10") == [{"kind": "no_hours"}]


# --- changes that a worker carries out ---


@pytest.fixture
def by_worker(monkeypatch):
    """Changes of more than 20 slots are left to the worker, which aligns two days at a time."""
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 20)
    monkeypatch.setattr(calendar_changes, "STEP_DAYS", 2)


async def test_large_change_is_carried_out_by_the_worker_nearest_days_first(calendar, by_worker):
    """Given a closure of six days, which concerns more slots than one transaction takes
    When it is entered
    Then the answer is 202 with its address, slots can be booked until it is their turn, and the
    worker goes from the nearest days to the last, until the progress says that it is done."""
    api = calendar.api
    await calendar.add_hours("09:00", "11:00", 30)
    closure = {"name": "Move", "from": DAY, "until": "2026-12-12"}

    accepted = await api.send("POST", CLOSURES, closure, who="receptionist")
    address = accepted.headers["location"]
    pending = await calendar.send("GET", address)
    old = await calendar.book("2026-12-12", "09:00")
    near = await calendar.book(DAY, "10:00", who="other")
    store, days = api.services.store, []
    while work := await store.calendar_changes.next_work(limit=1):
        days.append(str(work[0].next_day))
        await carry_on(api.services.resources.context.as_system(work[0].clinic_id), work[0])
    done = await calendar.send("GET", address)
    listed = await calendar.send("GET", "/calendar-changes")

    assert (accepted.status_code, accepted.json()["name"]) == (202, "Move")
    assert accepted.json()["slotsOpened"]["calendarChange"]["id"] == pending["id"]
    assert address == f"/calendar-changes/{pending['id']}"
    concerned = {"from": DAY, "until": "2026-12-12", "doctors": 3}
    assert pending == pending | {**NOTHING, **concerned, "status": "pending", "doctorsDone": 0}
    assert days == sorted(days)
    assert set(days) == {DAY, "2026-12-09", "2026-12-11"}
    assert done == done | {**concerned, "status": "done", "doctorsDone": 3, "blocked": 6 * 4}
    assert [one["id"] for one in done["stranded"]] == [near["id"], old["id"]]
    assert [each["id"] for each in listed["items"]] == [pending["id"]]
    slots = await calendar.slots(DAY, "2026-12-13")
    states = {(slot["date"], slot["status"]) for slot in slots}
    closed = {(f"2026-12-{day:02}", "BLOCKED") for day in range(7, 13)}
    assert states == {*closed, ("2026-12-13", "OPEN")}


async def test_unchanged_closure_is_no_large_change(calendar, by_worker):
    await calendar.add_hours("09:00", "11:00", 30)
    closed = {"name": "Closed", "from": DAY, "until": "2026-12-12"}
    large = await calendar.api.send("POST", CLOSURES, closed, who="receptionist")

    answer = await calendar.api.send(
        "PATCH", f"/closures/{large.json()['id']}", {"name": "Closed"}, who="receptionist"
    )

    assert (large.status_code, answer.status_code) == (202, 200), answer.text
    assert answer.json()["slotsOpened"] == {**NOTHING, "note": "The closure is the same as before."}
    listed = await calendar.api.send("GET", "/calendar-changes", who="receptionist")
    assert len(listed.json()["items"]) == 1


async def test_new_name_of_a_closure_concerns_no_slot_and_is_no_large_change(calendar, by_worker):
    """Given a large closure that is left to the worker, which has not begun
    When it gets another name
    Then that is stored at once, and the slots still wait for the worker."""
    api = calendar.api
    await calendar.add_hours("09:00", "11:00", 30)
    closed = {"name": "Closed", "from": DAY, "until": "2026-12-12"}
    large = await api.send("POST", CLOSURES, closed, who="receptionist")
    path, renamed = f"{CLOSURES}/{large.json()['id']}", {"name": "Building works"}
    before = rows(api, without=("answers", "events", "closures"))

    previewed = await api.send("PATCH", f"{path}?preview=true", renamed, who="receptionist")
    kept = (await calendar.send("GET", path))["name"]
    answer = await api.send("PATCH", path, renamed, who="receptionist")
    stored = (await calendar.send("GET", path))["name"]

    nothing = {**NOTHING, "note": "Only the name has changed, which no slot depends on."}
    assert (large.status_code, answer.status_code) == (202, 200), answer.text
    assert answer.json()["slotsOpened"] == nothing
    assert previewed.json()["slotsOpened"] == {**nothing, "asOf": "2026-11-23T08:00:00Z"}
    assert (kept, stored) == ("Closed", "Building works")
    assert rows(api, without=("answers", "events", "closures")) == before
    [event] = [one for one in api.services.store.events if one.action == "change_closure"]
    assert (str(event.entity_id), event.detail["blocked"]) == (large.json()["id"], 0)
    await align_calendars(api.services.resources)
    assert {slot["blockedBy"][0]["name"] for slot in await calendar.slots(DAY)} == {
        "Building works"
    }


async def test_new_name_and_new_days_of_a_closure_are_aligned(calendar, scene):
    change = Request("PATCH", CLOSURES + "/{closure}", {"name": "Works", "from": DAY})

    answer = await change.send(calendar, scene)

    effect = answer.json()["slotsOpened"]
    assert (answer.json()["name"], effect["blocked"]) == ("Works", 6)
    assert [one["id"] for one in effect["stranded"]] == [scene["appointment"]]


async def test_large_change_shows_its_progress_doctor_by_doctor(calendar, by_worker):
    api = calendar.api
    await calendar.add_hours("09:00", "11:00", 30)
    closure = {"name": "Move", "from": DAY, "until": "2026-12-12"}
    accepted = await api.send("POST", CLOSURES, closure, who="receptionist")
    address, store = accepted.headers["location"], api.services.store

    seen = []
    while work := await store.calendar_changes.next_work(limit=1):
        await carry_on(api.services.resources.context.as_system(work[0].clinic_id), work[0])
        progress = await calendar.send("GET", address)
        seen.append((progress["doctorsDone"], progress["blocked"], progress["status"]))

    assert len(seen) == 3 * 3
    assert seen == sorted(seen, key=lambda each: each[:2])
    assert {each[0] for each in seen[:-3]} == {0}
    assert [each[0] for each in seen[-3:]] == [1, 2, 3]
    assert seen[-1] == (3, 24, "done")
    assert {each[2] for each in seen[:-1]} == {"pending"}


async def test_worker_leaves_nothing_of_a_large_change_undone(calendar, by_worker):
    """Given a closure that the worker blocks, and its deletion before it has begun
    When maintenance runs
    Then the slots are open as before, under their ids."""
    api = calendar.api
    await calendar.add_hours("09:00", "11:00", 30)
    before = await calendar.slots(DAY, "2026-12-12")
    closure = {"name": "Move", "from": DAY, "until": "2026-12-12"}
    added = (await api.send("POST", CLOSURES, closure, who="receptionist")).json()
    blocked = await align_calendars(api.services.resources)
    during = await calendar.slots(DAY, "2026-12-12")

    deleted = await calendar.send("DELETE", f"{CLOSURES}/{added['id']}", status=202)
    opened = await align_calendars(api.services.resources)

    assert (blocked, opened) == ({"slots_aligned": 24}, {"slots_aligned": 24})
    assert {slot["status"] for slot in during} == {"BLOCKED"}
    assert deleted["slotsOpened"]["calendarChange"]["action"] == "delete_closure"
    assert await calendar.slots(DAY, "2026-12-12") == before
    assert await align_calendars(api.services.resources) == {"slots_aligned": 0}


async def test_large_preview_is_answered_at_once(calendar, by_worker):
    await calendar.add_hours("09:00", "11:00", 30)
    closure = Request("POST", CLOSURES, {"name": "Move", "from": DAY, "until": "2026-12-12"})
    before = rows(calendar.api)

    previewed = await closure.send(calendar, {}, preview=True)

    assert (previewed.status_code, previewed.json()["slotsOpened"]["blocked"]) == (200, 24)
    assert rows(calendar.api) == before


async def test_sheet_of_an_appointment_that_a_large_zone_change_puts_on_another_day(
    calendar, by_worker
):
    """Given an appointment in the evening of a clinic's only weekday in New York
    When the zone becomes Berlin's, and the worker has carried that out
    Then there is a sheet for the next day, on which the appointment is now."""
    await calendar.change_clinic(timeZone="America/New_York")
    await calendar.add_hours("18:00", "20:00", 30, weekdays=["mon"])
    path = f"/doctors/{calendar.doctor}/slots?from=2026-12-07T23:00:00Z"
    [slot, *_] = (await calendar.send("GET", path))["items"]
    await calendar.send("POST", "/appointments", {"slotId": slot["id"]}, who="patient")

    body, headers = {"timeZone": "Europe/Berlin", "confirm": 1}, {"if-match": "*"}
    path = "/clinics/current"
    accepted = await calendar.api.send("PATCH", path, body, who="admin", headers=headers)
    await align_calendars(calendar.api.services.resources)

    asked = {"kind": "day_sheet", "from": "2026-12-06T00:00:00Z", "to": "2026-12-08T12:00:00Z"}
    sheets = await calendar.send("GET", f"/notifications?{httpx.QueryParams(asked)}")
    due = {each["scheduledFor"] for each in sheets["items"] if each["userId"] == calendar.doctor}
    progress = await calendar.send("GET", accepted.headers["location"])
    assert (accepted.status_code, accepted.json()["timeZone"]) == (202, "Europe/Berlin")
    assert (progress["action"], progress["status"]) == ("change_clinic", "done")
    assert due == {"2026-12-06T17:00:00Z", "2026-12-07T17:00:00Z"}

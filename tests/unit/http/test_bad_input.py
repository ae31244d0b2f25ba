"""Every invalid request gets its own code, and nothing is changed."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from clinic.domain.errors import SlotNotFound
from clinic.entrypoints.http.kernel.problems import problem_body
from clinic.settings import Settings


@dataclass
class Bad:
    """A request, and its expected response."""

    method: str
    path: str
    body: Any = None
    who: str | None = "receptionist"
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    status: int = 400
    code: str = "invalid_input"
    #: the pointers of all its errors
    where: tuple[str, ...] | None = None

    def __str__(self) -> str:
        said = (self.content or json.dumps(self.body).encode())[:60]
        return f"{self.method} {self.path} {said!r} {self.headers}"


# Names in braces are replaced by ids of the test's clinic.
BOOK = {"slotId": "{slot}", "patientId": "{patient}"}
HOURS = {
    "doctorId": "{doctor}",
    "weekdays": ["mon"],
    "startTime": "14:00",
    "endTime": "16:00",
    "slotMinutes": 30,
}
BLOCK = {"from": "2026-11-24T09:00:00Z", "to": "2026-11-24T10:00:00Z", "status": "BLOCKED"}
MATCH = {"if-match": "*"}
DOCTOR_SLOTS = "/doctors/{doctor}/slots"
APPOINTMENT = "/appointments/{appointment}"


def book(more: Any = None, **rest: Any) -> Bad:
    return Bad("POST", "/appointments", {**BOOK, **(more or {})}, **rest)


def hours(more: Any = None, **rest: Any) -> Bad:
    return Bad("POST", "/availabilities", {**HOURS, **(more or {})}, **rest)


def block(more: Any = None, **rest: Any) -> Bad:
    return Bad("PATCH", DOCTOR_SLOTS, {**BLOCK, **(more or {})}, **rest)


def raw(content: bytes, **rest: Any) -> Bad:
    return Bad("POST", "/appointments", content=content, **rest)


def get(path: str, **rest: Any) -> Bad:
    return Bad("GET", path, **rest)


BODIES = [
    raw(b"", where=("/slotId",)),
    raw(b"{", code="malformed_json"),
    raw(b'{"slotId": "\xff"}', code="malformed_json"),
    raw(b'{"slotId": NaN}', code="malformed_json"),
    raw(b'\xef\xbb\xbf{"slotId": 1}', code="malformed_json"),
    raw(b'{"reason": "\\ud800"}', code="malformed_json"),
    raw(b'{"slotId":' + b"[" * 60_000, code="malformed_json"),
    raw(b'{"slotId":' + b"[" * 20_000 + b"]" * 20_000 + b"}", code="malformed_json"),
    raw(b'{"slotId":"{slot}","slotId":"{slot}","patientId":"{patient}"}', code="malformed_json"),
    raw(
        b'{"slotId":"{slot}","slot\\u0049d":"{slot}","patientId":"{patient}"}',
        code="malformed_json",
    ),
    raw(
        b'{"\\u0073lotId":"{slot}","slotId":"{slot}","patientId":"{patient}"}',
        code="malformed_json",
    ),
    raw(
        b'{"slotId":"{slot}","patientId":"{patient}","type":"a","\\u0074ype":"b\\n"}',
        code="malformed_json",
    ),
    raw(b'{"slotId":"{slot}","SlotId":"{slot}","patientId":"{patient}"}', where=("/SlotId",)),
    Bad(
        "PATCH",
        "/clinics/current",
        content=b'{"policy":{"noticeMin":1,"noticeMin":2}}',
        who="admin",
        headers={"if-match": "*"},
        code="malformed_json",
    ),
    Bad(
        "PATCH",
        "/clinics/current",
        content=b'{"policy":{"noticeMin":1,"notice\\u004din":2}}',
        who="admin",
        headers={"if-match": "*"},
        code="malformed_json",
    ),
    raw(b"[]", where=("",)),
    raw(b"null", where=("",)),
    raw(b'"text"', where=("",)),
    raw(b'{"override": 1e999, "slotId": "{slot}"}', where=("/override",)),
    raw(b'{"override": ' + b"9" * 5000 + b', "slotId": "{slot}"}'),
    book({"slotId": None}, where=("/slotId",)),
    book({"slotId": 7}, where=("/slotId",)),
    book({"slotId": "x"}, where=("/slotId",)),
    book({"slotId": True, "extra": 1, "type": 5}, where=("/extra", "/slotId", "/type")),
    book({"override": 1}, where=("/override",)),
    book({"override": "true"}, where=("/override",)),
    book({"a/b~c": 1}, where=("/a~1b~0c",)),
    book({"type": ""}, where=("/type",)),
    book({"type": "x" * 81}, where=("/type",)),
    book({"type": "x" * 3000}, where=("/type",)),
    book({"type": "line\nbreak\x07"}, where=("/type",)),
    book({"reason": "nul \0"}, where=("/reason",)),
    book({"reason": "x" * 501}, where=("/reason",)),
    book({"status": "COMPLETED"}, where=("/status",)),
    book({"patientId": None}, where=("/patientId",)),
    Bad("POST", "/swaps", {"appointmentIds": ["{appointment}"]}, where=("/appointmentIds",)),
    Bad("POST", "/swaps", {"appointmentIds": ["{appointment}", "x"]}, where=("/appointmentIds/1",)),
    Bad("POST", "/swaps", {"appointmentIds": "{appointment}"}, where=("/appointmentIds",)),
    Bad("POST", "/swaps", {"appointmentIds": ["{appointment}"] * 2}, where=("/appointmentIds",)),
    Bad("PATCH", APPOINTMENT, {}, headers=MATCH, where=("/status",)),
    Bad(
        "PATCH",
        APPOINTMENT,
        {"status": "CANCELLED", "slotId": "{slot}"},
        headers=MATCH,
        where=("/status",),
    ),
    Bad("PATCH", APPOINTMENT, {"status": "cancelled"}, headers=MATCH, where=("/status",)),
    Bad("PATCH", APPOINTMENT, {"status": 3}, headers=MATCH, where=("/status",)),
    hours({"weekdays": ["monday"]}, where=("/weekdays/0",)),
    hours({"weekdays": []}, where=("/weekdays",)),
    hours({"weekdays": None}, where=("/weekdays",)),
    hours({"date": "2026-12-01"}, where=("/weekdays",)),
    hours({"date": "2026-13-01"}, where=("/date",)),
    hours({"date": "2026-12-01T00:00:00Z"}, where=("/date",)),
    hours({"startTime": "9:00"}, where=("/startTime",)),
    hours({"startTime": 900}, where=("/startTime",)),
    hours({"startTime": "24:00"}, where=("/startTime",)),
    hours({"startTime": "09:00:00"}, where=("/startTime",)),
    hours({"startTime": "14:00\n"}, where=("/startTime",)),
    hours({"endTime": "16:00\n"}, where=("/endTime",)),
    hours({"slotMinutes": "30"}, where=("/slotMinutes",)),
    hours({"slotMinutes": 30.0}, where=("/slotMinutes",)),
    hours({"slotMinutes": True}, where=("/slotMinutes",)),
    hours({"slotMinutes": 0}, where=("/slotMinutes",)),
    hours({"slotMinutes": -30}, where=("/slotMinutes",)),
    hours({"slotMinutes": 10**30}, where=("/slotMinutes",)),
    hours({"endTime": "14:00"}, code="end_before_start", where=("/endTime",)),
    hours({"endTime": "13:00"}, code="end_before_start", where=("/endTime",)),
    hours({"endTime": "15:50"}, code="availability_remainder", where=("/endTime",)),
    hours({"validFrom": "1999-12-31"}, code="datetime_out_of_range", where=("/validFrom",)),
    hours({"validUntil": "9999-12-31"}, code="datetime_out_of_range", where=("/validUntil",)),
    hours(
        {"validFrom": "2026-12-02", "validUntil": "2026-12-01"},
        code="end_before_start",
        where=("/validUntil",),
    ),
    block({"from": "2026-11-24T09:00:00"}, code="naive_datetime", where=("/from",)),
    block({"to": "2026-11-24 10:00:00"}, code="naive_datetime", where=("/to",)),
    block({"from": "0001-01-01T00:00:00+14:00"}, code="datetime_out_of_range", where=("/from",)),
    block({"to": "9999-12-31T23:59:59-12:00"}, code="datetime_out_of_range", where=("/to",)),
    block({"from": "1999-12-31T23:59:59Z"}, code="datetime_out_of_range", where=("/from",)),
    block({"to": "2200-01-01T00:00:00Z"}, code="datetime_out_of_range", where=("/to",)),
    block({"from": "0000-01-01T00:00:00Z"}, where=("/from",)),
    block({"from": 0}, where=("/from",)),
    block({"from": 1764000000.5}, where=("/from",)),
    block({"from": "1764000000"}, where=("/from",)),
    block({"from": "2026-11-24"}, where=("/from",)),
    block({"to": "2026-11-24T09:00:00Z"}, code="end_before_start", where=("/to",)),
    block({"status": "RETIRED"}, where=("/status",)),
    Bad("POST", DOCTOR_SLOTS, {"until": "2020-01-01"}, where=("/until",)),
    Bad("POST", DOCTOR_SLOTS, {"until": "2199-01-01"}, where=("/until",)),
    Bad("POST", DOCTOR_SLOTS, {"until": 20270101}, where=("/until",)),
    Bad(
        "POST",
        "/availability-exceptions",
        {"doctorId": "{doctor}", "date": "2026-12-24", "kind": "add"},
        where=("/startTime",),
    ),
    Bad(
        "POST",
        "/availability-exceptions",
        {"doctorId": "{doctor}", "date": "0001-01-01", "kind": "remove"},
        code="datetime_out_of_range",
        where=("/date",),
    ),
    Bad("POST", "/patients", {"name": "", "email": "a@b.example"}, where=("/name",)),
    Bad("POST", "/patients", {"name": "A", "email": "a@b@c"}, where=("/email",)),
    Bad("POST", "/patients", {"name": "A", "email": "\0@b.example"}, where=("/email",)),
    Bad("POST", "/patients", {"name": "A\u202e", "email": "a@b.example"}, where=("/name",)),
    Bad("POST", "/patients", {"name": "A\u200d", "email": "a@b.example"}, where=("/name",)),
    Bad(
        "DELETE",
        "/availabilities/{unknown}?reason=%E2%80%AEx",
        where=("reason",),
    ),
    Bad(
        "PATCH",
        "/clinics/current",
        {"name": "B", "timeZone": "posixrules"},
        who="admin",
        headers=MATCH,
        code="unknown_time_zone",
        where=("/timeZone",),
    ),
    Bad(
        "POST",
        "/patients",
        {"name": "A", "email": "a@b.example", "phone": "call me"},
        code="phone_number_refused",
        where=("/phone",),
    ),
    Bad(
        "POST",
        "/patients",
        {"name": "A", "email": "a@b.example", "role": "ADMIN"},
        where=("/role",),
    ),
    Bad("POST", "/patients", {"name": 1, "mail": ""}, where=("/mail", "/name", "/email")),
    Bad("POST", "/clinics", {"name": "B"}, who="admin", status=403, code="operator_only"),
    Bad(
        "PATCH",
        "/clinics/current",
        {"policy": {"noticeMin": -1}},
        who="admin",
        headers=MATCH,
        where=("/policy/noticeMin",),
    ),
    Bad(
        "PATCH",
        "/clinics/current",
        {"policy": {"noticeMin": "1", "bogus": 2, "reminderLeadsMin": [1, "2"]}},
        who="admin",
        where=("/policy/bogus", "/policy/noticeMin", "/policy/reminderLeadsMin/1"),
    ),
    Bad(
        "PATCH",
        "/clinics/current",
        {"policy": {"reminderLeadsMin": [1, 2, 3, 4, 5, 6]}},
        who="admin",
        headers=MATCH,
        where=("/policy/reminderLeadsMin",),
    ),
]

QUERIES = [
    get("/slots?colour=red", code="unknown_parameter", where=("colour",)),
    get("/users/me?x=1", code="unknown_parameter", where=("x",)),
    get("/appointments/{appointment}?x", code="unknown_parameter", where=("x",)),
    get("/slots?limit=1&limit=2", where=("limit",)),
    get("/slots?limit=0", where=("limit",)),
    get("/slots?limit=201", where=("limit",)),
    get("/slots?limit=-1", where=("limit",)),
    get("/slots?limit=ten", where=("limit",)),
    get("/slots?limit=1.0", where=("limit",)),
    get("/slots?limit=" + "9" * 400, where=("limit",)),
    get("/slots?limit=%D9%A3", where=("limit",)),
    get("/slots?limit=", where=("limit",)),
    get("/slots?limit=x&doctor=y", where=("limit", "doctor")),
    get("/slots?doctor=x", where=("doctor",)),
    get("/slots?status=free", where=("status",)),
    get("/slots?from=0", where=("from",)),
    get("/slots?from=2026-11-24T09:00:00", code="naive_datetime", where=("from",)),
    get("/slots?to=9999-12-31T23:59:59Z", code="datetime_out_of_range", where=("to",)),
    get(
        "/slots?from=2026-11-25T09:00:00Z&to=2026-11-24T09:00:00Z",
        code="end_before_start",
        where=("to",),
    ),
    get("/slots?specialty=%00", where=("specialty",)),
    get("/slots?specialty=%ff", code="bad_request"),
    get("/slots?specialty=%ED%A0%80", code="bad_request"),
    get("/slots?" + "&".join(f"a{n}=1" for n in range(100)), code="bad_request"),
    get("/slots?cursor=x", code="invalid_cursor", where=("cursor",)),
    get("/slots?cursor=" + "A" * 150, code="invalid_cursor", where=("cursor",)),
    get("/slots?cursor=%C3%A9", code="invalid_cursor", where=("cursor",)),
    get("/slots?cursor=" + "A" * 500, where=("cursor",)),
    get("/appointments?status=GONE", where=("status",)),
    get("/users?role=boss", who="admin", where=("role",)),
    get("/notifications?kind=remainder", where=("kind",)),
    get("/notifications?status=gone", where=("status",)),
    get("/appointments?date=2026-11-31", where=("date",)),
    get("/appointments?date=0001-01-01", code="datetime_out_of_range", where=("date",)),
    get("/appointments?date=9999-12-31", code="datetime_out_of_range", where=("date",)),
]

REFUSALS = [
    get("/slots", who=None, status=401, code="not_signed_in"),
    get("/nowhere", status=404, code="not_found"),
    get("/nowhere", who=None, status=404, code="not_found"),
    get("/appointments/x", status=404, code="not_found"),
    get("/appointments/%00", status=404, code="not_found"),
    get("/appointments/{unknown}", status=404, code="appointment_not_found"),
    get("/appointments/urn:uuid:{appointment}", status=404, code="not_found"),
    get("/slots/{unknown}", status=404, code="slot_not_found"),
    get("/doctors/{unknown}", status=404, code="doctor_not_found"),
    get("/doctors/{unknown}/slots", status=404, code="doctor_not_found"),
    get("/patients/{unknown}", status=404, code="patient_not_found"),
    get("/patients/{patient}", who="other", status=404, code="patient_not_found"),
    get("/patients", who="patient", status=403, code="permission_denied"),
    get("/availabilities/{unknown}", status=404, code="availability_not_found"),
    get("/availability-exceptions/{unknown}", status=404, code="exception_not_found"),
    get("/slots?status=all", who="patient", status=403, code="permission_denied"),
    get("/slots?doctor={unknown}", status=404, code="doctor_not_found"),
    get("/slots?specialty=Astrology", status=404, code="doctor_not_found"),
    get("/appointments?patient={unknown}", status=404, code="patient_not_found"),
    book({"slotId": "{unknown}"}, status=404, code="slot_not_found"),
    book({"patientId": "{unknown}"}, status=404, code="patient_not_found"),
    book(who="other", status=404, code="patient_not_found"),
    book({"slotId": "{taken}"}, status=409, code="slot_taken"),
    book({"slotId": "{blocked}"}, status=409, code="slot_blocked"),
    book({"slotId": "{same_time}"}, status=409, code="patient_busy"),
    book({"slotId": "{same_time}"}, who="doctor", status=403, code="permission_denied"),
    Bad("POST", "/doctors", {}, who="receptionist", status=403, code="permission_denied"),
    Bad("POST", "/patients", {}, who="doctor", status=403, code="permission_denied"),
    Bad("POST", "/clinics", {}, who="receptionist", status=403, code="permission_denied"),
    Bad("PATCH", "/clinics/current", {}, who="patient", status=403, code="permission_denied"),
    hours(who="patient", status=403, code="permission_denied"),
    hours(who="colleague", status=403, code="permission_denied"),
    hours({"doctorId": "{unknown}"}, status=404, code="doctor_not_found"),
    block(who="patient", status=403, code="permission_denied"),
    block(who="colleague", status=403, code="permission_denied"),
    Bad("DELETE", "/availabilities/{unknown}", status=404, code="availability_not_found"),
    Bad("DELETE", "/availability-exceptions/{unknown}", status=404, code="exception_not_found"),
    Bad(
        "PATCH",
        APPOINTMENT,
        {"slotId": "{own_slot}"},
        headers=MATCH,
        status=409,
        code="same_slot",
    ),
    Bad(
        "PATCH",
        APPOINTMENT,
        {"status": "COMPLETED"},
        headers=MATCH,
        status=409,
        code="too_early",
    ),
    Bad(
        "PATCH",
        APPOINTMENT,
        {"status": "EXPIRED"},
        headers=MATCH,
        status=409,
        code="transition_not_allowed",
    ),
    Bad("PUT", "/appointments", {}, status=405, code="method_not_allowed"),
    Bad("PUT", APPOINTMENT, {}, status=405, code="method_not_allowed"),
    Bad("DELETE", "/slots/{slot}", status=405, code="method_not_allowed"),
    book(headers={"content-type": "text/plain"}, status=415, code="unsupported_media_type"),
    book(headers={"content-type": ""}, status=415, code="unsupported_media_type"),
    book(
        headers={"content-type": "application/json; charset=latin-1"},
        status=415,
        code="unsupported_media_type",
    ),
    raw(b"x" * 70_000, status=413, code="body_too_large"),
]


def _filled(value: Any, ids: dict[str, str]) -> Any:
    """Return `value` with names in braces replaced by ids."""
    if isinstance(value, str):
        for name, text in ids.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, bytes):
        return _filled(value.decode("latin-1"), ids).encode("latin-1")
    if isinstance(value, dict):
        return {name: _filled(inner, ids) for name, inner in value.items()}
    return [_filled(inner, ids) for inner in value] if isinstance(value, list) else value


async def _ids(api) -> dict[str, str]:
    """Return ids by name: slots in every state, people, and one appointment."""
    booked = await api.book(4)
    taken = await api.book(1, who="other")
    blocked = str(api.world.slots[2].id)
    answer = await api.send("PATCH", f"/slots/{blocked}", {"status": "BLOCKED"}, who="doctor")
    assert answer.status_code == 200
    return {
        "slot": str(api.world.slots[0].id),
        "taken": taken["slotId"],
        "blocked": blocked,
        "same_time": str(api.world.colleague_slots[4].id),
        "own_slot": booked["slotId"],
        "appointment": booked["id"],
        "patient": str(api.world.patients[0].id),
        "doctor": str(api.world.doctor.id),
        "unknown": str(uuid4()),
    }


@pytest.mark.parametrize("bad", BODIES + QUERIES + REFUSALS, ids=str)
async def test_bad_input_is_told_and_changes_nothing(api, bad):
    ids = await _ids(api)
    before = await api.everything()

    answer = await api.send(
        bad.method,
        _filled(bad.path, ids),
        _filled(bad.body, ids),
        who=bad.who,
        headers=bad.headers,
        content=None if bad.content is None else _filled(bad.content, ids),
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (bad.status, bad.code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "code", "requestId"}
    assert problem["type"] == f"/problems/{bad.code}"
    assert problem["status"] == bad.status
    assert problem["requestId"] == answer.headers["x-request-id"]
    if bad.where is not None:
        told = [error.get("pointer", error.get("parameter")) for error in problem["errors"]]
        assert tuple(told) == bad.where
        assert all(error["detail"] for error in problem["errors"])
    assert await api.everything() == before


async def test_a_body_without_a_length_is_limited_too(api):
    async def chunks():
        for _ in range(80):
            yield b" " * 1024

    answer = await api.client.post(
        "/appointments",
        content=chunks(),
        headers={
            **api.bearer("patient"),
            "content-type": "application/json",
            "idempotency-key": "k" * 20,
        },
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["maxBytes"] == Settings().body_max_bytes


async def test_the_methods_of_a_resource_are_told_completely(api):
    allowed = {
        "/appointments": "GET, HEAD, OPTIONS, POST",
        f"/appointments/{uuid4()}": "GET, HEAD, OPTIONS, PATCH",
        f"/availabilities/{uuid4()}": "DELETE, GET, HEAD, OPTIONS, PATCH",
        f"/doctors/{uuid4()}/slots": "GET, HEAD, OPTIONS, PATCH, POST",
    }
    for path, methods in allowed.items():
        refused = await api.send("PUT", path, {}, who=None)
        asked = await api.send("OPTIONS", path, who=None)

        assert (refused.status_code, refused.headers["allow"]) == (405, methods)
        assert (asked.status_code, asked.headers["allow"]) == (204, methods)


async def test_a_host_that_cannot_be_one_is_a_bad_request(api):
    answer = await api.send("GET", "/slots", headers={"host": "a b/c"})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_length_that_is_too_large_is_refused_before_the_body_is_read(api):
    answer = await api.send(
        "POST", "/appointments", content=b"{}", headers={"content-length": "999999999"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_facts_never_stand_in_the_place_of_what_every_problem_has():
    error = SlotNotFound(status="gone", code="x", shelf=7)

    problem = json.loads(problem_body(error, instance="/slots", request_id="r"))

    assert (problem["status"], problem["code"], problem["shelf"]) == (404, "slot_not_found", 7)

"""Texts with a form of their own, such as times: people who write them otherwise read how to."""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from clinic.entrypoints.http.app import ENDPOINTS

PLACE = {"from": "2026-12-07T13:00:00Z", "to": "2026-12-07T13:20:00Z"}
TIME = "Write a time as HH:MM, from 00:00 to 23:59."
END = "Write a time as HH:MM, from 00:00 to 24:00."
COUNTRY = "Write the country as two capital letters, such as DE."
PART = "Write the subdivision as 1 to 4 capital letters or digits, such as BE of DE-BE."


def holidays(**more):
    return {"name": "Holidays", "kind": "holidays", "country": "DE", **more}


@pytest.mark.parametrize(
    ("path", "body", "faults"),
    [
        ("/availabilities", {"startTime": "9:00"}, {"/startTime": TIME}),
        ("/availabilities", {"startTime": "24:00"}, {"/startTime": TIME}),
        ("/availabilities", {"startTime": 9}, {"/startTime": TIME}),
        ("/availabilities", {"endTime": "24:01"}, {"/endTime": END}),
        ("/availabilities", {"endTime": "17:00\n"}, {"/endTime": END}),
        (
            "/availabilities",
            {"startTime": "9", "endTime": ""},
            {"/startTime": TIME, "/endTime": END},
        ),
        ("/leaves", {"from": "2026-12-07", "startTime": "noon"}, {"/startTime": TIME}),
        ("/closures", holidays(country="de"), {"/country": COUNTRY}),
        ("/closures", holidays(country="Germany"), {"/country": COUNTRY}),
        ("/closures", holidays(country="DE\n"), {"/country": COUNTRY}),
        ("/closures", holidays(subdivision="DE-BE"), {"/subdivision": PART}),
        ("/closures", holidays(subdivision="BE\n"), {"/subdivision": PART}),
    ],
)  # fmt: skip
async def test_text_in_another_form_is_told_how_to_write_it(api, path, body, faults):
    doctor = {} if path == "/closures" else {"doctorId": str(api.world.doctor.id)}
    hours = {"startTime": "09:00", "endTime": "12:00", "slotMinutes": 30, "weekdays": ["mon"]}
    asked = {**doctor, **(hours if path == "/availabilities" else {}), **body}

    answer = await api.send("POST", path, asked, who="admin")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), answer.text
    assert {each["pointer"]: each["detail"] for each in answer.json()["errors"]} == faults


async def test_parameter_in_another_form_is_told_how_to_write_it(api):
    answer = await api.send("GET", "/notifications?kind=Day-sheet", who="admin")

    how = "Write the kind in lower-case letters and underscores, such as day_sheet."
    assert answer.json()["errors"] == [{"parameter": "kind", "detail": how}]


async def test_beside_a_number_that_is_too_large_nobody_reads_a_pattern(api):
    content = b'{"name": "X", "kind": "holidays", "country": "de", "x": 1e999}'

    answer = await api.send("POST", "/closures", who="admin", content=content)

    assert answer.status_code == 400
    assert "regex" not in answer.text


def parts(kind: Any) -> Iterator[Any]:
    yield kind
    for part in get_args(kind):
        yield from parts(part)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from parts(field.type)


def test_every_pattern_of_a_request_says_how_to_write_it():
    kinds = [kind for each in ENDPOINTS for kind in (each.body, each.query) if kind is not None]
    metas = [one for kind in kinds for one in parts(kind) if isinstance(one, msgspec.Meta)]
    patterns = {meta.pattern: meta for meta in metas if meta.pattern is not None}

    assert len(patterns) >= 5
    assert [
        pattern for pattern, meta in patterns.items() if not (meta.extra or {}).get("how")
    ] == []

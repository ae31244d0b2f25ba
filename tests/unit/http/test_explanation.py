"""Why times can be booked or not, over HTTP: who learns what, and the same words as refusals."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from clinic.domain.appointments.rules import EVERY_KIND
from clinic.testing.builders import MORNING, a_type, seed_type

pytestmark = pytest.mark.anyio

DAY = "2026-11-24"


async def explained(api, query: str, *, who: str = "receptionist", status: int = 200) -> Any:
    found = await api.send("GET", f"/slots/explanation?{query}", who=who)
    assert found.status_code == status, found.text
    return found.json()


async def at(calendar, time: str, *, who: str = "receptionist", more: str = "") -> Any:
    """Return the answer about this time of the day."""
    query = f"doctor={calendar.doctor}&at={DAY}T{time}:00Z{more}"
    return await explained(calendar.api, query, who=who)


def refusing(answer: Any) -> list[tuple[str, str]]:
    [start] = answer["starts"]
    assert start["possible"] == (not any(rule["refuses"] for rule in start["rules"]))
    return [(rule["kind"], rule["detail"]) for rule in start["rules"] if rule["refuses"]]


async def test_free_slot_keeps_every_rule(calendar) -> None:
    await calendar.add_hours("09:00", "10:00", 30)
    [slot, _] = await calendar.slots(DAY)
    patient = calendar.api.world.patients[0]

    answer = await at(calendar, "09:00", more=f"&patient={patient.id}")

    [start] = answer["starts"]
    assert (start["slotId"], start["possible"], start["duration"]) == (slot["id"], True, 30)
    assert [rule["kind"] for rule in start["rules"]] == list(EVERY_KIND)
    assert [rule["refuses"] for rule in start["rules"]] == [False] * len(EVERY_KIND)
    assert answer["nearest"] == []


async def test_booking_is_refused_in_the_words_of_the_explanation(calendar) -> None:
    """Given a closure over a blocked time
    When it is explained, booked, and an appointment moved there
    Then each names the closure, and the explanation the block as well."""
    await calendar.add_hours("09:00", "12:00", 30)
    api = calendar.api
    nine, *_, late = await calendar.slots(DAY)
    patient = {"patientId": str(api.world.patients[0].id)}
    booked = await calendar.send("POST", "/appointments", {"slotId": nine["id"], **patient})
    block = await calendar.add(
        "/blocks", **{"from": f"{DAY}T11:30:00Z", "to": f"{DAY}T12:00:00Z", "reason": "Audit"}
    )
    closure = await calendar.add("/closures", name="Outing", **{"from": DAY}, startTime="11:00")

    answer = await at(calendar, "11:30")
    refused = await api.send("POST", "/appointments", {"slotId": late["id"]})
    moved = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"slotId": late["id"]},
        headers={"if-match": "*"},
        who="receptionist",
    )

    closed = "The clinic is closed (Outing)."
    assert refusing(answer) == [
        ("closure", closed),
        ("block", "This slot is blocked by the clinic."),
    ]
    blockers = {
        rule["kind"]: rule["blockedBy"] for rule in answer["starts"][0]["rules"] if rule["refuses"]
    }
    assert blockers == {
        "closure": [{"kind": "closure", "id": closure["id"], "name": "Outing"}],
        "block": [{"kind": "block", "id": block["id"], "name": "Audit"}],
    }
    for each in (refused, moved):
        problem = each.json()
        assert (each.status_code, problem["code"], problem["detail"]) == (
            409,
            "slot_blocked",
            closed,
        )
    assert refused.json()["blockedBy"] == [{"kind": "closure", "name": "Outing"}]
    assert moved.json()["blockedBy"] == blockers["closure"]
    assert [near["time"] for near in answer["nearest"]] == ["09:30", "10:00", "10:30"]


async def test_leave_looks_like_missing_hours_to_patients(calendar) -> None:
    """Given a doctor who is on leave at ten, and has no hours at one
    When a patient asks about both
    Then the answers are alike but for the time, and only staff learn of the leave."""
    await calendar.add_hours("09:00", "11:00", 30)
    await calendar.add(
        "/leaves", **{"from": DAY, "startTime": "10:00", "endTime": "10:30", "reason": "Surgery"}
    )
    api = calendar.api
    [slot] = [each for each in await calendar.slots(DAY) if each["time"] == "10:00"]

    away = await at(calendar, "10:00", who="patient")
    missing = await at(calendar, "13:00", who="patient")
    refused = await api.send("POST", "/appointments", {"slotId": slot["id"]})
    day = f"doctor={calendar.doctor}&from={DAY}T00:00:00Z&to={DAY}T23:00:00Z"
    listed = await explained(api, day, who="patient")

    assert refusing(away) == [("no_hours", "The doctor has no hours then.")]
    (one,), (other,) = away["starts"], missing["starts"]
    assert (one["slotId"], one["rules"]) == (other["slotId"], other["rules"])
    assert refused.json()["detail"] == "The doctor has no hours then."
    assert [start["time"] for start in listed["starts"]] == ["09:00", "09:30", "10:30"]
    for text in (str(away), str(listed), refused.text):
        assert "leave" not in text
        assert "Surgery" not in text
    assert refusing(await at(calendar, "10:00")) == [("leave", "The doctor is on leave.")]


async def test_type_that_reaches_into_leave_says_no_more_to_patients(calendar) -> None:
    await calendar.add_hours("09:00", "11:00", 30)
    await calendar.add("/leaves", **{"from": DAY, "startTime": "09:30", "endTime": "10:00"})
    await seed_type(calendar.api.services.store, a_type(calendar.api.world.clinic, "Long", 60))
    [slot, *_] = await calendar.slots(DAY)

    answer = await at(calendar, "09:00", who="patient", more="&type=long")
    refused = await calendar.api.send(
        "POST", "/appointments", {"slotId": slot["id"], "type": "Long"}
    )

    assert refusing(answer) == [("no_hours", "The doctor has no hours then.")]
    assert refused.json()["detail"] == "The doctor has no hours then."
    assert refusing(await at(calendar, "09:00", more="&type=long")) == [
        ("leave", "The doctor is on leave.")
    ]


async def test_times_at_which_no_slot_begins(calendar) -> None:
    await calendar.add_hours("09:00", "10:00", 30)

    within = await at(calendar, "09:10")
    outside = await at(calendar, "15:00")
    doctor = calendar.doctor
    beyond = await explained(calendar.api, f"doctor={doctor}&at=2027-04-01T08:00:00Z")
    past = await explained(calendar.api, f"doctor={doctor}&at=2026-11-20T09:00:00Z")

    assert refusing(within) == [("no_hours", "No slot begins then; one lasts from 09:00 to 09:30.")]
    assert (within["starts"][0]["endsAt"], within["starts"][0]["duration"]) == (None, None)
    assert refusing(outside) == [("no_hours", "The doctor has no hours then.")]
    assert [(near["date"][-2:], near["time"]) for near in within["nearest"]] == [
        ("23", "09:30"),
        ("24", "09:00"),
        ("24", "09:30"),
    ]
    assert refusing(beyond) == [
        ("no_hours", "The slots of that day have not been opened yet."),
        ("beyond_horizon", "This clinic takes bookings up to 90 days ahead."),
    ]
    assert beyond["starts"][0]["slotId"] is None
    assert [kind for kind, _ in refusing(past)] == ["no_hours", "slot_in_past", "inside_notice"]


async def test_patient_who_is_busy_is_known_to_staff_alone(calendar) -> None:
    """Given a patient who sees a colleague at nine
    When staff ask about nine for the patient
    Then the answer says that the patient is busy, names another start, and is in the trail;
    another patient cannot ask."""
    await calendar.add_hours("09:00", "11:00", 30)
    api = calendar.api
    patient = api.world.patients[1]
    there = {"slotId": str(api.world.colleague_slots[0].id), "patientId": str(patient.id)}
    await calendar.send("POST", "/appointments", there)

    answer = await at(calendar, "09:00", more=f"&patient={patient.id}")
    own = await at(calendar, "09:00", who="other")
    nobodys = await at(calendar, "09:00")
    query = f"doctor={calendar.doctor}&at={DAY}T09:00:00Z&patient={patient.id}"
    hidden = await explained(api, query, who="third", status=404)

    busy = [("patient_busy", "The patient has another appointment at this time.")]
    assert refusing(answer) == refusing(own) == busy
    assert [near["time"] for near in answer["nearest"]] == ["09:30", "10:00", "10:30"]
    assert refusing(nobodys) == []
    assert {rule["kind"] for rule in nobodys["starts"][0]["rules"]}.isdisjoint(
        {"patient_busy", "patient_disabled", "too_many_open_appointments", "type_not_bookable"}
    )
    assert hidden["code"] == "patient_not_found"
    await api.services.audit.flush()
    trail = await api.send("GET", f"/audit?patient={patient.id}&limit=200", who="admin")
    reads = [
        event
        for event in trail.json()["items"]
        if event["action"] == "read" and event["detail"]["route"] == "/slots/explanation"
    ]
    assert [event["actorRole"] for event in reads] == ["RECEPTIONIST"]


async def test_taken_time_does_not_say_by_whom(api) -> None:
    booked = await api.book(1)
    start = api.world.slots[1].starts_at.isoformat().replace("+00:00", "Z")
    query = f"doctor={api.world.doctor.id}&at={start}"

    answer = await explained(api, query, who="other")

    assert refusing(answer) == [("slot_taken", "Sorry, this slot was just taken.")]
    told = str(answer)
    assert booked["id"] not in told
    assert str(api.world.patients[0].id) not in told
    assert api.world.patients[0].name not in told


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("", "invalid_input", "at"),
        ("&from=2026-11-24T00:00:00Z", "invalid_input", "to"),
        ("&to=2026-11-24T00:00:00Z", "invalid_input", "to"),
        ("&at=2026-11-24T09:00:00Z&to=2026-11-24T10:00:00Z", "invalid_input", "at"),
        ("&at=2026-11-24T09:00:00", "naive_datetime", "at"),
        ("&at=1969-11-24T09:00:00Z", "datetime_out_of_range", "at"),
        ("&from=2026-11-24T09:00:00Z&to=2026-11-24T09:00:00Z", "end_before_start", "to"),
        ("&from=2026-11-24T09:00:00Z&to=2026-12-01T09:00:01Z", "range_too_long", "to"),
        ("&at=2026-11-24T09:00:00Z&type=Nothing", "unknown_type", "/type"),
        ("&at=2026-11-24T09:00:00Z&type=A&typeId={id}", "invalid_input", "typeId"),
        ("&at=2026-11-24T09:00:00Z&typeId={id}", "unknown_type", "/typeId"),
    ],
)
async def test_questions_that_cannot_be_answered(api, query, code, parameter) -> None:
    await seed_type(api.services.store, a_type(api.world.clinic, "Check-up"))
    doctor = api.world.doctor.id

    refused = await explained(api, f"doctor={doctor}{query.format(id=doctor)}", status=400)

    assert refused["code"] == code
    [error] = refused["errors"]
    assert error.get("parameter", error.get("pointer")) == parameter


async def test_range_with_more_starts_than_one_answer_holds(calendar) -> None:
    for day in ("2026-11-24", "2026-11-25"):
        await calendar.add_hours("00:00", "23:55", 5, date=day)
    span = "from=2026-11-24T00:00:00Z&to=2026-11-26T00:00:00Z"

    refused = await explained(calendar.api, f"doctor={calendar.doctor}&{span}", status=400)

    assert refused["code"] == "too_many_rows"


async def test_swap_that_does_not_fit_says_why(api) -> None:
    """Given a type of two slots, before one that is taken, and one of a single slot
    When they are swapped
    Then the refusal has the reason, and nothing is changed."""
    for name, minutes in (("Long", 60), ("Short", 30)):
        await seed_type(api.services.store, a_type(api.world.clinic, name, minutes))
    slots = [str(slot.id) for slot in api.world.slots]
    ids = []
    for slot, kind, who in ((0, "Long", "patient"), (2, "Short", "other"), (3, "Short", "third")):
        body = {"slotId": slots[slot], "type": kind}
        ids.append((await api.send("POST", "/appointments", body, who=who)).json()["id"])
    before = await api.everything()

    refused = await api.send(
        "POST", "/swaps", {"appointmentIds": [ids[0], ids[1]]}, who="receptionist"
    )

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "not_swappable")
    assert (problem["reason"], problem["appointmentId"]) == ("slot_taken", ids[0])
    assert problem["detail"].endswith("other's place: Sorry, this slot was just taken.")
    assert await api.everything() == before


async def test_limit_of_the_patient_leaves_nothing_nearest(api) -> None:
    clinic = await api.send("GET", "/clinics/current", who="admin")
    await api.send(
        "PATCH",
        "/clinics/current",
        {"policy": {"maxOpenAppointments": 1}},
        who="admin",
        headers={"if-match": clinic.headers.get("etag", "*")},
    )
    await api.book(0)
    start = quote((MORNING + timedelta(hours=1)).isoformat())

    answer = await explained(api, f"doctor={api.world.doctor.id}&at={start}", who="patient")

    assert [kind for kind, _ in refusing(answer)] == ["too_many_open_appointments"]
    assert answer["nearest"] == []

"""Closures, leave, blocks, added places and why slots are blocked, as REST says and does it."""

from dataclasses import replace
from typing import Any

import pytest

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.paging import PageRequest
from clinic.ports.audit import EventQuery
from clinic.usecases.calendar import change_calendar
from clinic.usecases.maintenance.align_calendars import align_calendars

from .conftest import Gql, a_key

NOBODY = "01a20000-0000-7000-8000-000000000000"
CLOSURE = "id name kind from until startTime endTime country subdivision openOn locationId"
LEAVE = "id doctorId from until startTime endTime reason doctor{id}"
BLOCK = "id doctorId from to lane reason doctor{id}"
PLACE = "id doctorId from to locationId lane reason doctor{id}"
COUNTS = "added retired blocked unblocked note asOf"
EFFECT = (
    f"effect{{{COUNTS} calendarChange{{id status}}"
    " stranded{edges{node{id time patientName}}}} replayed errors{code message pointer}"
)
CLOSE = (
    "mutation($called:String!,$kind:ClosureKind,$from:String,$until:String,$start:String,$end:String,"
    "$country:String,$part:String,$open:[String!],$reason:String,$key:String,$preview:Boolean){"
    "addClosure(name:$called kind:$kind from:$from until:$until startTime:$start endTime:$end"
    " country:$country subdivision:$part openOn:$open reason:$reason idempotencyKey:$key"
    f" preview:$preview){{closure{{{CLOSURE}}} {EFFECT}}}}}"
)
REOPEN = (
    "mutation($id:ID!,$key:String,$preview:Boolean,$reason:String){deleteClosure(id:$id"
    f" idempotencyKey:$key preview:$preview reason:$reason){{closure{{{CLOSURE}}} {EFFECT}}}}}"
)
LEAVING = (
    "mutation($doctor:ID!,$from:String!,$until:String,$start:String,$end:String,$reason:String,"
    "$key:String,$preview:Boolean){addLeave(doctorId:$doctor from:$from until:$until"
    " startTime:$start endTime:$end reason:$reason idempotencyKey:$key preview:$preview)"
    f"{{leave{{{LEAVE}}} {EFFECT}}}}}"
)
BACK = (
    "mutation($id:ID!,$key:String,$preview:Boolean){deleteLeave(id:$id idempotencyKey:$key"
    f" preview:$preview){{leave{{{LEAVE}}} {EFFECT}}}}}"
)
BLOCKING = (
    "mutation($doctor:ID!,$from:DateTime!,$to:DateTime!,$reason:String,$key:String,"
    "$preview:Boolean){addBlock(doctorId:$doctor from:$from to:$to reason:$reason"
    f" idempotencyKey:$key preview:$preview){{block{{{BLOCK}}} {EFFECT}}}}}"
)
UNBLOCKING = (
    "mutation($id:ID!,$key:String,$preview:Boolean){deleteBlock(id:$id idempotencyKey:$key"
    f" preview:$preview){{block{{{BLOCK}}} {EFFECT}}}}}"
)
PLACING = (
    "mutation($doctor:ID!,$from:DateTime!,$to:DateTime!,$reason:String,$key:String,"
    "$preview:Boolean){addPlace(doctorId:$doctor from:$from to:$to reason:$reason"
    f" idempotencyKey:$key preview:$preview){{place{{{PLACE}}} {EFFECT}}}}}"
)
UNPLACING = (
    "mutation($id:ID!,$key:String,$preview:Boolean){deletePlace(id:$id idempotencyKey:$key"
    f" preview:$preview){{place{{{PLACE}}} {EFFECT}}}}}"
)
MUTATIONS = {
    "close": CLOSE,
    "reopen": REOPEN,
    "leave": LEAVING,
    "back": BACK,
    "block": BLOCKING,
    "unblock": UNBLOCKING,
    "place": PLACING,
    "unplace": UNPLACING,
}
#: the day of the world's slots, from 09:00 to 11:30 by 30 minutes, of two doctors
DAY = "2026-11-24"


async def _do(gql: Gql, mutation: str, *, who: str = "receptionist", **variables: Any) -> Any:
    (payload,) = (await gql.data(mutation, who=who, **variables)).values()
    return payload


async def _close(gql: Gql, **variables: Any) -> Any:
    asked = {"called": "Training", "from": DAY, "key": a_key()} | variables
    payload = await _do(gql, CLOSE, **asked)
    assert payload["errors"] == []
    return payload


async def _leave(gql: Gql, **variables: Any) -> Any:
    asked = {"doctor": str(gql.world.doctor.id), "from": DAY, "key": a_key()} | variables
    payload = await _do(gql, LEAVING, **asked)
    assert payload["errors"] == []
    return payload


async def _block(gql: Gql, **variables: Any) -> Any:
    asked = {
        "doctor": str(gql.world.doctor.id),
        "from": f"{DAY}T09:00:00Z",
        "to": f"{DAY}T10:00:00Z",
        "key": a_key(),
    } | variables
    payload = await _do(gql, BLOCKING, **asked)
    assert payload["errors"] == []
    return payload


async def _place(gql: Gql, **variables: Any) -> Any:
    asked = {
        "doctor": str(gql.world.doctor.id),
        "from": f"{DAY}T18:00:00Z",
        "to": f"{DAY}T18:20:00Z",
        "key": a_key(),
    } | variables
    payload = await _do(gql, PLACING, **asked)
    assert payload["errors"] == []
    return payload


async def _listed(gql: Gql, path: str, who: str = "receptionist") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await gql.rest(path, who=who))["items"]
    return found


def _with_doctor(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "doctor": {"id": row["doctorId"]}}


# --- queries


async def test_closures_leave_blocks_and_places_are_those_of_rest(gql: Gql) -> None:
    # First, since nobody adds one where it is closed.
    await _place(gql, reason="Dressing")
    await _place(gql, doctor=str(gql.world.colleague.id))
    await _close(gql, until="2026-11-25", start="12:00", open=["2026-11-25"])
    await _close(gql, called="Holidays", kind="HOLIDAYS", country="DE", part="BE", **{"from": None})
    await _leave(gql, end="10:00", reason="Conference")
    await _leave(gql, doctor=str(gql.world.colleague.id))
    await _block(gql, reason="Call")

    for who, number in (("receptionist", 2), ("admin", 2), ("doctor", 1), ("colleague", 1)):
        data: dict[str, Any] = {}
        # Together they would cost too much.
        fields = {"closures": CLOSURE, "leaves": LEAVE, "blocks": BLOCK, "addedPlaces": PLACE}
        for field in (f"{name}{{{inner}}}" for name, inner in fields.items()):
            data |= await gql.data(f"{{{field}}}", who=who)

        closures = await _listed(gql, "/closures", who)
        leaves, blocks = await _listed(gql, "/leaves", who), await _listed(gql, "/blocks", who)
        places = await _listed(gql, "/added-places", who)
        assert data["closures"] == [{**one, "kind": one["kind"].upper()} for one in closures]
        assert data["leaves"] == [_with_doctor(one) for one in leaves]
        assert data["blocks"] == [_with_doctor(one) for one in blocks]
        assert data["addedPlaces"] == [_with_doctor(one) for one in places]
        assert (len(closures), len(leaves), len(places)) == (2, number, number)
        assert len(blocks) == (0 if who == "colleague" else 1)


async def test_leave_blocks_and_places_are_filtered_as_over_rest(gql: Gql) -> None:
    world = gql.world
    await _place(gql)
    await _leave(gql)
    await _leave(gql, doctor=str(world.colleague.id))
    await _block(gql)
    query = (
        "query($d:ID,$f:DateTime,$t:DateTime){leaves(doctorId:$d){doctorId}"
        " blocks(doctorId:$d from:$f to:$t){doctorId} addedPlaces(doctorId:$d){doctorId}}"
    )

    theirs = await gql.data(query, d=str(world.colleague.id))
    before = await gql.data(query, d=str(world.doctor.id), t=f"{DAY}T09:00:00Z")
    after = await gql.data(query, f=f"{DAY}T10:00:00Z")
    within = await gql.data(query, f=f"{DAY}T09:59:00Z", t=f"{DAY}T09:01:00Z")

    assert theirs == {
        "leaves": [{"doctorId": str(world.colleague.id)}],
        "blocks": [],
        "addedPlaces": [],
    }
    assert before["addedPlaces"] == [{"doctorId": str(world.doctor.id)}]
    assert (before["blocks"], after["blocks"], len(within["blocks"])) == ([], [], 1)


@pytest.mark.parametrize(
    ("who", "query", "errors"),
    [
        ("patient", "{leaves{id}}", [("permission_denied", ["leaves"])]),
        ("patient", "{blocks{id}}", [("permission_denied", ["blocks"])]),
        ("patient", "{addedPlaces{id}}", [("permission_denied", ["addedPlaces"])]),
        ("doctor", f'{{calendarChange(id:"{NOBODY}"){{id}}}}', "permission_denied"),
        ("patient", f'{{calendarChange(id:"{NOBODY}"){{id}}}}', "permission_denied"),
        ("admin", f'{{calendarChange(id:"{NOBODY}"){{id}}}}', "calendar_change_not_found"),
        ("admin", '{calendarChange(id:"x"){id}}', "invalid_input"),
        ("admin", f'{{leaves(doctorId:"{NOBODY}"){{id}}}}', "doctor_not_found"),
        ("admin", f'{{blocks(doctorId:"{NOBODY}"){{id}}}}', "doctor_not_found"),
        ("admin", f'{{addedPlaces(doctorId:"{NOBODY}"){{id}}}}', "doctor_not_found"),
        ("doctor", '{leaves(doctorId:"COLLEAGUE"){id}}', "permission_denied"),
        ("doctor", '{blocks(doctorId:"COLLEAGUE"){id}}', "permission_denied"),
        ("doctor", '{addedPlaces(doctorId:"COLLEAGUE"){id}}', "permission_denied"),
    ],
)
async def test_query_that_is_refused_says_so(gql: Gql, who: str, query: str, errors: Any) -> None:
    found = await gql.errors(query.replace("COLLEAGUE", str(gql.world.colleague.id)), who=who)

    assert found == errors or [code for code, _ in found] == [errors]


async def test_patients_read_closures(gql: Gql) -> None:
    await _close(gql)

    assert (await gql.data("{closures{name}}", who="patient"))["closures"] == [{"name": "Training"}]


async def test_slots_say_what_blocks_them_as_over_rest(gql: Gql) -> None:
    await _block(gql, to=f"{DAY}T09:30:00Z", reason="Call")
    await _leave(gql, start="10:00", end="10:30", reason="Dentist")
    await _close(gql, start="10:00")
    query = "{slots(status:ALL){edges{node{id status blockedBy{kind id name}}}}}"

    for who in ("receptionist", "doctor"):
        edges = (await gql.data(query, who=who))["slots"]["edges"]

        rest = {one["id"]: one for one in await _listed(gql, "/slots?status=all", who)}
        told = {edge["node"]["id"]: edge["node"] for edge in edges}
        assert told.keys() == rest.keys()
        for slot_id, node in told.items():
            reasons = [
                {"id": None, "name": None} | one for one in rest[slot_id].get("blockedBy", [])
            ]
            assert node["blockedBy"] == [{**one, "kind": one["kind"].upper()} for one in reasons]
        kinds = [[by["kind"] for by in told[str(slot.id)]["blockedBy"]] for slot in gql.world.slots]
        assert kinds == [["BLOCK"], [], ["CLOSURE", "LEAVE"], ["CLOSURE"], ["CLOSURE"]]


async def test_free_slots_are_blocked_by_nothing(gql: Gql) -> None:
    await _block(gql)

    edges = (await gql.data("{slots{edges{node{blockedBy{kind}}}}}", who="patient"))["slots"][
        "edges"
    ]

    assert [edge["node"]["blockedBy"] for edge in edges] == [[]] * 8


# --- changes


async def test_closing_answers_with_the_closure_and_what_follows(gql: Gql) -> None:
    booked = await gql.book(0)

    payload = await _close(gql, kind="YEARLY", reason="Fire drill")

    (rest,) = await _listed(gql, "/closures")
    assert payload == {
        "closure": {**rest, "kind": "YEARLY"},
        "effect": {
            "added": 0,
            "retired": 0,
            "blocked": 10,
            "unblocked": 0,
            "note": None,
            "asOf": None,
            "calendarChange": None,
            "stranded": {
                "edges": [
                    {"node": {"id": booked["id"], "time": "09:00", "patientName": "Patient A"}}
                ]
            },
        },
        "errors": [],
        "replayed": False,
    }
    assert await _listed(gql, "/slots") == []


async def test_leave_and_block_answer_with_what_follows(gql: Gql) -> None:
    leave = await _leave(gql, start="10:30", reason="Dentist")
    block = await _block(gql)

    assert leave["leave"] == _with_doctor((await _listed(gql, "/leaves"))[0])
    assert block["block"] == _with_doctor((await _listed(gql, "/blocks"))[0])
    assert (leave["leave"]["reason"], block["block"]["lane"]) == ("Dentist", None)
    assert (leave["effect"]["blocked"], block["effect"]["blocked"]) == (2, 2)
    assert len(await _listed(gql, f"/slots?doctor={gql.world.doctor.id}")) == 1


async def test_a_block_of_a_lane_that_the_doctor_does_not_have_blocks_nothing(gql: Gql) -> None:
    mutation = (
        'mutation($key:String){addBlock(doctorId:"%s" from:"%sT09:00:00Z" to:"%sT10:00:00Z"'
        " lane:%s idempotencyKey:$key){block{lane} effect{blocked} errors{code pointer}}}"
    )
    where = (str(gql.world.doctor.id), DAY, DAY)

    second = await _do(gql, mutation % (*where, 2), key=a_key())
    first = await _do(gql, mutation % (*where, 1), key=a_key())

    assert (second["block"]["lane"], second["effect"]["blocked"]) == (2, 0)
    assert (first["block"]["lane"], first["effect"]["blocked"]) == (1, 2)


async def test_a_place_is_one_more_slot_until_it_is_deleted(gql: Gql) -> None:
    before = await _listed(gql, "/slots")

    added = await _place(gql, reason="Dressing")
    new = [slot for slot in await _listed(gql, "/slots") if slot not in before]
    foreseen = await _do(gql, UNPLACING, id=added["place"]["id"], preview=True)
    kept = await _listed(gql, "/added-places")
    deleted = await _do(gql, UNPLACING, id=added["place"]["id"])

    assert added["place"] == _with_doctor(kept[0])
    assert (added["place"]["reason"], added["effect"]["added"]) == ("Dressing", 1)
    assert [(slot["startsAt"], slot["endsAt"]) for slot in new] == [
        (f"{DAY}T18:00:00Z", f"{DAY}T18:20:00Z")
    ]
    for payload in (foreseen, deleted):
        assert (payload["errors"], payload["place"]) == ([], added["place"])
        assert payload["effect"]["retired"] == 1
    assert (foreseen["effect"]["asOf"], deleted["effect"]["asOf"]) == ("2026-11-23T08:00:00Z", None)
    assert await _listed(gql, "/added-places") == []
    assert await _listed(gql, "/slots") == before


async def test_an_appointment_in_a_place_that_is_deleted_is_stranded(gql: Gql) -> None:
    added = await _place(gql, **{"from": f"{DAY}T08:00:00Z", "to": f"{DAY}T08:20:00Z"})
    [slot, *_] = await _listed(gql, f"/slots?doctor={gql.world.doctor.id}")
    booking = (
        "mutation($s:ID!,$k:String!){bookAppointment(slotId:$s idempotencyKey:$k)"
        "{appointment{id} errors{code}}}"
    )
    booked = await _do(gql, booking, who="patient", s=slot["id"], k=a_key())

    deleted = await _do(gql, UNPLACING, id=added["place"]["id"], who="doctor")

    [edge] = deleted["effect"]["stranded"]["edges"]
    assert edge["node"]["id"] == booked["appointment"]["id"]
    assert edge["node"]["time"] == "08:00"


@pytest.mark.parametrize(
    ("add", "delete", "what"),
    [(_close, REOPEN, "closure"), (_leave, BACK, "leave"), (_block, UNBLOCKING, "block")],
    ids=["closure", "leave", "block"],
)
async def test_deleting_brings_the_slots_back(gql: Gql, add: Any, delete: str, what: str) -> None:
    before = await _listed(gql, "/slots")
    added = await add(gql)

    foreseen = await _do(gql, delete, id=added[what]["id"], preview=True)
    kept = await _listed(gql, f"/{what}s")
    deleted = await _do(gql, delete, id=added[what]["id"])

    for payload in (foreseen, deleted):
        assert payload[what] == added[what]
        assert payload["effect"]["unblocked"] == added["effect"]["blocked"]
    assert (foreseen["effect"]["asOf"], deleted["effect"]["asOf"]) == ("2026-11-23T08:00:00Z", None)
    assert len(kept) == 1
    assert await _listed(gql, f"/{what}s") == []
    assert await _listed(gql, "/slots") == before


@pytest.mark.parametrize(
    ("add", "what"), [(_close, "closure"), (_leave, "leave"), (_block, "block")]
)
async def test_a_key_does_it_once(gql: Gql, add: Any, what: str) -> None:
    key = a_key()

    first, again = await add(gql, key=key), await add(gql, key=key)

    assert again == {**first, "replayed": True}
    assert len(await _listed(gql, f"/{what}s")) == 1


async def test_a_key_adds_one_place(gql: Gql) -> None:
    key = a_key()

    first, again = await _place(gql, key=key), await _place(gql, key=key)

    assert again == {**first, "replayed": True}
    assert len(await _listed(gql, "/added-places")) == 1


async def test_a_deletion_with_a_key_is_repeated(gql: Gql) -> None:
    closure, key = (await _close(gql))["closure"], a_key()

    first = await _do(gql, REOPEN, id=closure["id"], key=key)
    again = await _do(gql, REOPEN, id=closure["id"], key=key)
    other = await _do(gql, REOPEN, id=closure["id"])
    reused = await _do(gql, REOPEN, id=NOBODY, key=key)

    assert again == {**first, "replayed": True}
    assert [error["code"] for error in other["errors"]] == ["closure_not_found"]
    assert [error["code"] for error in reused["errors"]] == ["idempotency_key_reused"]


@pytest.mark.parametrize(
    ("add", "what"), [(_close, "closure"), (_leave, "leave"), (_block, "block")]
)
async def test_a_preview_says_the_same_and_writes_nothing(gql: Gql, add: Any, what: str) -> None:
    booked, key = await gql.book(0), a_key()

    foreseen = await add(gql, key=key, preview=True)
    listed = await _listed(gql, f"/{what}s")
    done = await add(gql, key=key)

    ignored = {"asOf": None}
    assert listed == []
    assert foreseen["effect"]["asOf"] == "2026-11-23T08:00:00Z"
    assert foreseen["effect"] | ignored == done["effect"]
    assert not done["replayed"]
    assert [edge["node"]["id"] for edge in done["effect"]["stranded"]["edges"]] == [booked["id"]]


async def test_a_preview_of_a_place_says_the_same_and_writes_nothing(gql: Gql) -> None:
    key, before = a_key(), await _listed(gql, "/slots")

    foreseen = await _place(gql, key=key, preview=True)
    unchanged = await _listed(gql, "/added-places"), await _listed(gql, "/slots")
    done = await _place(gql, key=key)

    assert unchanged == ([], before)
    assert foreseen["effect"]["asOf"] == "2026-11-23T08:00:00Z"
    assert foreseen["effect"] | {"asOf": None} == done["effect"]
    assert not done["replayed"]


async def test_a_preview_needs_no_key_and_a_change_does(gql: Gql) -> None:
    asked: dict[str, Any] = {"doctor": str(gql.world.doctor.id), "from": DAY}

    keyless = LEAVING.replace("$key:String,", "").replace(" idempotencyKey:$key", "")

    foreseen = await _do(gql, keyless, **asked, preview=True)
    refused = await _do(gql, keyless, **asked)

    assert (foreseen["errors"], foreseen["effect"]["blocked"]) == ([], 5)
    assert [(each["code"], each["pointer"]) for each in refused["errors"]] == [
        ("idempotency_key_missing", "idempotencyKey")
    ]
    assert (refused["leave"], refused["effect"]) == (None, None)
    assert await _listed(gql, "/leaves") == []


@pytest.mark.parametrize(
    ("key", "code"), [("short", "idempotency_key_malformed"), (None, "invalid_input")]
)
async def test_a_key_that_is_none_is_refused(gql: Gql, key: str | None, code: str) -> None:
    payload = await _do(gql, CLOSE, called="Training", key=key, **{"from": DAY})

    assert [each["code"] for each in payload["errors"]] == [code]
    assert await _listed(gql, "/closures") == []


async def test_a_preview_that_is_null_changes_nothing(gql: Gql) -> None:
    closure = (await _close(gql))["closure"]

    payload = await _do(gql, REOPEN, id=closure["id"], preview=None)

    assert [(each["code"], each["pointer"]) for each in payload["errors"]] == [
        ("invalid_input", "preview")
    ]
    assert len(await _listed(gql, "/closures")) == 1


async def _reads(gql: Gql) -> list[AuditEvent]:
    """Return the audited reads of patients over GraphQL."""
    await gql.services.audit.flush()
    query = replace(EventQuery(gql.world.clinic.id), action="read")
    found = await gql.services.store.audit_log.events(query, PageRequest(200))
    return [event for event in found if event.entity == "graphql"]


async def test_a_preview_is_audited_as_a_read_of_those_it_shows(gql: Gql) -> None:
    booked = await gql.book(0)

    await _close(gql, preview=True)
    await _leave(gql, preview=True, doctor=str(gql.world.colleague.id))

    shown = await _reads(gql)
    assert [(event.actor_role, booked["id"] in repr(event)) for event in shown] == [
        ("RECEPTIONIST", True)
    ]


async def test_what_is_entered_is_audited_with_its_reason(gql: Gql) -> None:
    await _close(gql, reason="Fire drill")
    await _leave(gql, reason="Dentist")

    found = {
        event["action"]: event["reason"]
        for event in await _listed(gql, "/audit?limit=200", "admin")
    }
    assert (found["add_closure"], found["add_leave"]) == ("Fire drill", "Dentist")


async def test_stranded_appointments_are_paged_by_their_start(gql: Gql) -> None:
    booked = [await gql.book(number, who=("patient", "other")[number % 2]) for number in (3, 0, 2)]
    asked = (
        'mutation($n:Int,$a:String){addClosure(name:"X" from:"2026-11-24" preview:true)'
        "{effect{stranded(first:$n after:$a){edges{cursor node{id}} pageInfo{hasNextPage}}}"
        " errors{code}}}"
    )

    pages, after = [], None
    for _ in range(2):
        (payload,) = (await gql.data(asked, n=2, a=after)).values()
        page = payload["effect"]["stranded"]
        after = page["edges"][-1]["cursor"]
        pages.append(([edge["node"]["id"] for edge in page["edges"]], page["pageInfo"]))

    ids = [booked[1]["id"], booked[2]["id"], booked[0]["id"]]
    assert pages == [(ids[:2], {"hasNextPage": True}), (ids[2:], {"hasNextPage": False})]


async def test_a_change_of_many_calendars_is_left_to_a_worker(
    gql: Gql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 9)
    booked = await gql.book(1)
    payload = await _close(gql)
    change_id = payload["effect"]["calendarChange"]["id"]
    query = (
        "query($i:ID!){calendarChange(id:$i){id action entityId createdAt status from until doctors"
        " doctorsDone added retired blocked unblocked relocated stranded{edges{node{id}}}}}"
    )

    pending = (await gql.data(query, i=change_id))["calendarChange"]
    await align_calendars(gql.services.resources)
    done = (await gql.data(query, i=change_id))["calendarChange"]

    rest = await gql.rest(f"/calendar-changes/{change_id}")
    assert payload["effect"]["calendarChange"]["status"] == "PENDING"
    assert (pending["status"], pending["doctorsDone"], pending["blocked"]) == ("PENDING", 0, 0)
    assert done == {
        **rest,
        "status": "DONE",
        "stranded": {"edges": [{"node": {"id": booked["id"]}}]},
    }
    assert (done["doctorsDone"], done["blocked"]) == (2, 10)
    assert [booked["id"] in repr(event) for event in await _reads(gql)] == [True]
    assert (await gql.errors(query, who="doctor", i=change_id)) == [
        ("permission_denied", ["calendarChange"])
    ]


# --- refusals


@pytest.mark.parametrize(
    ("variables", "code", "pointer"),
    [
        (
            {"kind": "HOLIDAYS", "country": "ZZ", "from": None},
            "unknown_holiday_calendar",
            "country",
        ),
        (
            {"kind": "HOLIDAYS", "country": "DE", "part": "XX", "from": None},
            "unknown_holiday_calendar",
            "subdivision",
        ),
        ({"kind": "HOLIDAYS", "country": "de", "from": None}, "invalid_input", "country"),
        ({"kind": "HOLIDAYS", "from": None}, "invalid_input", "country"),
        ({"country": "DE"}, "invalid_input", "country"),
        ({"from": None}, "invalid_input", "from"),
        ({"until": "2026-11-23"}, "end_before_start", "until"),
        ({"until": "2029-02-01"}, "range_too_long", "until"),
        ({"from": "2026-11-22"}, "time_in_past", "until"),
        ({"from": "24.11.2026"}, "invalid_input", "from"),
        ({"from": "20261124"}, "invalid_input", "from"),
        ({"start": "25:00"}, "invalid_input", "startTime"),
        ({"start": "12:00", "end": "12:00"}, "end_before_start", "endTime"),
        ({"start": "24:00"}, "invalid_input", "startTime"),
        ({"called": ""}, "invalid_input", "name"),
        ({"called": "x" * 201}, "invalid_input", "name"),
        ({"called": "x" * 2001}, "invalid_input", "name"),
        ({"called": "\0"}, "invalid_input", "name"),
        ({"open": ["soon"]}, "invalid_input", "openOn/0"),
        ({"open": ["2026-11-24"] * 101}, "invalid_input", "openOn"),
        ({"reason": "x" * 2001}, "invalid_input", "reason"),
    ],
)
@pytest.mark.parametrize("preview", [False, True])
async def test_closure_that_is_not_one_is_refused(
    gql: Gql, variables: dict[str, Any], code: str, pointer: str, preview: bool
) -> None:
    asked: dict[str, Any] = {"called": "Training", "from": DAY, "key": a_key()}

    payload = await _do(gql, CLOSE, **(asked | {"preview": preview} | variables))

    assert [(each["code"], each["pointer"]) for each in payload["errors"]] == [(code, pointer)]
    assert (payload["closure"], payload["effect"]) == (None, None)
    assert await _listed(gql, "/closures") == []


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"start": "9:00"}, "Write a time as HH:MM, from 00:00 to 23:59."),
        ({"end": "24:30"}, "Write a time as HH:MM, from 00:00 to 24:00."),
        ({"country": "de"}, "Write the country as two capital letters, such as DE."),
    ],
)
async def test_text_in_another_form_is_told_how_to_write_it(
    gql: Gql, variables: dict[str, Any], message: str
) -> None:
    asked = {"called": "Training", "from": DAY, "key": a_key()} | variables

    payload = await _do(gql, CLOSE, **asked)

    assert [each["message"] for each in payload["errors"]] == [message]


@pytest.mark.parametrize(
    ("change", "variables", "code"),
    [
        ("leave", {"doctor": NOBODY}, "doctor_not_found"),
        ("leave", {"doctor": "x"}, "invalid_input"),
        ("leave", {"from": "2026-11-22"}, "time_in_past"),
        ("leave", {"from": "2026-11-24", "until": "2026-11-23"}, "end_before_start"),
        ("leave", {"from": "2026-11-24", "until": "2029-12-24"}, "range_too_long"),
        ("leave", {"end": "9:00"}, "invalid_input"),
        ("block", {"doctor": NOBODY}, "doctor_not_found"),
        ("block", {"to": f"{DAY}T09:00:00Z"}, "end_before_start"),
        ("block", {"from": "2026-11-22T09:00Z", "to": "2026-11-23T08:00Z"}, "time_in_past"),
        ("block", {"to": "2029-11-24T09:00Z"}, "range_too_long"),
        ("block", {"from": f"{DAY}T09:00:00"}, "naive_datetime"),
        ("back", {"id": NOBODY}, "leave_not_found"),
        ("unblock", {"id": NOBODY}, "block_not_found"),
        ("place", {"doctor": NOBODY}, "doctor_not_found"),
        ("place", {"to": f"{DAY}T18:00:00Z"}, "end_before_start"),
        ("place", {"to": f"{DAY}T18:04:00Z"}, "invalid_input"),
        ("place", {"to": f"{DAY}T18:20:30Z"}, "invalid_input"),
        ("place", {"from": "2026-11-23T07:40Z", "to": "2026-11-23T08:10Z"}, "time_in_past"),
        ("place", {"from": f"{DAY}T09:00:00"}, "naive_datetime"),
        ("place", {"reason": "x" * 201}, "invalid_input"),
        ("unplace", {"id": NOBODY}, "added_place_not_found"),
        ("reopen", {"id": NOBODY}, "closure_not_found"),
        ("reopen", {"id": "x"}, "invalid_input"),
    ],
)
@pytest.mark.parametrize("preview", [False, True])
async def test_leave_block_or_place_that_is_not_one_is_refused(
    gql: Gql, change: str, variables: dict[str, Any], code: str, preview: bool
) -> None:
    mutation = MUTATIONS[change]
    asked: dict[str, Any] = {"key": a_key(), "preview": preview}
    if "$doctor" in mutation:
        asked |= {"doctor": str(gql.world.doctor.id), "from": DAY}
    if mutation is BLOCKING:
        asked |= {"from": f"{DAY}T09:00:00Z", "to": f"{DAY}T10:00:00Z"}
    if mutation is PLACING:
        asked |= {"from": f"{DAY}T18:00:00Z", "to": f"{DAY}T18:20:00Z"}

    payload = await _do(gql, mutation, **(asked | variables))

    assert [each["code"] for each in payload["errors"]] == [code]
    assert payload["effect"] is None


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("who", "change"),
    [
        ("patient", "close"),
        ("patient", "leave"),
        ("patient", "block"),
        ("patient", "reopen"),
        ("patient", "back"),
        ("patient", "unblock"),
        ("patient", "place"),
        ("patient", "unplace"),
        ("doctor", "close"),
        ("doctor", "reopen"),
        ("colleague", "leave"),
        ("colleague", "block"),
        ("colleague", "place"),
    ],
)
async def test_who_may_not_is_refused(gql: Gql, who: str, change: str, preview: bool) -> None:
    mutation = MUTATIONS[change]
    asked: dict[str, Any] = {"key": a_key(), "preview": preview, "called": "X", "id": NOBODY}
    asked |= {"doctor": str(gql.world.doctor.id), "from": DAY}
    if mutation is BLOCKING:
        asked |= {"from": f"{DAY}T09:00:00Z", "to": f"{DAY}T10:00:00Z"}
    if mutation is PLACING:
        asked |= {"from": f"{DAY}T18:00:00Z", "to": f"{DAY}T18:20:00Z"}
    named = {name: value for name, value in asked.items() if f"${name}:" in mutation}

    payload = await _do(gql, mutation, who=who, **named)

    assert [each["code"] for each in payload["errors"]] == ["permission_denied"]
    assert payload["effect"] is None


async def test_doctors_enter_their_own_leave(gql: Gql) -> None:
    payload = await _leave(gql, who="doctor")
    theirs = await _do(gql, BACK, who="colleague", id=payload["leave"]["id"])

    assert payload["effect"]["blocked"] == 5
    assert [each["code"] for each in theirs["errors"]] == ["leave_not_found"]


async def test_pages_of_stranded_appointments_are_limited(gql: Gql) -> None:
    query = f'{{calendarChange(id:"{NOBODY}"){{stranded(first:SIZE){{edges{{node{{id}}}}}}}}}}'

    answers = [
        (await gql.ask(query.replace("SIZE", size))).json()["errors"][0]["extensions"]["code"]
        for size in ("0", "101", "100")
    ]

    assert answers == ["invalid_document", "invalid_document", "calendar_change_not_found"]

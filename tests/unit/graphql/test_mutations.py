"""Changes over GraphQL: the use cases, keys and refusals of REST."""

from typing import Any

import pytest

from clinic.testing.builders import new_id

from .conftest import Gql, a_key

WHOLE = "id status state version date time patientName doctor{name} slotId startsAt"
BOOK = (
    "mutation($s:ID!,$k:String!,$p:ID,$t:String,$r:String,$o:Boolean)"
    "{bookAppointment(slotId:$s idempotencyKey:$k patientId:$p type:$t reason:$r override:$o)"
    f"{{appointment{{{WHOLE}}} replayed"
    " errors{code message pointer allowed nearest{id time doctor{name}}}}}"
)
STATUS = (
    "mutation($i:ID!,$s:AppointmentStatus!,$v:Int,$k:String,$r:String)"
    "{updateStatus(id:$i status:$s expectedVersion:$v idempotencyKey:$k reason:$r)"
    f"{{appointment{{{WHOLE}}} replayed errors{{code allowed}}}}}}"
)
MOVE = (
    "mutation($i:ID!,$s:ID!,$v:Int,$k:String)"
    "{rescheduleAppointment(id:$i slotId:$s expectedVersion:$v idempotencyKey:$k)"
    f"{{appointment{{{WHOLE}}} replayed errors{{code nearest{{id}}}}}}}}"
)
SWAP = (
    "mutation($i:[ID!]!,$k:String!){swapAppointments(ids:$i idempotencyKey:$k)"
    f"{{appointments{{{WHOLE}}} replayed errors{{code}}}}}}"
)


async def _slot_id(gql: Gql, number: int) -> str:
    return str(gql.world.slots[number].id)


async def _do(gql: Gql, mutation: str, *, who: str = "patient", **variables: Any) -> Any:
    (payload,) = (await gql.data(mutation, who=who, **variables)).values()
    return payload


def _codes(payload: Any) -> list[str]:
    assert payload.get("appointment", payload.get("appointments")) is None
    return [each["code"] for each in payload["errors"]]


async def test_booking_answers_with_the_whole_appointment(gql: Gql) -> None:
    payload = await _do(gql, BOOK, s=await _slot_id(gql, 0), k=a_key(), t="Consultation")

    (rest,) = (await gql.rest("/appointments"))["items"]
    assert payload == {
        "appointment": {
            "id": rest["id"],
            "status": "Scheduled",
            "state": "BOOKED",
            "version": 1,
            "date": "2026-11-24",
            "time": "09:00",
            "patientName": "Patient A",
            "doctor": {"name": "Dr Grace Hill"},
            "slotId": rest["slotId"],
            "startsAt": rest["startsAt"],
        },
        "replayed": False,
        "errors": [],
    }


async def test_booking_again_with_the_key_changes_nothing(gql: Gql) -> None:
    asked = {"s": await _slot_id(gql, 0), "k": a_key()}

    first, again = await _do(gql, BOOK, **asked), await _do(gql, BOOK, **asked)
    other = BOOK.replace(f"appointment{{{WHOLE}}}", "appointment{id}")
    fewer = await _do(gql, other, **asked)

    assert again == {**first, "replayed": True}
    assert fewer["appointment"] == {"id": first["appointment"]["id"]}
    assert len((await gql.rest("/appointments"))["items"]) == 1


async def test_key_for_another_request_is_refused(gql: Gql) -> None:
    key = a_key()
    await _do(gql, BOOK, s=await _slot_id(gql, 0), k=key)

    for asked in ({"s": await _slot_id(gql, 1)}, {"s": await _slot_id(gql, 0), "t": "Follow-up"}):
        assert _codes(await _do(gql, BOOK, **asked, k=key)) == ["idempotency_key_reused"]


async def test_key_for_another_appointment_is_refused(gql: Gql) -> None:
    one, two, key = await gql.book(0), await gql.book(1), a_key()
    await _do(gql, STATUS, i=one["id"], s="CONFIRMED", k=key)

    assert _codes(await _do(gql, STATUS, i=two["id"], s="CONFIRMED", k=key)) == [
        "idempotency_key_reused"
    ]


async def test_permission_is_looked_at_before_the_key(gql: Gql) -> None:
    assert _codes(await _do(gql, SWAP, i=[], k="short")) == ["permission_denied"]


async def test_key_of_rest_is_another_request(gql: Gql) -> None:
    key, slot_id = a_key(), await _slot_id(gql, 0)
    await gql.send(
        who="patient",
        path="/appointments",
        headers={"idempotency-key": key},
        json={"slotId": slot_id},
    )

    assert _codes(await _do(gql, BOOK, s=slot_id, k=key)) == ["idempotency_key_reused"]


async def test_key_of_somebody_else_is_independent(gql: Gql) -> None:
    key = a_key()

    one = await _do(gql, BOOK, s=await _slot_id(gql, 0), k=key)
    two = await _do(gql, BOOK, who="other", s=await _slot_id(gql, 1), k=key)

    assert one["appointment"]["id"] != two["appointment"]["id"]
    assert not two["replayed"]


async def test_taken_slot_is_told_with_others_and_repeated(gql: Gql) -> None:
    await gql.book(1)
    asked = {"s": await _slot_id(gql, 1), "k": a_key()}

    told = await _do(gql, BOOK, who="other", **asked)
    again = await _do(gql, BOOK, who="other", **asked)

    (error,) = told["errors"]
    assert (error["code"], error["message"]) == (
        "slot_taken",
        "Sorry, this slot was just taken.",
    )
    assert [slot["time"] for slot in error["nearest"]] == ["09:00", "10:00", "10:30"]
    assert {slot["doctor"]["name"] for slot in error["nearest"]} == {"Dr Grace Hill"}
    assert again == {**told, "replayed": True}


@pytest.mark.parametrize(
    ("who", "asked", "codes"),
    [
        ("patient", {"s": "x"}, ["invalid_input"]),
        ("patient", {"s": str(new_id())}, ["slot_not_found"]),
        ("patient", {"k": "short"}, ["idempotency_key_malformed"]),
        ("patient", {"k": "\u0000" * 30}, ["idempotency_key_malformed"]),
        ("patient", {"t": "x" * 81}, ["invalid_input"]),
        ("patient", {"t": "\u0000"}, ["invalid_input"]),
        ("patient", {"r": "x" * 501}, ["invalid_input"]),
        ("patient", {"o": True}, ["permission_denied"]),
        ("patient", {"p": str(new_id())}, ["patient_not_found"]),
        ("receptionist", {}, ["invalid_input"]),
        ("receptionist", {"p": str(new_id())}, ["patient_not_found"]),
        ("colleague", {"p": "A"}, ["permission_denied"]),
    ],
)
async def test_booking_that_is_refused_changes_nothing(
    gql: Gql, who: str, asked: dict[str, Any], codes: list[str]
) -> None:
    if asked.get("p") == "A":
        asked = {**asked, "p": str(gql.world.patients[0].id)}

    payload = await _do(gql, BOOK, who=who, **{"s": await _slot_id(gql, 0), "k": a_key()} | asked)

    assert _codes(payload) == codes
    assert (await gql.rest("/appointments"))["items"] == []


async def test_update_status_returns_the_whole_appointment(gql: Gql) -> None:
    booked = await gql.book(0)

    payload = await _do(gql, STATUS, i=booked["id"], s="CONFIRMED", v=1)

    rest = await gql.rest(f"/appointments/{booked['id']}")
    assert payload["errors"] == []
    assert payload["appointment"] == {
        "id": booked["id"],
        "status": "Confirmed",
        "state": rest["status"],
        "version": 2,
        "date": rest["date"],
        "time": rest["time"],
        "patientName": rest["patientName"],
        "doctor": {"name": rest["doctorName"]},
        "slotId": rest["slotId"],
        "startsAt": rest["startsAt"],
    }


async def test_update_status_twice_changes_nothing(gql: Gql) -> None:
    booked = await gql.book(0)

    first = await _do(gql, STATUS, i=booked["id"], s="CANCELLED")
    again = await _do(gql, STATUS, i=booked["id"], s="CANCELLED", v=7)

    assert first == again
    assert first["appointment"]["version"] == 2


async def test_update_status_with_a_key_is_replayed_before_the_version_is_looked_at(
    gql: Gql,
) -> None:
    booked, key = await gql.book(0), a_key()
    asked = {"i": booked["id"], "s": "CONFIRMED", "v": 1, "k": key}
    first = await _do(gql, STATUS, **asked)
    await _do(gql, STATUS, i=booked["id"], s="CANCELLED")

    assert await _do(gql, STATUS, **asked) == {**first, "replayed": True}


@pytest.mark.parametrize(
    ("who", "asked", "code"),
    [
        ("patient", {"s": "COMPLETED"}, "permission_denied"),
        ("patient", {"s": "HELD"}, "transition_not_allowed"),
        ("patient", {"v": 2}, "version_mismatch"),
        ("other", {}, "appointment_not_found"),
        ("colleague", {}, "appointment_not_found"),
        ("receptionist", {"s": "COMPLETED"}, "too_early"),
        ("receptionist", {"i": "x"}, "invalid_input"),
        ("receptionist", {"i": str(new_id())}, "appointment_not_found"),
    ],
)
async def test_update_status_that_is_refused_changes_nothing(
    gql: Gql, who: str, asked: dict[str, Any], code: str
) -> None:
    booked = await gql.book(0)

    payload = await _do(gql, STATUS, who=who, **{"i": booked["id"], "s": "CONFIRMED"} | asked)

    assert _codes(payload) == [code]
    assert await gql.rest(f"/appointments/{booked['id']}") == booked


async def test_transition_that_is_not_allowed_names_those_that_are(gql: Gql) -> None:
    booked = await gql.book(0)

    payload = await _do(gql, STATUS, i=booked["id"], s="EXPIRED")

    assert payload["errors"][0]["allowed"] == ["CONFIRMED", "CANCELLED"]


async def test_reschedule_moves_it_and_keeps_its_id(gql: Gql) -> None:
    booked = await gql.book(0)

    payload = await _do(gql, MOVE, i=booked["id"], s=await _slot_id(gql, 3), v=1, k=a_key())

    assert payload["errors"] == []
    moved = payload["appointment"]
    assert (moved["id"], moved["time"], moved["version"]) == (booked["id"], "10:30", 2)


async def test_reschedule_into_a_taken_slot_is_refused(gql: Gql) -> None:
    booked, _ = await gql.book(0), await gql.book(1, who="other")
    asked = {"i": booked["id"], "s": await _slot_id(gql, 1), "k": a_key()}

    told, again = await _do(gql, MOVE, **asked), await _do(gql, MOVE, **asked)

    assert _codes(told) == ["slot_taken"]
    assert len(told["errors"][0]["nearest"]) == 3
    assert again == {**told, "replayed": True}


async def test_swap_exchanges_two(gql: Gql) -> None:
    one, two = await gql.book(0), await gql.book(2, who="other")
    asked = {"i": [two["id"], one["id"]], "k": a_key()}

    payload = await _do(gql, SWAP, who="receptionist", **asked)
    again = await _do(gql, SWAP, who="receptionist", **asked)

    assert [(each["id"], each["time"]) for each in payload["appointments"]] == [
        (two["id"], "09:00"),
        (one["id"], "10:00"),
    ]
    assert again == {**payload, "replayed": True}


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_swap_of_other_than_two_is_refused(gql: Gql, number: int) -> None:
    ids = [str(new_id()) for _ in range(number)]

    assert _codes(await _do(gql, SWAP, who="admin", i=ids, k=a_key())) == ["invalid_input"]


async def test_swap_is_for_staff(gql: Gql) -> None:
    one, two = await gql.book(0), await gql.book(1)

    payload = await _do(gql, SWAP, i=[one["id"], two["id"]], k=a_key())

    assert _codes(payload) == ["permission_denied"]


async def test_mutations_of_one_document_run_in_order(gql: Gql) -> None:
    booked = await gql.book(0)
    both = (
        f'mutation{{a:updateStatus(id:"{booked["id"]}" status:CONFIRMED){{appointment{{version}}}}'
        f' b:updateStatus(id:"{booked["id"]}" status:CANCELLED){{appointment{{version}}}}}}'
    )

    data = await gql.data(both, who="patient")

    assert [data[key]["appointment"]["version"] for key in "ab"] == [2, 3]


async def test_change_is_audited_like_any_other(gql: Gql) -> None:
    booked = await gql.book(0)
    await _do(gql, STATUS, who="receptionist", i=booked["id"], s="CONFIRMED", r="by telephone")

    trail = (await gql.rest(f"/appointments/{booked['id']}/audit"))["items"]

    assert [(entry["action"], entry["reason"]) for entry in trail[1:]] == [
        ("CHANGE_STATUS", "by telephone")
    ]


WHO = ("admin", "receptionist", "doctor", "colleague", "patient", "other")


@pytest.mark.parametrize("who", WHO)
async def test_every_role_is_refused_as_over_rest(gql: Gql, who: str) -> None:
    booked, other = await gql.book(0), await gql.book(2, who="other")
    one, two, slot = booked["id"], other["id"], str(gql.world.colleague_slots[4].id)
    patient = str(gql.world.patients[0].id)
    elsewhere = str(new_id())
    compared = [
        (BOOK, {"s": slot, "p": patient}, "POST", "", {"slotId": slot, "patientId": patient}),
        (STATUS, {"i": one, "s": "COMPLETED"}, "PATCH", f"/{one}", {"status": "COMPLETED"}),
        (STATUS, {"i": elsewhere, "s": "BOOKED"}, "PATCH", f"/{elsewhere}", {"status": "BOOKED"}),
        (MOVE, {"i": one, "s": slot}, "PATCH", f"/{one}", {"slotId": slot}),
        (SWAP, {"i": [one, two]}, "POST", "swaps", {"appointmentIds": [one, two]}),
    ]

    for mutation, asked, method, path, body in compared:
        state = await _everything(gql)
        rest = await gql.send(
            method,
            who=who,
            path="/swaps" if path == "swaps" else f"/appointments{path}",
            headers={"idempotency-key": a_key(), "if-match": "*"},
            json=body,
        )
        if rest.status_code < 400:
            # It succeeded and cannot be repeated; that GraphQL may do it is tested above.
            continue
        payload = await _do(gql, mutation, who=who, k=a_key(), **asked)

        assert _codes(payload) == [rest.json()["code"]]
        assert await _everything(gql) == state


async def _everything(gql: Gql) -> Any:
    return await gql.rest("/appointments", who="admin"), await gql.rest(
        "/slots?status=all", who="admin"
    )


async def _told(gql: Gql, mutation: str, **variables: Any) -> list[tuple[str, str | None]]:
    payload = await _do(gql, mutation, who="receptionist", **variables)
    return [(each["code"], each["pointer"]) for each in payload["errors"]]


async def test_update_status_takes_a_cancellation_back_for_staff(gql: Gql) -> None:
    booked, key = await gql.book(0), a_key()
    await _do(gql, STATUS, i=booked["id"], s="CANCELLED")
    undo = STATUS.replace("reason:$r", "reason:$r override:true")
    asked = {"i": booked["id"], "s": "BOOKED", "k": key}

    refused = await _do(gql, STATUS, **asked)
    undone = await _do(gql, undo, who="receptionist", **asked)
    again = await _do(gql, undo, who="receptionist", **asked)

    assert _codes(refused) == ["permission_denied"]
    assert (undone["errors"], undone["appointment"]["version"]) == ([], 3)
    assert again == {**undone, "replayed": True}
    assert await gql.rest(f"/appointments/{booked['id']}") == {**booked, "version": 3}


@pytest.mark.parametrize("name", ["reason", "override", "expectedVersion", "idempotencyKey"])
async def test_an_argument_of_a_change_that_is_null_is_refused(gql: Gql, name: str) -> None:
    booked = await gql.book(0)
    change = (
        "mutation($i:ID!){updateStatus(id:$i status:CONFIRMED %s:null)"
        "{appointment{version} errors{code pointer}}}"
    )

    told = await _told(gql, change % name, i=booked["id"])
    move = change.replace("updateStatus", "rescheduleAppointment")
    moved = await _told(gql, move.replace("status:CONFIRMED", "slotId:$i") % name, i=booked["id"])

    assert told == moved == [("invalid_input", name)]
    assert (await gql.rest(f"/appointments/{booked['id']}"))["version"] == 1


async def test_a_variable_that_is_null_is_refused_as_null_and_not_as_left_out(gql: Gql) -> None:
    booked = await gql.book(0)
    change = STATUS.replace("errors{code allowed}", "errors{code pointer}")

    assert await _told(gql, change, i=booked["id"], s="CONFIRMED", v=None) == [
        ("invalid_input", "expectedVersion")
    ]
    assert await _told(gql, change, i=booked["id"], s="CONFIRMED") == []


async def test_reasons_with_and_without_a_key_are_the_requests_of_before(gql: Gql) -> None:
    """A change's fingerprint is the same as in the previous release: keys survive upgrades."""
    booked, key = await gql.book(0), a_key()

    first = await _do(gql, STATUS, who="receptionist", i=booked["id"], s="CONFIRMED", k=key)
    again = await _do(gql, STATUS, who="receptionist", i=booked["id"], s="CONFIRMED", k=key)
    other = await _do(
        gql, STATUS, who="receptionist", i=booked["id"], s="CONFIRMED", k=key, r="Because"
    )

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert _codes(other) == ["idempotency_key_reused"]


async def test_texts_are_stored_composed_and_odd_ones_are_told(gql: Gql) -> None:
    book = BOOK.replace("appointment{", "appointment{type ")
    payload = await _do(gql, book, s=await _slot_id(gql, 0), k=a_key(), t=" Toma\u0301s ")
    odd = await _do(gql, BOOK, s=await _slot_id(gql, 1), k=a_key(), t="A\u202e")

    assert payload["appointment"]["type"] == "Tomás"
    (error,) = odd["errors"]
    assert (error["code"], error["pointer"]) == ("invalid_input", "type")
    assert error["message"].startswith("Character 2 of the type is U+202E RIGHT-TO-LEFT OVERRIDE")

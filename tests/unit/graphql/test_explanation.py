"""Explanations over GraphQL, as REST gives them."""

from typing import Any

import pytest

from clinic.testing.builders import MORNING

from .conftest import Gql

pytestmark = pytest.mark.anyio

RULES = "rules{kind refuses detail code blockedBy{kind id name}}"
ASK = (
    "query($d:ID! $at:DateTime! $p:ID){slotExplanation(doctorId:$d at:$at patientId:$p)"
    f"{{slotId startsAt endsAt date time duration type possible {RULES}"
    " nearest{id time}}}"
)


@pytest.mark.parametrize("who", ["receptionist", "patient"])
async def test_explanation_says_what_rest_says(gql: Gql, who: str) -> None:
    """Given leave over the doctor's morning, the same for everybody who asks."""
    slot = gql.world.slots[1]
    leave = {"doctorId": str(slot.doctor_id), "from": "2026-11-24", "endTime": "10:00"}
    await gql.send("POST", path="/leaves", headers={"idempotency-key": "k" * 20}, json=leave)
    at = slot.starts_at.isoformat().replace("+00:00", "Z")
    patient = str(gql.world.patients[0].id)

    found = (await gql.data(ASK, who=who, d=str(slot.doctor_id), at=at, p=patient))[
        "slotExplanation"
    ]
    query = f"doctor={slot.doctor_id}&at={at}&patient={patient}"
    rest = (await gql.send("GET", who=who, path=f"/slots/explanation?{query}")).json()

    [start] = rest["starts"]
    assert found == {
        **{
            key: start[key]
            for key in ("slotId", "startsAt", "endsAt", "date", "time", "duration", "possible")
        },
        "type": None,
        "rules": [_written(rule) for rule in start["rules"]],
        "nearest": [{"id": near["id"], "time": near["time"]} for near in rest["nearest"]],
    }
    refusing = [rule["kind"] for rule in found["rules"] if rule["refuses"]]
    assert refusing == (["leave"] if who == "receptionist" else ["no_hours"])


def _written(rule: dict[str, Any]) -> dict[str, Any]:
    blocked_by = [
        {"id": None, "name": None, **each, "kind": each["kind"].upper()}
        for each in rule.get("blockedBy", [])
    ]
    return {"code": None, **rule, "blockedBy": blocked_by}


async def test_others_may_not_ask(gql: Gql) -> None:
    doctor, patient = str(gql.world.doctor.id), str(gql.world.patients[0].id)

    for who, code in (("colleague", "permission_denied"), ("other", "patient_not_found")):
        answer = await gql.ask(ASK, who=who, d=doctor, at=MORNING.isoformat(), p=patient)
        [error] = answer.json()["errors"]
        assert error["extensions"]["code"] == code

"""The limits of a clinic's policy on one patient's appointments, and the grace for cancelling."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

Limit = Callable[..., Awaitable[Any]]


@pytest.fixture
def limit(api) -> Limit:
    async def change(**policy: int | None) -> Any:
        body, any_version = {"policy": policy}, {"if-match": "*"}
        answer = await api.send("PATCH", "/clinics/current", body, who="admin", headers=any_version)
        assert answer.status_code == 200, answer.text
        return answer.json()["policy"]

    return change


async def book(api, slot: Any, *, who: str = "patient", **more: Any) -> Any:
    return await api.send("POST", "/appointments", {"slotId": str(slot.id), **more}, who=who)


async def cancel(api, booked: Any, *, who: str = "patient") -> Any:
    path, any_version = f"/appointments/{booked['id']}", {"if-match": "*"}
    return await api.send("PATCH", path, {"status": "CANCELLED"}, who=who, headers=any_version)


async def test_patient_has_no_more_with_one_doctor_than_the_clinic_allows(api, limit) -> None:
    policy = await limit(maxOpenPerDoctor=1)
    slots, others = api.world.slots, api.world.colleague_slots
    by_staff = {"who": "receptionist", "patientId": str(api.world.patients[0].id)}
    first = (await book(api, slots[0])).json()

    refused = await book(api, slots[1])
    staff_too = await book(api, slots[1], **by_staff)
    elsewhere = await book(api, others[2])
    into_it = await api.send(
        "PATCH",
        f"/appointments/{elsewhere.json()['id']}",
        {"slotId": str(slots[3].id)},
        headers={"if-match": "*"},
    )
    by_the_other_doctor = await api.send(
        "PATCH",
        f"/appointments/{elsewhere.json()['id']}",
        {"slotId": str(slots[3].id)},
        who="colleague",
        headers={"if-match": "*"},
    )
    overridden = await book(api, slots[4], override=True, **by_staff)
    within = await api.send(
        "PATCH",
        f"/appointments/{first['id']}",
        {"slotId": str(slots[1].id)},
        headers={"if-match": "*"},
    )
    removed = await limit(maxOpenPerDoctor=None)

    problem = refused.json()
    assert policy["maxOpenPerDoctor"] == 1
    assert (refused.status_code, problem["code"]) == (422, "too_many_with_doctor")
    assert problem["maxOpenPerDoctor"] == 1
    assert staff_too.json()["code"] == "too_many_with_doctor"
    assert (elsewhere.status_code, overridden.status_code, within.status_code) == (201, 201, 200)
    assert (into_it.status_code, into_it.json()["code"]) == (422, "too_many_with_doctor")
    # Whether they may move it there at all comes first.
    assert by_the_other_doctor.json()["code"] == "permission_denied"
    assert removed["maxOpenPerDoctor"] is None
    assert (await book(api, slots[3])).status_code == 201


async def test_bookings_of_a_day_are_counted_whatever_becomes_of_them(api, limit) -> None:
    """Given a clinic in Kathmandu that takes one booking a day for a patient
    When a patient cancels and books again, before and after its midnight
    Then only the one after midnight is taken, and other patients' always."""
    await limit(maxBookingsPerDay=1)
    zone = {"timeZone": "Asia/Kathmandu"}
    await api.send("PATCH", "/clinics/current", zone, who="admin", headers={"if-match": "*"})
    found = (await api.send("GET", f"/doctors/{api.world.doctor.id}/slots")).json()["items"]
    first, second, third = ({"slotId": each["id"]} for each in found[:3])
    booked = (await api.send("POST", "/appointments", first)).json()
    await cancel(api, booked, who="receptionist")

    refused = await api.send("POST", "/appointments", second)
    other = await api.send("POST", "/appointments", third, who="other")
    undone = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "BOOKED"},
        who="receptionist",
        headers={"if-match": "*"},
    )
    # 00:01 in Kathmandu.
    api.clock.set(api.clock.now().replace(hour=18, minute=16))
    next_day = await api.send("POST", "/appointments", second)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "too_many_bookings_today")
    assert problem["maxBookingsPerDay"] == 1
    assert other.status_code == 201
    assert undone.status_code == 200, undone.text
    assert next_day.status_code == 201, next_day.text


@pytest.mark.parametrize("field", ["maxOpenPerDoctor", "maxBookingsPerDay"])
@pytest.mark.parametrize("value", [0, 1001])
async def test_limits_have_bounds(api, field, value) -> None:
    body, any_version = {"policy": {field: value}}, {"if-match": "*"}

    refused = await api.send("PATCH", "/clinics/current", body, who="admin", headers=any_version)

    assert refused.status_code == 400
    assert [each["pointer"] for each in refused.json()["errors"]] == [f"/policy/{field}"]


@pytest.mark.parametrize("change", [{"status": "CANCELLED"}, "move"])
async def test_patients_undo_a_booking_within_the_grace(api, limit, change) -> None:
    """Given a slot that begins in an hour, within the cancel notice of two
    When the patient who has just booked it cancels or moves, without a grace, in it and after it
    Then only the one in it is done."""
    slot = api.world.slots[0]
    api.clock.set(slot.starts_at - timedelta(hours=1))
    booked = (await book(api, slot)).json()
    body = {"slotId": str(api.world.slots[3].id)} if change == "move" else change
    path, any_version = f"/appointments/{booked['id']}", {"if-match": "*"}

    without = await api.send("PATCH", path, body, headers=any_version)
    await limit(cancelGraceMin=10)
    api.clock.advance(timedelta(minutes=10))
    late = await api.send("PATCH", path, body, headers=any_version)
    api.clock.advance(timedelta(seconds=-1))
    in_time = await api.send("PATCH", path, body, headers=any_version)

    assert (without.status_code, without.json()["code"]) == (422, "inside_cancel_notice")
    assert (late.status_code, late.json()["code"]) == (422, "inside_cancel_notice")
    assert in_time.status_code == 200, in_time.text

"""Appointments over HTTP: booking, reading, changing, conditions, swaps and the trail."""

from datetime import timedelta
from uuid import uuid4

import pytest

from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut


async def test_booking_answers_with_the_appointment_where_it_is_and_its_tag(api):
    slot, patient = api.world.slots[0], api.world.patients[0]

    answer = await api.send(
        "POST", "/appointments", {"slotId": str(slot.id), "type": "Consultation", "reason": "Cough"}
    )

    booked = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/appointments/{booked['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"
    assert "idempotency-replayed" not in answer.headers
    assert booked == {
        "id": booked["id"],
        "clinicId": str(api.world.clinic.id),
        "slotId": str(slot.id),
        "doctorId": str(api.world.doctor.id),
        "doctorName": "Dr Grace Hill",
        "patientId": str(patient.id),
        "patientName": "Patient A",
        "startsAt": "2026-11-24T09:00:00Z",
        "endsAt": "2026-11-24T09:30:00Z",
        "date": "2026-11-24",
        "time": "09:00",
        "duration": 30,
        "type": "Consultation",
        "typeId": None,
        "status": "BOOKED",
        "version": 1,
        "resources": [],
        "locationId": None,
        "locationName": None,
    }
    assert set(booked) == set(AppointmentOut.__struct_encode_fields__)


async def test_times_bear_the_offset_of_the_clinic(api):
    await api.send(
        "PATCH",
        "/clinics/current",
        {"timeZone": "Asia/Kathmandu"},
        who="admin",
        headers={"if-match": "*"},
    )

    # The hours are on the clinic's clock: the slots are now at other instants.
    [slot, *_] = (await api.send("GET", f"/doctors/{api.world.doctor.id}/slots")).json()["items"]
    answer = await api.send("POST", "/appointments", {"slotId": slot["id"]})
    booked = answer.json()

    assert booked["startsAt"] == "2026-11-24T09:00:00+05:45"
    assert (booked["date"], booked["time"]) == ("2026-11-24", "09:00")


async def test_a_lost_race_is_told_in_these_words_with_the_nearest_open_slots(api):
    await api.book(1)

    answer = await api.send(
        "POST", "/appointments", {"slotId": str(api.world.slots[1].id)}, who="other"
    )

    problem = answer.json()
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["detail"]) == (
        "slot_taken",
        "Sorry, this slot was just taken.",
    )
    nearest = [slot["id"] for slot in problem["nearest"]]
    assert len(nearest) == 3
    assert str(api.world.slots[0].id) in nearest
    assert problem["nearest"][0]["startsAt"] == "2026-11-24T09:00:00Z"
    assert "zone" not in problem


async def test_a_patient_holds_no_more_appointments_than_the_clinic_allows(api):
    policy = {"policy": {"maxOpenAppointments": 2}}
    any_version = {"if-match": "*"}
    changed = await api.send("PATCH", "/clinics/current", policy, who="admin", headers=any_version)
    first, _ = await api.book(0), await api.book(1)
    third = {"slotId": str(api.world.slots[2].id)}
    key = "one-key-for-all-three-tries"

    refused = await api.send("POST", "/appointments", third, key=key)
    by_staff = {**third, "patientId": str(api.world.patients[0].id)}
    staff_too = await api.send("POST", "/appointments", by_staff, who="receptionist")
    other = await api.send("POST", "/appointments", third | {}, who="other")
    fourth = {"slotId": str(api.world.slots[3].id)}
    overridden = await api.send(
        "POST",
        "/appointments",
        {**fourth, "patientId": by_staff["patientId"], "override": True},
        who="receptionist",
    )
    for number in (first["id"], overridden.json()["id"]):
        await api.send(
            "PATCH",
            f"/appointments/{number}",
            {"status": "CANCELLED", "reason": "Moved away"},
            headers=any_version,
        )
    again = await api.send("POST", "/appointments", {"slotId": first["slotId"]}, key=key + "-2")

    assert changed.json()["policy"]["maxOpenAppointments"] == 2
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "too_many_open_appointments")
    assert problem["maxOpenAppointments"] == 2
    assert problem["detail"] == (
        "A patient of this clinic may have 2 appointments ahead; cancel one first, or ask the"
        " clinic."
    )
    assert staff_too.json()["code"] == "too_many_open_appointments"
    assert (other.status_code, overridden.status_code, again.status_code) == (201, 201, 201)


async def test_past_appointments_that_nobody_closed_do_not_count(api):
    policy = {"policy": {"maxOpenAppointments": 1}}
    await api.send("PATCH", "/clinics/current", policy, who="admin", headers={"if-match": "*"})
    await api.book(0)

    api.clock.set(api.world.slots[0].starts_at)
    late = await api.send("POST", "/appointments", {"slotId": str(api.world.slots[4].id)})

    assert late.status_code == 201, late.text


async def test_staff_book_for_the_patient_they_name(api):
    body = {"slotId": str(api.world.slots[0].id), "patientId": str(api.world.patients[1].id)}

    answer = await api.send("POST", "/appointments", body, who="receptionist")

    assert answer.status_code == 201
    assert answer.json()["patientName"] == "Patient B"


async def test_override_books_inside_the_notice_for_staff_only(api):
    api.clock.set(api.world.slots[0].starts_at - timedelta(minutes=5))
    slot_id = str(api.world.slots[0].id)
    patient_id = str(api.world.patients[0].id)

    own = await api.send("POST", "/appointments", {"slotId": slot_id, "override": True})
    plain = await api.send("POST", "/appointments", {"slotId": slot_id})
    staff = await api.send(
        "POST",
        "/appointments",
        {"slotId": slot_id, "patientId": patient_id, "override": True},
        who="receptionist",
    )

    assert (own.status_code, own.json()["code"]) == (403, "permission_denied")
    assert (plain.status_code, plain.json()["code"]) == (422, "inside_notice")
    assert plain.json()["noticeMin"] == 60
    assert staff.status_code == 201


async def test_an_appointment_is_read_by_its_people_and_nobody_else(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"

    own = await api.send("GET", path)
    doctor = await api.send("GET", path, who="doctor")
    office = await api.send("GET", path, who="receptionist")
    other = await api.send("GET", path, who="other")
    colleague = await api.send("GET", path, who="colleague")

    assert own.json() == doctor.json() == office.json() == booked
    assert own.headers["etag"] == '"1"'
    assert other.status_code == colleague.status_code == 404
    assert other.json()["code"] == "appointment_not_found"


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', "*", '"7", "1"', '"x","1"'])
async def test_an_unchanged_copy_is_answered_with_304(api, tags):
    booked = await api.book()

    answer = await api.send("GET", f"/appointments/{booked['id']}", headers={"if-none-match": tags})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"
    # The headers that came with the copy still apply to it.
    assert not {"content-type", "content-security-policy"} & set(answer.headers)


@pytest.mark.parametrize("tags", ['"2"', '"x"'])
async def test_a_changed_copy_is_answered_in_full(api, tags):
    booked = await api.book()

    answer = await api.send("GET", f"/appointments/{booked['id']}", headers={"if-none-match": tags})

    assert (answer.status_code, answer.json()) == (200, booked)


async def test_a_status_change_answers_with_the_whole_appointment_and_its_new_tag(api):
    booked = await api.book()

    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "CONFIRMED", "reason": "By phone"},
        who="receptionist",
        headers={"if-match": '"1"'},
    )

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.json() == {**booked, "status": "CONFIRMED", "version": 2}


async def test_moving_keeps_the_id(api):
    booked = await api.book()
    other = api.world.slots[2]

    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"slotId": str(other.id)},
        headers={"if-match": '"1"'},
    )

    moved = answer.json()
    assert answer.status_code == 200
    assert (moved["id"], moved["slotId"], moved["version"]) == (booked["id"], str(other.id), 2)
    assert moved["time"] == "10:00"


@pytest.mark.parametrize("who", ["other", "colleague"])
async def test_what_is_not_ones_own_is_not_moved_and_looks_as_if_it_were_not_there(api, who):
    booked = await api.book()
    body, any_version = {"slotId": str(api.world.slots[2].id)}, {"if-match": "*"}

    theirs, nobodys = [
        await api.send("PATCH", f"/appointments/{each}", body, who=who, headers=any_version)
        for each in (booked["id"], uuid4())
    ]

    codes = [(each.status_code, each.json()["code"]) for each in (theirs, nobodys)]
    assert codes == [(404, "appointment_not_found")] * 2
    path = f"/appointments/{booked['id']}"
    assert (await api.send("GET", path)).json() == booked


async def test_moving_into_a_taken_slot_names_the_nearest(api):
    booked = await api.book(0)
    await api.book(1, who="other")

    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"slotId": str(api.world.slots[1].id)},
        headers={"if-match": '"1"'},
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "slot_taken")
    assert len(answer.json()["nearest"]) == 3


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 428, "version_missing"),
        ({"if-match": '"2"'}, 412, "version_mismatch"),
        ({"if-match": 'W/"1"'}, 412, "version_mismatch"),
        ({"if-match": '"abc"'}, 412, "version_mismatch"),
        ({"if-match": '"01"'}, 412, "version_mismatch"),
        ({"if-match": "1"}, 400, "invalid_input"),
        ({"if-match": '"1'}, 400, "invalid_input"),
        ({"if-match": ""}, 400, "invalid_input"),
    ],
)
async def test_a_change_on_stale_knowledge_changes_nothing(api, headers, status, code):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"

    answer = await api.send("PATCH", path, {"status": "CANCELLED"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.send("GET", path)).json() == booked


@pytest.mark.parametrize("tags", ["*", '"1"', '"7", "1"', 'W/"1", "1"'])
async def test_a_change_on_the_right_version_is_made(api, tags):
    booked = await api.book()

    answer = await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "CANCELLED"},
        headers={"if-match": tags},
    )

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")


async def test_one_of_several_tags_is_enough(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"
    await api.send("PATCH", path, {"status": "CONFIRMED"}, headers={"if-match": '"1"'})

    answer = await api.send(
        "PATCH", path, {"status": "CANCELLED"}, headers={"if-match": '"1", "2", "3"'}
    )

    assert (answer.status_code, answer.headers["etag"]) == (200, '"3"')


async def test_asking_again_for_the_status_one_has_set_changes_nothing(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"
    first = await api.send("PATCH", path, {"status": "CONFIRMED"}, headers={"if-match": '"1"'})

    again = await api.send("PATCH", path, {"status": "CONFIRMED"}, headers={"if-match": '"1"'})

    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["etag"] == '"2"'


async def test_a_transition_that_is_not_allowed_names_those_that_are(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"
    await api.send("PATCH", path, {"status": "CANCELLED"}, headers={"if-match": "*"})

    answer = await api.send("PATCH", path, {"status": "CONFIRMED"}, headers={"if-match": "*"})

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "transition_not_allowed")
    assert (problem["from"], problem["to"], problem["allowed"]) == ("CANCELLED", "CONFIRMED", [])
    assert problem["status"] == 409


async def test_the_trail_is_for_staff(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"
    await api.send(
        "PATCH",
        path,
        {"status": "CONFIRMED", "reason": "By phone"},
        headers={"if-match": "*", "x-request-id": "abc-123"},
    )

    trail = await api.send("GET", f"{path}/audit", who="receptionist")
    own = await api.send("GET", f"{path}/audit")
    unknown = await api.send("GET", f"/appointments/{uuid4()}/audit", who="receptionist")

    first, second = trail.json()["items"]
    assert trail.json()["next"] is None
    assert (first["action"], first["fromStatus"], first["toStatus"]) == ("BOOK", None, "BOOKED")
    assert second["requestId"] == "abc-123"
    assert (second["reason"], second["actorRole"], second["version"]) == ("By phone", "PATIENT", 2)
    assert own.status_code == 403
    assert unknown.status_code == 404


async def test_a_swap_exchanges_the_slots(api):
    one, two = await api.book(0), await api.book(1, who="other")

    answer = await api.send(
        "POST", "/swaps", {"appointmentIds": [two["id"], one["id"]]}, who="receptionist"
    )

    assert answer.status_code == 200
    b, a = answer.json()["items"]
    assert (b["id"], b["slotId"], b["version"]) == (two["id"], one["slotId"], 2)
    assert (a["id"], a["slotId"], a["version"]) == (one["id"], two["slotId"], 2)


async def test_a_swap_is_not_for_patients(api):
    one, two = await api.book(0), await api.book(1, who="other")

    answer = await api.send("POST", "/swaps", {"appointmentIds": [one["id"], two["id"]]})

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


async def test_appointments_are_filtered_by_each_parameter(api):
    first, second = await api.book(0), await api.book(1, who="other")
    await api.send(
        "PATCH",
        f"/appointments/{second['id']}",
        {"status": "CANCELLED"},
        who="other",
        headers={"if-match": "*"},
    )

    async def found(query: str) -> list[str]:
        answer = await api.send("GET", f"/appointments?{query}", who="receptionist")
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    both = [first["id"], second["id"]]
    assert await found("") == both
    assert await found(f"patient={api.world.patients[1].id}") == [second["id"]]
    assert await found(f"doctor={api.world.doctor.id}") == both
    assert await found(f"doctor={api.world.colleague.id}") == []
    assert await found("date=2026-11-24") == both
    assert await found("date=2026-11-25") == []
    assert await found("from=2026-11-24T09:30:00Z") == [second["id"]]
    assert await found("from=2026-11-24T10:00:00+01:00&to=2026-11-24T10:30:00%2B01:00") == [
        first["id"]
    ]
    assert await found("status=BOOKED") == [first["id"]]
    assert await found("status=BOOKED,CANCELLED") == both
    assert await found("status=BOOKED&status=CANCELLED") == both

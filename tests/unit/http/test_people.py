"""Doctors, patients, the clinic, and the caller's own account."""

import pytest


async def test_a_new_doctor_is_listed_and_read(api):
    answer = await api.send(
        "POST",
        "/doctors",
        {
            "name": "  Dr  Amina Okafor ",
            "email": "amina@example.org",
            "specialty": "Cardiology",
            "phone": "+44 20 7946 0018",
        },
        who="admin",
    )

    doctor = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/doctors/{doctor['id']}"
    assert doctor == {
        "id": doctor["id"],
        "clinicId": str(api.world.clinic.id),
        "name": "Dr Amina Okafor",
        "specialty": "Cardiology",
        "lastDay": None,
    }
    listed = await api.send("GET", "/doctors?specialty=cardiology")
    assert listed.json() == {"items": [doctor], "next": None}
    assert (await api.send("GET", f"/doctors/{doctor['id']}")).json() == doctor
    assert len((await api.send("GET", "/doctors")).json()["items"]) == 3


async def test_a_new_patient_is_read_by_staff_and_books(api):
    answer = await api.send(
        "POST",
        "/patients",
        {"name": "Ines Alvarez", "email": "ines@example.org"},
        who="receptionist",
    )

    patient = answer.json()
    assert answer.status_code == 201
    assert patient == {
        "id": patient["id"],
        "clinicId": str(api.world.clinic.id),
        "name": "Ines Alvarez",
        "email": "ines@example.org",
        "phone": None,
    }
    assert (await api.send("GET", answer.headers["location"], who="doctor")).json() == patient
    body = {"slotId": str(api.world.slots[0].id), "patientId": patient["id"]}
    booked = await api.send("POST", "/appointments", body, who="receptionist")
    assert booked.json()["patientName"] == "Ines Alvarez"


async def test_an_email_address_is_used_once(api):
    body = {"name": "Ines Alvarez", "email": "ines@example.org"}
    await api.send("POST", "/patients", body, who="receptionist")

    again = await api.send(
        "POST", "/patients", {**body, "email": "INES@example.org"}, who="receptionist"
    )

    assert (again.status_code, again.json()["code"]) == (409, "email_in_use")


async def test_patients_read_themselves(api):
    patient = api.world.patients[0]

    answer = await api.send("GET", f"/patients/{patient.id}")

    assert answer.json()["email"] == patient.email


async def test_everybody_reads_who_they_are(api):
    me = (await api.send("GET", "/users/me", who="doctor")).json()

    assert (me["id"], me["role"], me["name"]) == (
        str(api.world.doctor.id),
        "DOCTOR",
        "Dr Grace Hill",
    )
    assert me["clinicId"] == str(api.world.clinic.id)


async def test_the_clinic_is_changed_in_part(api):
    read = await api.send("GET", "/clinics/current")
    before = read.json()

    answer = await api.send(
        "PATCH",
        "/clinics/current",
        {"policy": {"noticeMin": 5, "reminderLeadsMin": []}, "reason": "Walk-ins"},
        who="admin",
        headers={"if-match": read.headers["etag"]},
    )

    after = answer.json()
    policy = {**before["policy"], "noticeMin": 5, "reminderLeadsMin": []}
    assert answer.status_code == 200
    assert after == {**before, "policy": policy}
    again = await api.send("GET", "/clinics/current")
    assert again.json() == after
    assert again.headers["etag"] == answer.headers["etag"] != read.headers["etag"]
    unchanged = await api.send(
        "GET", "/clinics/current", headers={"if-none-match": f"W/{again.headers['etag']}"}
    )
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    ("match", "status", "code"),
    [
        (None, 428, "version_missing"),
        ('"0123456789abcdef"', 412, "version_mismatch"),
        ("no tag", 400, "invalid_input"),
    ],
)
async def test_a_clinic_that_was_not_read_as_it_is_is_not_changed(api, match, status, code):
    before = (await api.send("GET", "/clinics/current")).json()
    headers = {} if match is None else {"if-match": match}

    answer = await api.send(
        "PATCH", "/clinics/current", {"name": "Hillside"}, who="admin", headers=headers
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.send("GET", "/clinics/current")).json() == before


async def test_the_clinic_says_how_it_is_reached_and_in_which_language_it_writes(api):
    before = (await api.send("GET", "/clinics/current")).json()
    contact = {
        "address": " Quay House \n\n14 Quay  Road\nBristol BS1 6XN",
        "phone": "+44 117 496 0123",
        "language": "de",
    }
    headers = {"if-match": "*"}

    async def change(body):
        return await api.send("PATCH", "/clinics/current", body, who="admin", headers=headers)

    changed = await change(contact)
    kept = await change({"name": "Hillside"})
    removed = await change({"address": None, "phone": None})

    assert (before["address"], before["phone"], before["language"]) == (None, None, "en")
    wanted = {
        "address": "Quay House\n14 Quay Road\nBristol BS1 6XN",
        "phone": "+441174960123",
        "language": "de",
    }
    assert changed.json() == {**before, **wanted}
    assert kept.json() == {**before, **wanted, "name": "Hillside"}
    assert removed.json() == {**before, "name": "Hillside", "language": "de"}
    assert (await api.send("GET", "/clinics/current")).json() == removed.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"phone": "+999 12345678"}, "phone_number_refused"),
        ({"language": "fr"}, "invalid_input"),
        ({"language": None}, "invalid_input"),
        ({"address": "1 Quay Road\x1b[31m"}, "invalid_input"),
        ({"address": "\n".join("1234567")}, "invalid_input"),
        ({"address": "x" * 301}, "invalid_input"),
    ],
)
async def test_a_contact_that_cannot_be_is_refused(api, body, code):
    before = (await api.send("GET", "/clinics/current")).json()

    answer = await api.send(
        "PATCH", "/clinics/current", body, who="admin", headers={"if-match": "*"}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await api.send("GET", "/clinics/current")).json() == before


async def test_of_two_changes_of_one_clinic_the_second_must_read_it_again(api):
    tag = (await api.send("GET", "/clinics/current")).headers["etag"]
    bodies = [{"name": "Hillside"}, {"policy": {"noticeMin": 5}}]

    answers = [
        await api.send("PATCH", "/clinics/current", body, who="admin", headers={"if-match": tag})
        for body in bodies
    ]

    assert [answer.status_code for answer in answers] == [200, 412]


@pytest.mark.parametrize("name", ["=?utf-8?q?Bank=0d=0aSubject:_x?=", "A =?x?y?z?= B"])
async def test_clinic_s_name_that_emails_would_decode_is_refused(api, name):
    before = (await api.send("GET", "/clinics/current")).json()
    tag = (await api.send("GET", "/clinics/current")).headers["etag"]

    changed = await api.send(
        "PATCH", "/clinics/current", {"name": name}, who="admin", headers={"if-match": tag}
    )

    told = changed.json()
    assert (changed.status_code, told["code"]) == (400, "invalid_input")
    assert told["errors"][0]["pointer"] == "/name"
    assert "write the name without it" in changed.text
    assert (await api.send("GET", "/clinics/current")).json() == before

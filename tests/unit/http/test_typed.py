"""Typed input over REST: texts and filters in any spelling, and phone numbers."""

import unicodedata
from dataclasses import replace
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from clinic.domain.people.people import Role, User
from clinic.testing.builders import a_user
from clinic.testing.strategies import typed_lines

DECOMPOSED, COMPOSED = "Toma\u0301s  Núñez ", "Tomás Núñez"
_numbers = count(1)


def someone(**more):
    return {"name": "Ines Alvarez", "email": f"p{next(_numbers)}@example.org", **more}


async def add_patient(api, **more):
    return await api.send("POST", "/patients", someone(**more), who="receptionist")


async def test_a_text_is_stored_composed_however_it_was_typed(api):
    patient = (await add_patient(api, name=DECOMPOSED)).json()

    assert patient["name"] == COMPOSED
    read = await api.send("GET", f"/patients/{patient['id']}", who="receptionist")
    assert read.json() == patient


@pytest.mark.parametrize(
    "typed", ["Pa\u0301diatrie", "P%C3%A1diatrie%20", "%20p%C3%A1diatrie", "Pa%CC%81diatrie%0A"]
)
@pytest.mark.parametrize("path", ["/doctors", "/slots"])
async def test_a_filter_is_read_as_the_text_was_stored(api, path, typed):
    doctor = someone(name="Dr Okafor", specialty="Pa\u0301diatrie")
    added = (await api.send("POST", "/doctors", doctor, who="admin")).json()

    found = await api.send("GET", f"{path}?specialty={typed}")

    assert added["specialty"] == "Pádiatrie"
    assert found.status_code == 200
    assert path == "/slots" or found.json()["items"] == [added]


async def test_a_specialty_is_found_with_a_space_after_it(api):
    for path in ("/slots?specialty=General%20", "/doctors?specialty=%20general"):
        assert (await api.send("GET", path)).json()["items"] != []


async def test_the_same_request_in_another_spelling_is_another_request(api):
    body = someone(name="Toma\u0301s")
    key = "key-of-two-spellings"

    first = await api.send("POST", "/patients", body, who="receptionist", key=key)
    other = await api.send(
        "POST", "/patients", {**body, "name": "Tomás"}, who="receptionist", key=key
    )
    again = await api.send("POST", "/patients", body, who="receptionist", key=key)

    assert (first.status_code, other.json()["code"]) == (201, "idempotency_key_reused")
    assert again.content == first.content


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=typed_lines())
async def test_any_text_that_is_accepted_comes_back_composed_and_is_accepted_again(api, text):
    answer = await api.send("POST", "/patients", someone(name=text), who="receptionist")

    if answer.status_code != 201:
        assert answer.json()["errors"][0]["pointer"] == "/name"
        return
    name = answer.json()["name"]
    assert unicodedata.is_normalized("NFC", name)
    stored = await api.services.store.people.user(UUID(answer.json()["id"]))
    assert stored.name == name
    assert (await add_patient(api, name=name)).json()["name"] == name


# --- phone numbers ---


async def registered(api, phone):
    body = someone(phone=phone, password="three blue herons")
    answer = await api.client.post("/users", json=body)
    return answer, answer.json().get("user")


async def invited(api, phone):
    answer = await api.send("POST", "/users", someone(phone=phone, role="PATIENT"), who="admin")
    return answer, answer.json().get("user")


async def added(api, phone):
    answer = await add_patient(api, phone=phone)
    return answer, answer.json()


async def doctor_added(api, phone):
    body = someone(phone=phone, specialty="Cardiology")
    answer = await api.send("POST", "/doctors", body, who="admin")
    return answer, answer.json()


async def changed(api, phone):
    answer = await api.send("PATCH", "/users/me", {"phone": phone})
    return answer, answer.json()


async def clinic_changed(api, phone):
    answer = await api.send(
        "PATCH", "/clinics/current", {"phone": phone}, who="admin", headers={"if-match": "*"}
    )
    return answer, answer.json()


PERSONS = (registered, invited, added, doctor_added, changed)
DOORS = (*PERSONS, clinic_changed)


@pytest.mark.parametrize("door", DOORS)
async def test_a_phone_number_is_stored_in_one_form_at_every_door(api, door):
    answer, made = await door(api, "tel:+44 (0)20\u202f7946\u00a00018 ext. 12")

    assert answer.status_code in (200, 201), answer.text
    people, made_id = api.services.store.people, UUID(made["id"])
    if door in PERSONS:
        stored = (await people.user(made_id)).phone
    else:
        stored = (await people.clinic(made_id)).contact.phone
    assert stored == "+442079460018;ext=12"
    assert made.get("phone", stored) == stored


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("phone", ["", " ", "call me", "1", "020 7946 0018"])
async def test_what_is_no_phone_number_is_refused_at_every_door(api, door, phone):
    before = await api.everything()

    answer, _ = await door(api, phone)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "phone_number_refused")
    assert problem["errors"][0]["pointer"] == "/phone"
    assert "+44 20 7946 0958" in problem["detail"]
    assert await api.everything() == before


# --- values accepted under older rules ---


async def test_what_older_rules_accepted_is_still_read_and_may_stay(api):
    patient = api.world.patients[0]
    old = User(patient.id, "Ada\u202e", "ada@.example", Role.PATIENT, "020 7946")
    async with api.services.store.begin() as unit:
        await unit.accounts.replace_user(old)
        await unit.commit()

    read = (await api.send("GET", "/users/me")).json()
    answer = await api.send("PATCH", "/users/me", {"name": "Ada"})

    assert (read["name"], read["email"], read["phone"]) == (old.name, old.email, old.phone)
    assert (answer.status_code, answer.json()["name"]) == (200, "Ada")
    assert await api.services.store.people.user(patient.id) == replace(old, name="Ada")


async def test_a_doctor_whose_name_is_stored_in_pieces_is_found_by_it(api):
    user = replace(a_user(Role.DOCTOR), name="Dr Toma\u0301s")
    async with api.services.store.begin() as unit:
        await unit.people.add_user(user)
        await unit.people.add_doctor(api.world.clinic.id, user.id, "General")
        await unit.commit()

    for name in ("Dr Tomás", "dr  toma\u0301s "):
        body = {
            "query": "query($d:String){getAppointments(doctor:$d){id}}",
            "variables": {"d": name},
        }
        answer = await api.send("POST", "/graphql", body, who="receptionist")
        assert answer.json() == {"data": {"getAppointments": []}}


# --- texts ---


@pytest.mark.parametrize(
    ("path", "parameter", "told"),
    [
        ("/appointments?status=BOKED", "status", "EXPIRED; did you mean BOOKED?"),
        ("/appointments?status=BOOKED,booked", "status", "EXPIRED; did you mean BOOKED?"),
        ("/slots?status=free", "status", "write one of: open, blocked, all."),
        ("/users?role=docter", "role", "did you mean DOCTOR?"),
        ("/notifications?kind=remainder", "kind", "did you mean reminder?"),
        ("/notifications?status=pendin", "status", "did you mean pending?"),
    ],
)
async def test_unknown_word_in_a_query_is_refused_with_those_that_are_known(
    api, path, parameter, told
):
    problem = (await api.send("GET", path, who="admin")).json()

    (error,) = problem["errors"]
    assert (problem["status"], error["parameter"]) == (400, parameter)
    assert error["detail"].endswith(told)


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer", "told"),
    [
        ("PATCH", "/slots/{slot}", {"status": "blocked"}, "/status", "did you mean BLOCKED?"),
        ("PATCH", "/appointments/{slot}", {"status": "X"}, "/status", "NO_SHOW, EXPIRED."),
        ("POST", "/users", {"role": "BOSS"}, "/role", "RECEPTIONIST, ADMIN."),
        ("POST", "/availabilities", {"weekdays": ["monday"]}, "/weekdays/0", "did you mean mon?"),
    ],
)
async def test_unknown_word_in_a_body_is_refused_with_those_that_are_known(
    api, method, path, body, pointer, told
):
    path = path.format(slot=api.world.slots[0].id)

    problem = (await api.send(method, path, body, who="admin", headers={"if-match": "*"})).json()

    details = {error["pointer"]: error["detail"] for error in problem["errors"]}
    assert details[pointer].endswith(told)

"""A patient's data: hidden from others, exported, erased, and never in a log."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.apps import an_app

from clinic.bootstrap import in_memory
from clinic.domain.notifications import DOCTOR_CHANGE
from clinic.domain.paging import LIMIT_MAX
from clinic.domain.people.people import Patient, Role, User, erased_user
from clinic.entrypoints.http.api.people.schemas import ExportOut
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, seed_booking, seed_world
from clinic.testing.builders import NOW, a_session, an_event, seed_slots, slots_of
from clinic.testing.soundness import every_appointment

PATIENCE_S = 10
PASSWORD = "seven quiet otters"
BEN = {
    "name": "Benedikta Quellenreuther",
    "email": "benedikta@secret.example.org",
    "phone": "+442079460958",
    "password": "eight loud badgers",
}


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="debug", fast_passwords=True)


@pytest.fixture
async def ben(api):
    """A patient with an appointment, and the headers with their token."""
    await api.send("POST", "/users", BEN, who=None)
    body = {"email": BEN["email"], "password": BEN["password"]}
    signed_in = (await api.client.post("/sessions", json=body)).json()
    headers = {"authorization": f"Bearer {signed_in['token']}", "idempotency-key": "k" * 20}
    booked = await api.client.post(
        "/appointments",
        json={"slotId": str(api.world.slots[0].id), "reason": "a rash nobody must know of"},
        headers=headers,
    )
    assert booked.status_code == 201
    return {
        "id": signed_in["user"]["id"],
        "token": signed_in["token"],
        "headers": headers,
        "appointment": booked.json()["id"],
    }


async def test_nothing_of_a_patient_stands_in_the_log(api, ben, caplog, capfd, monkeypatch):
    caplog.set_level(logging.DEBUG)
    # The test's own client logs its URLs.
    for client in ("httpx", "httpcore"):
        caplog.set_level(logging.WARNING, client)
    bad = {"name": BEN["name"], "email": BEN["email"], "password": "x", "nonsense": BEN["phone"]}

    await api.client.get("/users/me", headers=ben["headers"])
    await api.client.get("/users/me/export", headers=ben["headers"])
    await api.client.patch("/users/me", json={"phone": BEN["phone"]}, headers=ben["headers"])
    await api.client.post("/sessions", json={"email": BEN["email"], "password": "wrong"})
    await api.client.post("/users", json=bad)
    await api.client.post("/users", json={**BEN, "email": BEN["email"].upper()})
    await api.client.get(f"/users/{BEN['email']}", headers=ben["headers"])
    await api.client.get(f"/nowhere/{BEN['email']}?name={BEN['name']}", headers=ben["headers"])
    await api.client.get(f"/m/{ben['token']}")
    await api.client.get(f"/password-resets/{ben['token']}")
    await api.client.post(f"/email-verifications/{ben['token']}")
    await api.client.post("/password-resets", json={"email": BEN["email"]})
    await api.client.get("/patients", headers={"authorization": f"Bearer {ben['token']}x"})
    await api.send("GET", f"/patients/{ben['id']}", who="receptionist")
    await api.send("POST", f"/users/{ben['id']}/erasure", {}, who="admin")
    broken = api.services.store.accounts

    async def fail(*_, **__):
        raise RuntimeError(f"{BEN['name']} broke it")

    monkeypatch.setattr(type(broken), "account", fail)
    assert (await api.client.get("/users/me", headers=ben["headers"])).status_code == 500

    written = ""
    async with asyncio.timeout(PATIENCE_S):
        while written.count('"event":"request"') < 12:
            await asyncio.sleep(0.01)
            written += "".join(capfd.readouterr())
    written += caplog.text
    assert "RuntimeError" in written
    secrets = [
        *BEN.values(),
        *BEN["name"].split(),
        ben["token"],
        ben["token"].rpartition(".")[2],
        "a rash nobody must know of",
    ]
    assert [secret for secret in secrets if secret.lower() in written.lower()] == []


async def test_one_exports_all_that_is_kept_about_oneself_and_nothing_of_others(api, ben):
    await api.send("GET", f"/patients/{ben['id']}", who="receptionist")
    await api.services.audit.flush()

    answer = await api.client.get("/users/me/export", headers=ben["headers"])

    export = answer.json()
    assert export["user"]["email"] == BEN["email"]
    assert [each["id"] for each in export["appointments"]] == [ben["appointment"]]
    assert [each["current"] for each in export["sessions"]] == [True]
    seen = {(each["role"], each["action"]) for each in export["events"]}
    assert {("RECEPTIONIST", "read"), ("PATIENT", "BOOK")} <= seen
    assert str(api.receptionist.id) not in answer.text


async def test_the_sessions_exported_are_those_that_ended_too(api, ben):
    password = {"email": BEN["email"], "password": BEN["password"]}
    other = (await api.client.post("/sessions", json=password)).json()
    await api.client.delete(
        "/sessions/current", headers={"authorization": f"Bearer {other['token']}"}
    )

    export = (await api.client.get("/users/me/export", headers=ben["headers"])).json()

    revoked = {each["id"]: each["revokedAt"] for each in export["sessions"]}
    assert datetime.fromisoformat(revoked.pop(other["id"])) == NOW
    assert list(revoked.values()) == [None]
    assert [each["current"] for each in export["sessions"]].count(True) == 1


async def test_what_one_did_is_exported_for_staff_as_well(api, ben):
    headers = api.bearer("receptionist")
    await api.client.get(f"/patients/{ben['id']}", headers=headers)
    await api.client.get(f"/users/{ben['id']}", headers=headers)
    body = {"phone": "+44 20 7946 0018"}
    await api.client.patch("/users/me", json=body, headers=headers)
    await api.services.audit.flush()

    export = (await api.client.get("/users/me/export", headers=headers)).json()
    of_ben = (await api.client.get("/users/me/export", headers=ben["headers"])).json()

    own = {(each["action"], each["outcome"]) for each in export["events"] if each["own"]}
    assert {("read", "done"), ("get", "permission_denied"), ("change_own_data", "done")} <= own
    assert ben["id"] not in json.dumps(export)
    done = {each["action"]: each["own"] for each in of_ben["events"]}
    assert (done["BOOK"], done["sign_in"], done["read"]) == (True, True, False)


async def test_doctors_export_their_own_leave_and_blocks_with_the_reasons(api):
    mine, colleagues = str(api.world.doctor.id), str(api.world.colleague.id)
    entered = []
    for doctor in (mine, colleagues):
        for path, times in (
            ("/leaves", {"from": "2026-12-07"}),
            ("/blocks", {"from": "2026-12-14T09:00:00Z", "to": "2026-12-14T10:00:00Z"}),
        ):
            body = {"doctorId": doctor, "reason": f"{doctor} is at the dentist's", **times}
            added = await api.send("POST", path, body, who="receptionist")
            assert added.status_code == 201
            entered.append({key: added.json()[key] for key in ("id", "reason")})

    answer = await api.client.get("/users/me/export", headers=api.bearer("doctor"))
    of_office = await api.client.get("/users/me/export", headers=api.bearer("receptionist"))

    export = answer.json()
    own = [
        {"id": one["id"], "reason": one["reason"]} for one in (*export["leaves"], *export["blocks"])
    ]
    assert own == entered[:2]
    assert colleagues not in answer.text
    assert [of_office.json()[each] for each in ("leaves", "blocks")] == [[], []]


async def test_an_export_is_whole_beyond_a_page_of_each(api, ben):
    number = LIMIT_MAX + 3
    patient = Patient(api.world.clinic.id, UUID(ben["id"]), BEN["name"], BEN["email"])
    first = api.world.slots[-1].ends_at + timedelta(days=1)
    slots = slots_of(api.world.doctor, number, first=first)
    await seed_slots(api.services.store, *slots)
    for slot in slots:
        await seed_booking(api.services.store, api.world.clinic, slot, patient)
    await api.services.store.audit_log.append(
        [
            replace(
                an_event(api.world.clinic), at=NOW + timedelta(seconds=n), patient_id=patient.id
            )
            for n in range(2 * number)
        ]
    )

    answer = await api.client.get("/users/me/export", headers=ben["headers"])
    head = await api.client.head("/users/me/export", headers=ben["headers"])

    export = msgspec.json.decode(answer.content, type=ExportOut)
    views = await every_appointment(api.services.store, api.world.clinic.id)
    booked = [view.appointment.id for view in views]
    assert [each.id for each in export.appointments] == booked
    assert len(booked) == number + 1
    mine = [
        message.id
        for message in api.services.store.messages
        if message.kind != DOCTOR_CHANGE
        and (message.user_id == patient.id or message.appointment_id in booked)
    ]
    assert sorted(each.id for each in export.notifications) == sorted(mine)
    assert len(mine) > number
    assert [each.action for each in export.events].count("change_clinic") == 2 * number
    assert export.preferences.language == "en"
    assert "content-length" not in answer.headers
    assert (head.status_code, head.content) == (200, b"")


async def test_an_erased_patient_is_a_pseudonym_and_cannot_sign_in(api, ben):
    refused = await api.send("POST", f"/users/{ben['id']}/erasure", {}, who="admin")
    path = f"/appointments/{ben['appointment']}"
    trail = (await api.send("GET", f"{path}/audit", who="admin")).json()
    await api.send("PATCH", path, {"status": "CANCELLED"}, who="admin", headers={"if-match": "*"})

    erased = await api.send("POST", f"/users/{ben['id']}/erasure", {}, who="admin")

    assert (refused.status_code, refused.json()["code"]) == (409, "upcoming_appointments")
    assert erased.status_code == 200
    assert erased.json()["disabled"]
    assert (await api.client.get("/users/me", headers=ben["headers"])).status_code == 401
    body = {"email": BEN["email"], "password": BEN["password"]}
    assert (await api.client.post("/sessions", json=body)).status_code == 401
    everything = json.dumps(await api.everything())
    assert BEN["name"] not in everything
    assert BEN["email"] not in everything
    assert "Erased patient" in everything
    after = (await api.send("GET", f"{path}/audit", who="admin")).json()
    assert after["items"][: len(trail["items"])] == [
        {**each, "reason": "Erased"} for each in trail["items"]
    ]
    assert "a rash nobody must know of" not in everything
    # The address is available again.
    assert (await api.send("POST", "/users", BEN, who=None)).status_code == 201


async def test_answers_to_staff_about_an_erased_patient_are_not_given_again(api):
    key = {"idempotency-key": "of-the-office-alone-0001"}
    added = {"name": "Cleo Cassidy", "email": "cleo@example.org"}
    first = await api.send("POST", "/patients", added, who="receptionist", headers=key)
    await api.send("POST", f"/users/{first.json()['id']}/erasure", {}, who="admin")
    before = await api.everything()

    again = await api.send("POST", "/patients", added, who="receptionist", headers=key)

    assert (first.status_code, again.status_code) == (201, 410)
    assert again.json()["code"] == "answer_erased"
    assert "Cleo" not in again.text
    assert await api.everything() == before


async def test_a_change_of_ones_own_data_under_way_writes_nothing_after_an_erasure(
    api, ben, monkeypatch
):
    """The session is checked first, then the password, which takes a while."""
    path = f"/appointments/{ben['appointment']}"
    await api.send("PATCH", path, {"status": "CANCELLED"}, who="admin", headers={"if-match": "*"})
    hasher = type(api.services.hasher)
    verify = hasher.verify

    async def erased_meanwhile(*args, **more):
        checked = await verify(*args, **more)
        erased = await api.send("POST", f"/users/{ben['id']}/erasure", {}, who="admin")
        assert erased.status_code == 200
        return checked

    monkeypatch.setattr(hasher, "verify", erased_meanwhile)
    change = {
        "name": "Benedikta Spaet",
        "email": "late@secret.example.org",
        "phone": "+493012345678",
        "current": BEN["password"],
    }

    refused = await api.client.patch("/users/me", json=change, headers=ben["headers"])

    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")
    account = await api.services.store.accounts.account(UUID(ben["id"]))
    assert account.user == erased_user(UUID(ben["id"]))
    assert (account.password_hash, account.disabled_at) == (None, NOW)
    assert all(message.to_email is None for message in api.services.store.messages)


async def test_an_erased_patient_is_not_enabled_again(api):
    patient = api.world.patients[0]
    user = f"/users/{patient.id}"
    await api.send("POST", f"{user}/erasure", {}, who="admin")

    refused = await api.send("PATCH", user, {"disabled": False}, who="admin")

    assert (refused.status_code, refused.json()["code"]) == (409, "patient_disabled")
    assert (await api.send("GET", user, who="admin")).json()["disabled"]
    again = await api.send("PATCH", user, {"disabled": True}, who="admin")
    assert again.status_code == 200


async def test_an_erased_patient_is_not_invited_and_no_reason_for_it_is_kept(api):
    user = f"/users/{api.world.patients[0].id}"
    await api.send("POST", f"{user}/erasure", {}, who="admin")

    refused = await api.send("POST", f"{user}/invitations", {"reason": "Ada asked"}, who="admin")

    assert (refused.status_code, refused.json()["code"]) == (409, "patient_disabled")
    assert "Ada asked" not in (await api.send("GET", "/audit", who="admin")).text


async def test_staff_are_not_erased_and_nobody_disables_themselves(api):
    staff = await api.send("POST", f"/users/{api.receptionist.id}/erasure", {}, who="admin")
    oneself = await api.send("PATCH", f"/users/{api.admin.id}", {"disabled": True}, who="admin")

    assert staff.status_code == 400
    assert oneself.status_code == 400


async def test_what_reaches_beyond_the_clinic_is_refused_for_whoever_also_belongs_to_others(api):
    clinic = await seed_world(api.services.store)
    async with api.services.store.begin() as unit:
        await unit.accounts.add_staff(clinic.clinic.id, api.receptionist.id)
        await unit.commit()
    user = f"/users/{api.receptionist.id}"

    answers = [
        await api.send("PATCH", user, {"disabled": True}, who="admin"),
        await api.send("POST", f"{user}/invitations", {}, who="admin"),
    ]

    assert {answer.json()["code"] for answer in answers} == {"user_shared"}
    for answer in answers:
        assert "end the membership" in answer.json()["detail"]
        assert str(clinic.clinic.id) not in answer.text
        assert clinic.clinic.name not in answer.text


# --- no byte of another patient's data

#: data of Ben's alone, in every form in which it could appear
CANARIES = ("Canary Quellenreuther", "canary@secret.example.org", "+442079460999", "canary-type")
_PATHS = [
    ("GET", "/appointments"),
    ("GET", "/appointments?patient={ben}"),
    ("GET", "/appointments?doctor={doctor}&status=CANCELLED"),
    ("GET", "/appointments?limit=1"),
    ("GET", "/appointments/{appointment}"),
    ("GET", "/appointments/{mine}"),
    ("GET", "/appointments/{appointment}/audit"),
    ("GET", "/appointments/{mine}/notifications"),
    ("GET", "/patients"),
    ("GET", "/patients/{ben}"),
    ("GET", "/users"),
    ("GET", "/users/{ben}"),
    ("GET", "/users/me/export"),
    ("GET", "/slots?status=all"),
    ("GET", "/slots/{slot}"),
    ("GET", "/doctors/{doctor}/slots"),
    ("GET", "/doctors/{doctor}"),
    ("GET", "/audit?patient={ben}"),
    ("GET", "/sessions"),
    ("POST", "/appointments"),
    ("POST", "/swaps"),
    ("PATCH", "/appointments/{appointment}"),
    ("PATCH", "/appointments/{mine}"),
    ("PATCH", "/slots/{slot}"),
    ("PATCH", "/users/{ben}"),
    ("PATCH", "/users/me"),
    ("DELETE", "/sessions/{ben}"),
    ("POST", "/users/{ben}/invitations"),
    ("POST", "/users"),
    ("POST", "/graphql"),
]
_BODIES = [
    None,
    {},
    {"slotId": "{slot}"},
    {"slotId": "{free}", "type": "Check"},
    {"slotId": "{free}", "patientId": "{ben}"},
    {"slotId": "{slot}", "patientId": "{mine}", "override": True},
    {"status": "CANCELLED"},
    {"status": "CONFIRMED", "reason": "why"},
    {"appointmentIds": ["{mine}", "{appointment}"]},
    {"disabled": False},
    {"email": "CANARY@secret.example.org"},
    {"name": "X", "email": "canary@secret.example.org", "password": PASSWORD},
    {"query": "{getAppointments{id patientName doctorName date time duration type status}}"},
    {"query": '{getAppointments(doctor: "Dr Grace Hill"){patientName type}}'},
    {"query": "{appointments{edges{node{id patientName}}}}"},
    {"query": '{appointments(patientId: "{ben}"){edges{node{id patientName}}}}'},
    {"query": "{me{id name email}}"},
]
_REQUESTS = st.tuples(
    st.sampled_from(_PATHS), st.sampled_from(_BODIES), st.sampled_from(["*", '"1"', '"2"', None])
)


def _filled(value, ids):
    text = json.dumps(value)
    for name, each in ids.items():
        text = text.replace("{" + name + "}", each)
    return json.loads(text)


async def _ask_all(requests):
    services = in_memory(
        clock=FixedClock(NOW), settings=Settings(log_level="error", fast_passwords=True)
    )
    app = an_app(services)
    async with app.lifespan():
        world = await seed_world(services.store, patients="AB")
        ada, canary = world.patients
        async with services.store.begin() as unit:
            await unit.accounts.replace_user(
                User(canary.id, CANARIES[0], CANARIES[1], Role.PATIENT, CANARIES[2])
            )
            await unit.sessions.add(a_session(world.clinic, ada.id, Role.PATIENT))
            await unit.sessions.add(a_session(world.clinic, canary.id, Role.PATIENT))
            await unit.commit()
        theirs = await seed_booking(services.store, world.clinic, world.slots[0], canary)
        mine = await seed_booking(services.store, world.clinic, world.slots[1], ada)
        ids = {
            "ben": str(canary.id),
            "appointment": str(theirs.id),
            "mine": str(mine.id),
            "slot": str(world.slots[0].id),
            "free": str(world.slots[2].id),
            "doctor": str(world.doctor.id),
        }
        token = issue_token(
            services.settings,
            user_id=ada.id,
            role=Role.PATIENT,
            clinic_id=world.clinic.id,
            now=NOW,
            lifetime_s=3600,
            session_id=ada.id,
        )
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            for number, ((method, path), body, match) in enumerate(requests):
                headers = {"authorization": f"Bearer {token}", "idempotency-key": f"k{number:020}"}
                if match:
                    headers["if-match"] = match
                answer = await client.request(
                    method, _filled(path, ids), json=_filled(body, ids), headers=headers
                )
                told = answer.text + repr(answer.headers)
                sent = json.dumps(body)
                for secret in (*CANARIES, str(theirs.id), str(canary.id)):
                    echoed = (
                        secret in _filled(path, ids) or secret.lower() in _filled(sent, ids).lower()
                    )
                    assert echoed or secret not in told, (method, path, body, told)
                assert answer.status_code < 500
                assert CANARIES[0] not in told
                assert CANARIES[2] not in told


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_REQUESTS, min_size=1, max_size=12))
def test_no_sequence_of_a_patients_requests_shows_a_byte_of_another(requests):
    asyncio.run(_ask_all(requests))

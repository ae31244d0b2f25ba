"""Repeated requests, in every case that the standards name."""

import asyncio
from uuid import uuid4

import pytest

from clinic.domain.errors import OutcomeUnknown, TemporaryFailure

ANY = {"if-match": "*"}
KEPT = ("location", "etag", "content-type")


def booking(api, slot: int = 0) -> dict[str, str]:
    return {"slotId": str(api.world.slots[slot].id)}


def parts(answer):
    return answer.status_code, answer.content, {name: answer.headers.get(name) for name in KEPT}


def creating_requests(api):
    """Return every POST, with a body that succeeds."""
    doctor_id, patient_id = str(api.world.doctor.id), str(api.world.patients[0].id)
    hours = {"startTime": "14:00", "endTime": "16:00", "slotMinutes": 30}
    return [
        ("receptionist", "/appointments", {**booking(api), "patientId": patient_id}),
        ("admin", "/doctors", {"name": "D", "email": "d@example.org", "specialty": "Skin"}),
        ("receptionist", "/patients", {"name": "P", "email": "p@example.org"}),
        ("doctor", f"/doctors/{doctor_id}/slots", {"until": "2026-12-24"}),
        ("doctor", "/availabilities", {"doctorId": doctor_id, "weekdays": ["mon"], **hours}),
        (
            "doctor",
            "/availability-exceptions",
            {"doctorId": doctor_id, "date": "2026-12-24", "kind": "remove"},
        ),
    ]


async def test_every_post_needs_a_key_and_says_where_to_read_about_it(api):
    swap = {"appointmentIds": [str(uuid4()), str(uuid4())]}
    for who, path, body in [*creating_requests(api), ("admin", "/swaps", swap)]:
        headers = api.bearer(who)

        answer = await api.client.post(path, json=body, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
        assert answer.headers["link"] == ('</problems/idempotency_key_missing>; rel="describedby"')
        page = await api.client.get("/problems/idempotency_key_missing")
        assert "24 hours" in page.json()["mend"]


@pytest.mark.parametrize(
    "key", ["", "short", "k" * 19, "k" * 256, '"' + "k" * 19 + '"', "é" * 30, "tab\t" + "k" * 20]
)
async def test_a_malformed_key_is_refused(api, key):
    before = await api.everything()

    answer = await api.client.post(
        "/appointments",
        json=booking(api),
        headers=[
            *api.bearer("patient").items(),
            (b"idempotency-key", key.encode("latin-1")),
        ],
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_malformed")
    assert await api.everything() == before


async def test_two_keys_are_refused(api):
    keys = [("idempotency-key", "k" * 20), ("idempotency-key", "j" * 20)]

    answer = await api.client.post(
        "/appointments", json=booking(api), headers=[*api.bearer("patient").items(), *keys]
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_malformed")


async def test_every_post_is_answered_the_same_when_sent_again(api):
    for who, path, body in creating_requests(api):
        key = f"{path}-{'k' * 20}"
        first = await api.send("POST", path, body, who=who, key=key)
        assert first.status_code in (200, 201), first.text
        before = await api.everything()

        again = await api.send("POST", path, body, who=who, key=key)

        assert parts(again) == parts(first)
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        assert await api.everything() == before


async def test_a_replay_audits_nothing(api):
    first = await api.send("POST", "/appointments", booking(api), key="k" * 20)
    await api.send("POST", "/appointments", booking(api), key="k" * 20)

    trail = await api.send("GET", f"{first.headers['location']}/audit", who="receptionist")

    assert len(trail.json()["items"]) == 1


async def test_a_key_means_the_same_quoted_and_bare(api):
    first = await api.send("POST", "/appointments", booking(api), key="k" * 20)

    quoted = await api.send("POST", "/appointments", booking(api), key='"' + "k" * 20 + '"')

    assert parts(quoted) == parts(first)


async def test_white_space_and_order_make_no_other_request(api):
    slot_id = str(api.world.slots[0].id)
    one = f'{{"slotId": "{slot_id}", "type": "Check"}}'.encode()
    two = f'\n{{"type":"Check","slotId":"{slot_id.upper()}","override":false}}'.encode()
    first = await api.send("POST", "/appointments", content=one, key="k" * 20)

    again = await api.send("POST", "/appointments", content=two, key="k" * 20)

    assert parts(again) == parts(first)


async def test_a_key_with_another_request_is_refused_and_the_first_answer_stands(api):
    first = await api.send("POST", "/appointments", booking(api), key="k" * 20)

    other = await api.send("POST", "/appointments", booking(api, 1), key="k" * 20)
    swap = await api.send("POST", "/appointments", {**booking(api), "type": "Check"}, key="k" * 20)
    again = await api.send("POST", "/appointments", booking(api), key="k" * 20)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (swap.status_code, swap.json()["code"]) == (422, "idempotency_key_reused")
    assert parts(again) == parts(first)


async def test_a_key_of_another_address_is_another_request(api):
    one, two = str(api.world.doctor.id), str(api.world.colleague.id)
    await api.send("POST", f"/doctors/{one}/slots", {}, who="receptionist", key="k" * 20)

    other = await api.send("POST", f"/doctors/{two}/slots", {}, who="receptionist", key="k" * 20)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_of_somebody_else_is_independent(api):
    await api.send("POST", "/appointments", booking(api), key="k" * 20)

    other = await api.send("POST", "/appointments", booking(api, 1), who="other", key="k" * 20)

    assert other.status_code == 201
    assert "idempotency-replayed" not in other.headers


async def test_a_refusal_by_the_state_of_things_is_replayed(api):
    booked = await api.book()
    refused = await api.send("POST", "/appointments", booking(api), who="other", key="k" * 20)
    await api.send(
        "PATCH",
        f"/appointments/{booked['id']}",
        {"status": "CANCELLED"},
        headers={"if-match": "*"},
    )

    again = await api.send("POST", "/appointments", booking(api), who="other", key="k" * 20)
    afresh = await api.send("POST", "/appointments", booking(api), who="other")

    assert refused.json()["code"] == "slot_taken"
    assert parts(again) == parts(refused)
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"
    assert afresh.status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [({"slotId": "x"}, 400), ({"slotId": str(uuid4())}, 404), ({"override": True}, 403)],
)
async def test_a_request_that_was_never_carried_out_runs_afresh(api, body, status):
    refused = await api.send("POST", "/appointments", {**booking(api), **body}, key="k" * 20)
    assert refused.status_code == status

    answer = await api.send("POST", "/appointments", booking(api), key="k" * 20)

    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_refusal_by_policy_runs_afresh(api):
    slot = api.world.slots[0]
    api.clock.set(slot.starts_at)
    refused = await api.send("POST", "/appointments", booking(api), key="k" * 20)
    api.clock.set(slot.starts_at.replace(day=23))

    answer = await api.send("POST", "/appointments", booking(api), key="k" * 20)

    assert (refused.status_code, refused.json()["code"]) == (422, "slot_in_past")
    assert answer.status_code == 201


async def test_twins_that_run_at_the_same_time_get_one_answer(api):
    answers = await asyncio.gather(
        *(api.send("POST", "/appointments", booking(api), key="k" * 20) for _ in range(50))
    )

    assert len({answer.content for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {201}
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 49


async def test_twins_that_are_refused_at_the_same_time_get_one_answer_and_all_but_one_a_replay(api):
    await api.book()

    answers = await asyncio.gather(
        *(
            api.send("POST", "/appointments", booking(api), who="other", key="k" * 20)
            for _ in range(50)
        )
    )

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {
        (409, "slot_taken")
    }
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 49


async def test_a_repeated_patch_is_answered_before_its_condition_is_looked_at(api):
    booked = await api.book()
    path = f"/appointments/{booked['id']}"
    body = {"slotId": str(api.world.slots[3].id)}
    match = {"if-match": '"1"'}
    first = await api.send("PATCH", path, body, key="k" * 20, headers=match)

    again = await api.send("PATCH", path, body, key="k" * 20, headers=match)
    without = await api.send("PATCH", path, body, key="k" * 20)
    other = await api.send("PATCH", path, body, key="j" * 20, headers=match)

    assert first.status_code == 200
    assert parts(again) == parts(without) == parts(first)
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status_code == 412


async def test_a_repeated_delete_is_answered_the_same(api):
    body = {
        "doctorId": str(api.world.doctor.id),
        "weekdays": ["fri"],
        "startTime": "14:00",
        "endTime": "15:00",
        "slotMinutes": 30,
    }
    added = await api.send("POST", "/availabilities", body, who="doctor")
    path = added.headers["location"]
    first = await api.send("DELETE", path, who="doctor", key="k" * 20)

    again = await api.send("DELETE", path, who="doctor", key="k" * 20)
    afresh = await api.send("DELETE", path, who="doctor")

    assert (first.status_code, parts(again)) == (200, parts(first))
    assert afresh.status_code == 404


@pytest.fixture
def lose_commits(api, monkeypatch):
    """Make every commit succeed, but lose its confirmation."""
    unit = type(api.services.store.begin())
    commit = unit.commit

    async def commit_and_lose(self):
        await commit(self)
        raise OutcomeUnknown

    monkeypatch.setattr(unit, "commit", commit_and_lose)


async def test_a_change_whose_commit_was_lost_is_answered_by_its_key(api, lose_commits):
    body, key = {"name": "Hillside"}, "k" * 20

    answers = [
        await api.send("PATCH", "/clinics/current", body, who="admin", key=key, headers=ANY)
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["name"] == "Hillside"


async def test_a_change_whose_commit_was_lost_without_a_key_is_not_said_to_be_undone(
    api, lose_commits
):
    answer = await api.send(
        "PATCH", "/clinics/current", {"name": "Hillside"}, who="admin", headers=ANY
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "outcome_unknown")
    assert "may or may not have been done" in problem["detail"]
    clinic = await api.send("GET", "/clinics/current", who="admin")
    assert clinic.json()["name"] == "Hillside"


async def test_a_change_that_was_lost_stays_unknown_while_its_key_cannot_be_read(
    api, lose_commits, monkeypatch
):
    answers = type(api.services.store.answers)
    found: list[object] = []

    async def find_once(self, request):
        if found:
            raise TemporaryFailure
        found.append(request)

    monkeypatch.setattr(answers, "find", find_once)

    answer = await api.send(
        "PATCH", "/clinics/current", {"name": "Hillside"}, who="admin", key="k" * 20, headers=ANY
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")

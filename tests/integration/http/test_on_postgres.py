"""Behaviour of the HTTP application that needs a real database."""

import asyncio
import unicodedata
from collections import Counter
from itertools import count
from uuid import UUID

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, given, settings

from clinic.testing.strategies import typed_lines

_numbers = count(1)


async def book(api, slot, who=0, **more):
    return await api.send(
        "POST", "/appointments", {"slotId": str(api.slots[slot].id)}, who=who, **more
    )


def outcomes(answers):
    return Counter((answer.status_code, answer.json().get("code")) for answer in answers)


async def test_of_those_who_race_for_a_slot_one_wins_and_the_others_are_told(api):
    answers = await asyncio.gather(*(book(api, 2, who) for who in range(len(api.patients))))

    assert outcomes(answers) == {(201, None): 1, (409, "slot_taken"): len(api.patients) - 1}
    lost = next(answer.json() for answer in answers if answer.status_code == 409)
    assert lost["detail"] == "Sorry, this slot was just taken."
    assert len(lost["nearest"]) == 3


async def test_twins_make_one_appointment_and_get_one_answer(api):
    answers = await asyncio.gather(*(book(api, 0, key="k" * 20) for _ in range(20)))

    assert len({answer.content for answer in answers}) == 1
    assert outcomes(answers) == {(201, None): 20}
    assert len({answer.headers["location"] for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 19


async def test_refused_twins_get_one_answer_and_all_but_one_a_replay(api):
    await book(api, 0)

    answers = await asyncio.gather(*(book(api, 0, who=1, key="k" * 20) for _ in range(20)))

    assert outcomes(answers) == {(409, "slot_taken"): 20}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 19


async def test_answers_are_replayed_from_the_database_when_the_cache_forgot(
    api, postgres_urls, valkey_url
):
    first = await book(api, 0, key="k" * 20)
    refused = await book(api, 0, who=1, key="j" * 20)
    with redis.Redis.from_url(valkey_url) as cache:
        cache.flushdb()

    again = await book(api, 0, key="k" * 20)
    refused_again = await book(api, 0, who=1, key="j" * 20)

    assert (again.content, refused_again.content) == (first.content, refused.content)
    assert (again.headers["etag"], again.headers["location"]) == (
        first.headers["etag"],
        first.headers["location"],
    )
    with psycopg.connect(postgres_urls.owner_url) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM idempotency_keys), (SELECT count(*) FROM appointments)"
        ).fetchone()
    assert counts == (2, 1)


async def test_an_appointment_lives_through_its_changes(api):
    booked = await book(api, 0)
    path = booked.headers["location"]

    confirmed = await api.send(
        "PATCH", path, {"status": "CONFIRMED"}, headers={"if-match": booked.headers["etag"]}
    )
    stale = await api.send(
        "PATCH", path, {"status": "CANCELLED"}, headers={"if-match": booked.headers["etag"]}
    )
    moved = await api.send(
        "PATCH",
        path,
        {"slotId": str(api.slots[3].id), "reason": "Later"},
        who=None,
        headers={"if-match": confirmed.headers["etag"]},
    )
    cancelled = await api.send("PATCH", path, {"status": "CANCELLED"}, headers={"if-match": "*"})
    trail = await api.send("GET", f"{path}/audit", who=None)

    assert [one.status_code for one in (confirmed, stale, moved, cancelled)] == [200, 412, 200, 200]
    assert moved.json()["status"] == "BOOKED"
    assert cancelled.headers["etag"] == '"4"'
    assert [entry["action"] for entry in trail.json()["items"]] == [
        "BOOK",
        "CHANGE_STATUS",
        "RESCHEDULE",
        "CHANGE_STATUS",
    ]
    assert trail.json()["items"][2]["ip"] == "127.0.0.1"


async def test_swaps_of_one_pair_in_both_orders_all_end(api):
    one = (await book(api, 0, 0)).json()["id"]
    two = (await book(api, 1, 1)).json()["id"]

    answers = await asyncio.gather(
        *(
            api.send("POST", "/swaps", {"appointmentIds": pair}, who=None)
            for pair in [[one, two], [two, one]] * 5
        )
    )

    assert {answer.status_code for answer in answers} <= {200, 503}
    done = sum(answer.status_code == 200 for answer in answers)
    now = (await api.send("GET", f"/appointments/{one}", who=None)).json()
    assert (now["version"], now["slotId"] == str(api.slots[0].id)) == (1 + done, done % 2 == 0)


@pytest.mark.parametrize("limit", [1, 2, 4])
async def test_walks_meet_everything_once(api, limit):
    for number in range(5):
        assert (await book(api, number, number)).status_code == 201

    async def walk(path):
        page = (await api.send("GET", f"{path}?limit={limit}", who=None)).json()
        found = [item["id"] for item in page["items"]]
        while page["next"]:
            query = f"limit={limit}&cursor={page['next']}"
            page = (await api.send("GET", f"{path}?{query}", who=None)).json()
            found += [item["id"] for item in page["items"]]
        return found

    appointments, patients = await walk("/appointments"), await walk("/patients")

    assert len(appointments) == len(set(appointments)) == 5
    assert len(patients) == len(set(patients)) == len(api.patients)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Nul\0", "email": "a@b.example"},
        {"name": "A", "email": "nul\0@b.example"},
        {"name": "\U0001f469\u200d\u2695\ufe0f", "email": "a@b.example"},
        {"name": "A" * 200, "email": "a" * 240 + "@b.example"},
        {"name": "'; DROP TABLE users; --", "email": "a@b.example"},
    ],
    ids=["nul name", "nul email", "emoji", "long", "sql"],
)
async def test_odd_text_is_taken_or_refused_and_never_an_accident(api, body):
    answer = await api.send("POST", "/patients", body, who=None)

    assert answer.status_code in (201, 400)
    if answer.status_code == 201:
        read = await api.send("GET", answer.headers["location"], who=None)
        assert (read.json()["name"], read.json()["email"]) == (body["name"], body["email"])


async def test_ready_says_so_while_the_database_answers(api):
    assert (await api.send("GET", "/health/ready")).status_code == 200


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=typed_lines())
async def test_any_text_that_is_accepted_is_stored_composed_and_accepted_again(api, text):
    async def add(name):
        body = {"name": name, "email": f"p{next(_numbers)}@example.org"}
        return await api.send("POST", "/patients", body, who=None)

    answer = await add(text)

    if answer.status_code != 201:
        assert answer.json()["errors"][0]["pointer"] == "/name"
        return
    name = answer.json()["name"]
    assert unicodedata.is_normalized("NFC", name)
    stored = await api.services.store.people.user(UUID(answer.json()["id"]))
    assert stored.name == name
    assert (await add(name)).json()["name"] == name

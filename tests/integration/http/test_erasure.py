"""Erased patients: every column of every table and every key in Valkey is searched for them."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
import pytest
from tests.integration.http.life import IP, KEY_WORD, NAME, REQUEST_WORD, VALUES, Life, ok, why
from tests.integration.http.searching import Searched

from clinic.adapters.postgres.audit.seal_book import PostgresSealBook
from clinic.adapters.redis import RedisIdempotencyCache
from clinic.bootstrap import build
from clinic.domain.idempotency import IdempotentRequest, StoredAnswer
from clinic.domain.people.people import Role
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.testing import FixedClock, a_user
from clinic.testing.builders import a_session, an_event
from clinic.usecases.audit.seal_audit import seal_audit, verify_audit
from clinic.usecases.people.erase_user import SETTLES_AFTER, finish_erasures

pytestmark = pytest.mark.usefixtures("patient_cache")

#: which values chosen by a client remain, and why
SURVIVORS: Mapping[str, str] = {
    "idempotency_keys.key": "or a repeated request would be carried out again; 72 hours",
    "audit_appointment.ip": "sealed: who changed what, and from where, stays",
    "audit_appointment.request_id": "sealed, with the same client's own name for its request",
    "audit_event.ip": "sealed, too",
    "audit_event.request_id": "sealed, too",
    "audit_event.detail": "the network of refusals that were counted together; sealed, too",
    "valkey list": "counts of requests by network, as long as their window: an hour at most",
}


@pytest.fixture
def searched(postgres_urls, valkey_url) -> Searched:
    return Searched(postgres_urls.owner_url, valkey_url)


@pytest.fixture
async def admin(api) -> dict[str, str]:
    """The headers of an administrator."""
    user = a_user(Role.ADMIN, name="Alex Adair")
    clinic = await api.services.store.people.clinic(api.clinic_id)
    async with api.services.store.begin() as unit:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(clinic.id, user.id)
        await unit.sessions.add(a_session(clinic, user.id, user.role, now=datetime.now(UTC)))
        await unit.commit()
    token = issue_token(
        api.services.settings,
        user_id=user.id,
        role=Role.ADMIN,
        clinic_id=api.clinic_id,
        session_id=user.id,
        now=datetime.now(UTC),
        lifetime_s=3600,
    )
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def life(api, database) -> Life:
    life = Life(api, database)
    await life.begin()
    return life


@pytest.fixture
async def long_life(api, database) -> Life:
    life = Life(api, database)
    await life.live()
    return life


async def erase(life: Life, admin: dict[str, str]) -> None:
    """Erase with a reason that also names the patient."""
    path = f"/users/{life.id}/erasure"
    body = {"reason": why("Asked for it")}
    headers = {**admin, "idempotency-key": f"{KEY_WORD}-of-the-erasure"}
    await ok(life.api.client.post(path, json=body, headers=headers))


async def test_nothing_of_an_erased_patient_is_anywhere(long_life, admin, searched, database):
    life = long_life
    [(password_hash, tokens)] = database.execute(
        "SELECT password_hash, (SELECT array_agg(encode(token_hash, 'hex')) FROM sessions"
        " WHERE user_id = users.id) FROM users WHERE id = %s",
        [life.id],
    ).fetchall()
    values = (*VALUES, password_hash, *tokens)
    before = searched.found(*values)
    made_up = (KEY_WORD, REQUEST_WORD, IP)

    await erase(life, admin)

    assert searched.found(*values) == set()
    assert searched.found(*made_up) == set(SURVIVORS)
    # The search finds what is there.
    assert before == {
        "users.name",
        "users.email",
        "users.email_typed",
        "users.phone",
        "users.password_hash",
        "sessions.token_hash",
        "appointments.type",
        "audit_appointment.reason",
        "audit_event.reason",
        "idempotency_keys.body",
        "notification.error",
        "notification_outbox.last_error",
        "notification_outbox.to_email",
        "valkey string",
    }


async def test_a_patient_whom_the_office_added_is_gone_with_the_answer(api, admin, searched):
    body = {"name": NAME, "email": "zq77@desk.example", "phone": "+442079460958"}
    headers = {**api.bearer(None), "idempotency-key": "added-by-the-office-0001"}
    added = await ok(api.client.post("/patients", json=body, headers=headers))
    await ok(api.client.post("/patients", json=body, headers=headers))
    before = searched.found(*VALUES)

    await ok(api.client.post(f"/users/{added['id']}/erasure", json={}, headers=admin))

    again = await api.client.post("/patients", json=body, headers=headers)
    assert {"users.name", "idempotency_keys.body", "valkey string"} <= before
    assert searched.found(*VALUES) == set()
    assert (again.status_code, again.json()["code"]) == (410, "answer_erased")


async def test_what_is_left_shows_a_pseudonym_and_others_are_untouched(life, admin, database):
    other = life.api.patients[0]
    kept = "SELECT name, email, phone FROM users WHERE id <> %s ORDER BY id"
    before = database.execute(kept, [life.id]).fetchall()

    await erase(life, admin)

    assert database.execute(kept, [life.id]).fetchall() == before
    listed = await ok(life.api.client.get("/appointments?limit=50", headers=life.api.bearer(None)))
    names = {each["patientId"]: each["patientName"] for each in listed["items"]}
    assert names == {life.id: "Erased patient", str(other.id): other.name}
    waits = (
        "SELECT count(*) FROM notification_outbox o JOIN appointments a ON a.id = o.appointment_id"
    )
    assert database.execute(f"{waits} WHERE a.patient_id = %s", [other.id]).fetchone() != (0,)
    (event,) = database.execute(
        "SELECT reason, detail FROM audit_event WHERE action = 'erase_user'"
    ).fetchall()
    assert event[0] == "No reason given"
    assert {len(UUID(row_id).bytes) for row_id in event[1]["texts"]} == {16}


async def test_an_erased_answer_is_not_given_again_and_nothing_is_done_again(life, admin, database):
    others = str(life.api.patients[0].id)
    await erase(life, admin)
    trails = "SELECT (SELECT count(*) FROM audit_appointment), (SELECT count(*) FROM appointments)"
    before = database.execute(trails).fetchone()

    answers = {}
    for path, body, headers in life.sent:
        if headers["authorization"] == life.me["authorization"]:
            continue
        method = "PATCH" if "if-match" in headers else "POST"
        sent = await life.api.client.request(method, path, json=body, headers=headers)
        answers[headers["idempotency-key"]] = sent
        # Another body under the key reveals no more.
        other = {**body, "reason": "Another"} if method == "POST" else {"status": "CONFIRMED"}
        if body.get("patientId") != others:
            guessed = await life.api.client.request(method, path, json=other, headers=headers)
            assert guessed.json() == {**sent.json(), "requestId": guessed.json()["requestId"]}

    headers = life.api.bearer(None)
    mutated = await ok(life.api.client.post("/graphql", json=life.asked, headers=headers))

    assert database.execute(trails).fetchone() == before
    assert [each["code"] for each in mutated["data"]["bookAppointment"]["errors"]] == [
        "answer_erased"
    ]
    told = {key: (each.status_code, each.json().get("code")) for key, each in answers.items()}
    theirs = {key for key in told if KEY_WORD not in key}
    assert {told.pop(key) for key in theirs} == {(201, None)}
    assert len(told) > 4
    assert set(told.values()) == {(410, "answer_erased")}


@pytest.fixture
async def book(postgres_urls):
    book = PostgresSealBook(postgres_urls.sealer_url)
    yield book
    await book.close()


async def sealed(book, database) -> None:
    """Seal everything committed so far; other tests share the server's transactions."""
    (now,) = database.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    past = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8"
    async with asyncio.timeout(60):
        while True:
            if database.execute(past, [now]).fetchone() == (True,):
                break
            await asyncio.sleep(0.02)
    await seal_audit(book=book, clock=FixedClock(datetime.now(UTC)))


async def test_every_seal_verifies_after_an_erasure(life, admin, book, database):
    await sealed(book, database)

    await erase(life, admin)
    between = await verify_audit(book=book)
    await sealed(book, database)
    after = await verify_audit(book=book)

    assert (between.findings, after.findings) == ((), ())
    assert after.rows > between.rows


async def test_reasons_from_before_there_were_digests_are_erased_and_verify(
    life, admin, searched, book, database, postgres_server, postgres_urls
):
    url = postgres_server.url(postgres_urls.name, "superuser")
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        for table, text in (("audit_appointment", "reason"), ("audit_event", "reason")):
            superuser.execute(f"UPDATE {table} SET {text}_salt = NULL, {text}_digest = NULL")
        await sealed(book, database)

        await erase(life, admin)
        await sealed(book, database)

        good = await verify_audit(book=book)
        assert good.findings == ()
        assert searched.found(*VALUES) == set()
        # The hash of the rest in the erasure's event still matches.
        superuser.execute("UPDATE audit_appointment SET ip = '192.0.2.66' WHERE reason = 'Erased'")
    assert {str(one.tampering) for one in (await verify_audit(book=book)).findings} == {"blanked"}


async def test_what_was_written_during_an_erasure_is_erased_soon_after(
    life, admin, searched, valkey_url
):
    """Given requests that read the patient before an erasure, and write after it
    When the erasure is finished
    Then nothing is left of those either."""
    api, store = life.api, life.api.services.store
    clinic = await store.people.clinic(api.clinic_id)
    stored = await stored_answer(life, life.by_staff)
    await erase(life, admin)

    # A replay that found the answer before puts its copy back; another request stores an answer; a
    # change adds its reason.
    await api.services.cache.put(stored)
    at_once = searched.found(*VALUES)
    late = stored._replace(request=stored.request._replace(key="of-a-late-request-0001"))
    await store.answers.keep(late)
    event = replace(an_event(clinic), entity_id=UUID(life.id), reason=why("Too late"))
    await store.audit_log.append([event])
    assert searched.found(*VALUES) != set()

    rounds = [await finish(api, after=SETTLES_AFTER) for _ in range(2)]

    assert at_once == set()
    assert rounds == [0, 1]
    assert searched.found(*VALUES) == set()
    assert await store.erasures.unfinished(limit=10) == []


async def stored_answer(life: Life, key: str) -> StoredAnswer:
    api = life.api
    request = IdempotentRequest(api.clinic_id, api.receptionist.id, key, b"")
    stored: StoredAnswer | None = await api.services.store.answers.find(request)
    assert stored is not None
    return stored


async def finish(api, *, after: timedelta, cache=None) -> int:
    services = api.services
    later = replace(services.anonymous(), clock=FixedClock(datetime.now(UTC) + after))
    return await finish_erasures(later, cache=cache or services.cache)


async def test_an_erasure_while_valkey_is_away_is_finished_when_it_is_back(
    life, admin, searched, monkeypatch
):
    """Given a Valkey that accepts nothing, with copies in it
    When a patient is erased
    Then the copies are gone once it answers again, however long that takes."""
    services = life.api.services
    await services.cache.close()
    away = RedisIdempotencyCache("redis://127.0.0.1:1/0")
    object.__setattr__(services, "cache", away)

    await erase(life, admin)
    left = searched.found(*VALUES)
    in_vain = await finish(life.api, after=2 * SETTLES_AFTER)
    await away.close()
    other = build(services.settings)
    early = await finish(life.api, after=timedelta(0), cache=other.cache)
    gone = searched.found(*VALUES)
    done = await finish(life.api, after=SETTLES_AFTER, cache=other.cache)
    await other.cache.close()

    assert left == {"valkey string"}
    assert (in_vain, early, done) == (0, 0, 1)
    assert gone == set()


async def test_servers_that_share_no_cache_keep_no_copies(api, admin, searched, database):
    services = api.services
    await services.cache.close()
    settings = msgspec.structs.replace(services.settings, broker_url="memory://")
    object.__setattr__(services, "cache", build(settings).cache)
    life = Life(api, database)
    await life.begin()

    await erase(life, admin)

    assert searched.found(*VALUES) == set()
    assert await finish(api, after=SETTLES_AFTER) == 1


async def test_a_crash_right_after_the_commit_loses_no_copy(life, admin, searched, monkeypatch):
    async def die(names):
        raise RuntimeError("killed")

    monkeypatch.setattr(life.api.services.cache, "forget", die)
    path = f"/users/{life.id}/erasure"
    headers = {**admin, "idempotency-key": "erased-with-a-crash-0001"}
    answer = await life.api.client.post(path, json={}, headers=headers)
    monkeypatch.undo()

    assert answer.status_code == 500
    assert searched.found(*VALUES) == {"valkey string"}
    assert await finish(life.api, after=SETTLES_AFTER) == 1
    assert searched.found(*VALUES) == set()


async def test_a_patient_is_erased_twice_without_a_trace_more(life, admin, searched):
    await erase(life, admin)
    again = await life.api.client.post(
        f"/users/{life.id}/erasure", json={}, headers={**admin, "idempotency-key": "again" * 5}
    )

    assert again.status_code == 200, again.text
    assert searched.found(*VALUES) == set()

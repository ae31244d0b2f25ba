"""Accepting an offer with a password: people without any membership come back."""

from datetime import timedelta

import pytest
from tests.coming_back import (
    PASSWORD,
    READS,
    Person,
    check_patient_comes_back,
    check_staff_come_back,
)

from clinic.domain.paging import PageRequest
from clinic.ports.audit import EventQuery
from clinic.settings import Settings
from clinic.usecases.people.sign_in import NOBODY_ID

WRONG = "a wrong password"


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", fast_passwords=True)


@pytest.fixture
def person(api) -> Person:
    return Person(
        api.client,
        api.bearer("admin"),
        later=lambda: api.clock.advance(timedelta(minutes=1)),
    )


@pytest.fixture
async def away(person: Person) -> Person:
    """A patient whose only membership ended."""
    away = await person.register()
    await away.leave()
    return away


async def clinics_of(api, person):
    return (await api.services.store.accounts.by_email(person.email)).clinics


async def test_a_patient_comes_back(api, person):
    await check_patient_comes_back(person, [slot.id for slot in api.world.slots])


@pytest.mark.parametrize("role", READS)
async def test_staff_come_back(person, role):
    await check_staff_come_back(person, role)


async def test_consent_by_password_is_audited_like_any_other(api, away):
    await away.accept(await away.offer())

    trail = (await api.send("GET", "/audit?limit=200", who="admin")).json()["items"]

    (event,) = [each for each in trail if each["action"] == "accept_membership"]
    assert (event["actorId"], event["actorRole"]) == (away.id, "PATIENT")
    assert event["detail"]["offeredBy"] == str(api.admin.id)
    assert (event["sessionId"], event["ip"]) == (None, "127.0.0.1")


async def test_a_member_is_told_so_as_with_a_session(api, person):
    await person.register()

    again = await person.accept(await person.offer())

    assert (again.status_code, again.json()["code"]) == (409, "already_exists")


# --- who may accept


async def close(api, person, how):
    path = f"/users/{person.id}"
    if how == "disabled":
        await api.send("PATCH", path, {"disabled": True}, who="admin")
        await person.leave()
    elif how == "erased":
        await person.leave()
        assert (await api.send("POST", f"{path}/erasure", {}, who="admin")).status_code == 200


async def test_every_failure_looks_the_same_and_changes_nothing(api, away):
    closed = {}
    for how in ("disabled", "erased"):
        closed[how] = Person(api.client, away.admin, later=away.later)
        await closed[how].register()
        await close(api, closed[how], how)
    nobody = "nobody@example.org"
    token = await away.offer()
    for_another = await away.offer("somebody.else@example.org")

    answers = [
        await away.accept(token, password=WRONG),
        await away.accept(token, password="p" * 500),
        await away.accept(token, email=nobody),
        await away.accept(await away.offer(nobody), email=nobody),
        await away.accept(for_another),
        await away.accept(for_another, password=WRONG),
        await away.accept("A" * 43 + "." + "B" * 43),
        await away.accept("no token", password=WRONG),
        await away.accept(token, email=str(api.world.patients[0].email)),
        *[await each.accept(await each.offer()) for each in closed.values()],
    ]

    told = {(each.status_code, each.text.replace(each.json()["requestId"], "")) for each in answers}
    assert len(told) == 1, told
    assert (answers[0].status_code, answers[0].json()["code"]) == (401, "sign_in_failed")
    assert await clinics_of(api, away) == ()
    assert (await away.accept(token)).status_code == 201


async def test_an_offer_that_no_longer_holds_is_refused_as_with_a_session(api, person):
    await person.register()
    early = await person.offer()
    api.clock.advance(timedelta(minutes=1))
    await person.leave()
    expired = await person.offer()
    api.clock.advance(timedelta(days=7))
    person.admin = api.bearer("admin")
    once = await person.offer()

    answers = [
        await person.accept(early),
        await person.accept(expired),
        await person.accept(once),
        await person.accept(once),
    ]

    statuses = [each.status_code for each in answers]
    assert statuses == [409, 409, 201, 409]
    refused = [each for each in answers if each.status_code == 409]
    assert [each.json()["code"] for each in refused] == ["offer_invalid"] * 3


async def test_the_role_of_the_offer_is_the_persons(api, away):
    away.role = "ADMIN"

    answer = await away.accept(await away.offer())

    assert (answer.status_code, answer.json()["code"]) == (409, "offer_invalid")
    assert await clinics_of(api, away) == ()


# --- one way or the other


@pytest.mark.parametrize(
    ("left_out", "status", "code", "pointer"),
    [
        (("email", "password"), 401, "not_signed_in", None),
        (("email",), 400, "invalid_input", "/email"),
        (("password",), 400, "invalid_input", "/password"),
    ],
)
async def test_without_a_session_both_are_needed(api, away, left_out, status, code, pointer):
    token = await away.offer()

    answer = await away.accept(token, **dict.fromkeys(left_out))

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert [each["pointer"] for each in problem.get("errors", ())] == [pointer] * bool(pointer)
    assert (await away.accept(token)).status_code == 201


@pytest.mark.parametrize("sent", [{}, {"password": None}, {"email": None}])
async def test_a_session_and_a_password_together_are_refused(api, away, sent):
    token = await away.offer()

    answer = await away.accept(token, api.bearer("patient"), **sent)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert (await away.accept(token)).status_code == 201


async def test_a_browsers_old_cookie_does_not_keep_anybody_out(api, away):
    old = {"cookie": f"__Host-clinic={api.world.clinic.id.hex}.{'x' * 43}"}

    assert (await away.accept(await away.offer(), old)).status_code == 201


# --- guesses


async def denials(api, clinic_id):
    await api.services.audit.flush()
    query = EventQuery(clinic_id, action="sign_in", outcome="denied")
    return list(await api.services.store.audit_log.events(query, PageRequest(200)))


async def test_failed_guesses_are_audited_and_not_where_the_offer_was_made(api, away):
    token, nobody = await away.offer(), "nobody@example.org"
    for_nobody = await away.offer(nobody)

    await away.accept(token, password=WRONG)
    await away.accept(for_nobody, email=nobody)

    found = await denials(api, NOBODY_ID)
    assert {each.entity_id and str(each.entity_id) for each in found} == {away.id, None}
    assert {each.ip for each in found} == {"127.0.0.1"}
    assert await denials(api, api.world.clinic.id) == []


class TestLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            log_level="error",
            fast_passwords=True,
            sign_in_limit="8/60",
            account_limit="3/60",
        )

    async def test_guesses_here_and_at_sign_in_are_counted_together(self, api, away):
        token = await away.offer()
        await away.sign_in()

        guessed = [(await away.accept(token, password=WRONG)).status_code for _ in range(3)]
        right = await away.accept(token)

        assert guessed == [401, 401, 429]
        assert (right.status_code, right.json()["code"]) == (429, "quota_exceeded")
        assert (await away.sign_in()).status_code == 429

    async def test_one_network_guesses_at_many_accounts_no_more_than_by_signing_in(self, api, away):
        token = await away.offer()
        emails = [f"somebody{number}@example.org" for number in range(9)]

        guessed = [(await away.accept(token, email=each)).status_code for each in emails]

        assert guessed == [401] * 8 + [429]

    async def test_a_device_that_is_known_has_its_own_count(self, api, person):
        await person.register()
        body = {"email": person.email, "password": PASSWORD, "cookie": True}
        cookies = (await api.client.post("/sessions", json=body)).headers.get_list("set-cookie")
        api.client.cookies.clear()
        device = next(each.split(";")[0] for each in cookies if "-device=" in each)
        await person.leave()
        token = await person.offer()
        for _ in range(3):
            await person.accept(token, password=WRONG)

        stranger = await person.accept(token)
        known = await person.accept(token, {"cookie": device})

        assert (stranger.status_code, known.status_code) == (429, 201)

"""Account mail from the request to the page: verifying an address, a forgotten password."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from html import unescape
from uuid import UUID

import pytest

from clinic.adapters.email.compose import Composer
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.bootstrap import build_worker, shown_phone
from clinic.domain.contact import Contact
from clinic.domain.errors import TemporaryFailure
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.messaging.account_links import RESET_LASTS, VERIFICATION_LASTS, bound_to
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.entrypoints.http.api.people.account_mail import ANSWER_AFTER_S
from clinic.ports.audit import EventQuery
from clinic.ports.outbox import NotificationQuery
from clinic.settings import Settings
from clinic.testing.builders import new_id
from clinic.usecases.messaging.deliver_notification import deliver_notification
from clinic.usecases.people.sign_in import NOBODY_ID

PASSWORD = "seven quiet otters"
NEW_PASSWORD = "eight loud badgers"
ADA = {"name": "Ada Lovett", "email": "Ada@example.org", "password": PASSWORD}


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", fast_passwords=True, mailbox_limit="6/3600")


@pytest.fixture
def deliver(api):
    """Return a function that sends what is due and returns the messages, oldest first."""
    api.services.store.outbox.now = api.clock.now
    worker = build_worker(api.services.settings, store=api.services.store)
    notifier = worker.delivery.notifiers["email"]
    assert isinstance(notifier, MemoryNotifier)

    async def run():
        before = len(notifier.sent)
        query = NotificationQuery(Scope(api.world.clinic.id))
        for view in await api.services.store.outbox.list(query, PageRequest(100)):
            message = view.message
            await deliver_notification(
                worker.delivery, clinic_id=message.clinic_id, message_id=message.id
            )
        return notifier.sent[before:]

    return run


@pytest.fixture
async def ada(api):
    answer = await api.client.post("/users", json=ADA)
    assert answer.status_code == 201, answer.text
    return answer.json()["user"]


async def sign_in(api, password=PASSWORD, email="ada@example.org"):
    return await api.client.post("/sessions", json={"email": email, "password": password})


async def signed_in(api, password=PASSWORD):
    answer = await sign_in(api, password)
    assert answer.status_code == 201, answer.text
    return {"authorization": f"Bearer {answer.json()['token']}"}


async def ask_reset(api, email="ada@example.org"):
    return await api.client.post("/password-resets", json={"email": email})


def path_of(outgoing, public_url="http://127.0.0.1:8000"):
    return outgoing.links.account.removeprefix(public_url)


def of_kind(kind, outgoing):
    return [each for each in outgoing if each.message.kind == kind]


async def reset(api, path, password=NEW_PASSWORD):
    return await api.client.post(path, data={"password": password})


async def is_verified(api, headers):
    return (await api.client.get("/users/me", headers=headers)).json()["emailVerified"]


async def actions(api, user_id, clinic_id=None):
    await api.services.audit.flush()
    query = EventQuery(clinic_id or api.world.clinic.id)
    found = await api.services.store.audit_log.events(query, PageRequest(200))
    return [
        (event.action, event.outcome)
        for event in found
        if event.entity == "user" and event.entity_id == (UUID(user_id) if user_id else None)
    ]


# --- verifying an email address


async def test_registering_sends_a_link_whose_page_verifies_the_address(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()

    opened = await api.client.get(path_of(outgoing))
    before = await is_verified(api, headers)
    done = await api.client.post(path_of(outgoing))

    assert (outgoing.message.kind, outgoing.addressee.email) == ("email_verification", ADA["email"])
    assert outgoing.message.user_id == UUID(ada["id"])
    assert ada["emailVerified"] is False
    assert (opened.status_code, before) == (200, False)
    assert f'<form method="post" action="{path_of(outgoing)}">' in opened.text
    assert (done.status_code, "<form" in done.text) == (200, False)
    assert await is_verified(api, headers) is True
    user = await api.send("GET", f"/users/{ada['id']}", who="admin")
    assert user.json()["emailVerified"] is True
    exported = await api.client.get("/users/me/export", headers=headers)
    assert exported.json()["user"]["emailVerified"] is True
    assert ("verify_email", "done") in await actions(api, ada["id"])


async def test_a_registration_that_is_refused_sends_nothing(api, ada, deliver):
    await deliver()

    await api.client.post("/users", json={**ADA, "name": "Eve"})

    assert await deliver() == []


async def test_nobody_need_verify_to_sign_in_and_book(api, ada):
    headers = {**await signed_in(api), "idempotency-key": "k" * 20}

    booked = await api.client.post(
        "/appointments", json={"slotId": str(api.world.slots[0].id)}, headers=headers
    )

    assert booked.status_code == 201


async def test_until_the_address_is_verified_it_gets_one_message(api, ada, deliver):
    headers = await signed_in(api)
    for slot in api.world.slots[:3]:
        booked = await api.send(
            "POST", "/appointments", {"slotId": str(slot.id)}, who=None, headers=headers
        )
        assert booked.status_code == 201, booked.text

    before = await deliver()
    token = before[0].links.account.rsplit("/", 1)[1]
    verified = await api.client.post(f"/email-verifications/{token}")
    after = await deliver()

    assert [outgoing.message.kind for outgoing in before] == ["email_verification"]
    assert verified.status_code == 200
    assert [outgoing.message.kind for outgoing in after] == ["confirmation"] * 3
    assert {outgoing.addressee.email for outgoing in after} == {"Ada@example.org"}


async def test_another_address_gets_nothing_but_the_link_until_it_is_verified(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()
    await api.client.post(f"/email-verifications/{outgoing.links.account.rsplit('/', 1)[1]}")
    moved = {"email": "new@example.org", "current": PASSWORD}
    await api.send("PATCH", "/users/me", moved, who=None, headers=headers)

    body = {"slotId": str(api.world.slots[0].id)}
    await api.send("POST", "/appointments", body, who=None, headers=headers)

    outgoing = [(each.message.kind, each.addressee.email) for each in await deliver()]
    assert sorted(outgoing) == [
        ("address_changed", "Ada@example.org"),
        ("email_verification", "new@example.org"),
    ]


async def test_a_verification_link_works_once(api, ada, deliver):
    headers = await signed_in(api)
    await api.client.post("/users/me/email-verification", headers=headers)
    one, two = [path_of(outgoing) for outgoing in await deliver()]
    await api.client.post(one)

    answers = [
        await api.client.post(one),
        await api.client.get(one),
        await api.client.post(two),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await actions(api, ada["id"])).count(("verify_email", "done")) == 1


async def test_a_verification_link_expires(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()
    api.clock.advance(VERIFICATION_LASTS - timedelta(hours=1))
    in_time = await api.client.get(path_of(outgoing))
    api.clock.advance(timedelta(hours=1))

    late = await api.client.post(path_of(outgoing))

    assert (in_time.status_code, late.status_code) == (200, 404)
    account = await api.services.store.accounts.account(UUID(ada["id"]))
    assert account.email_verified_at is None
    assert headers


async def test_another_address_is_to_be_verified_and_outdates_the_link_to_the_first(
    api, ada, deliver
):
    headers = await signed_in(api)
    (first,) = await deliver()
    changed = await change_email(api, headers, "ada@new.example")
    (second,) = of_kind("email_verification", await deliver())

    outdated = await api.client.post(path_of(first))
    between = await is_verified(api, headers)
    await api.client.post(path_of(second))

    assert changed.json()["emailVerified"] is False
    assert second.addressee.email == "ada@new.example"
    assert (outdated.status_code, between) == (404, False)
    assert await is_verified(api, headers) is True


async def test_a_used_link_stays_used_when_the_address_comes_back(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()
    await api.client.post(path_of(outgoing))
    await change_email(api, headers, "ada@new.example")
    await change_email(api, headers, ADA["email"])

    again = await api.client.post(path_of(outgoing))

    assert again.status_code == 404
    assert await is_verified(api, headers) is False


async def test_the_same_address_in_another_case_stays_verified(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()
    await api.client.post(path_of(outgoing))

    changed = await change_email(api, headers, "ADA@EXAMPLE.ORG")

    assert changed.json()["emailVerified"] is True
    assert await deliver() == []


@pytest.mark.parametrize("current", [None, "", "a wrong password", "p" * 500])
async def test_another_address_needs_the_password(api, ada, deliver, current):
    headers = await signed_in(api)
    await deliver()

    answer = await change_email(api, headers, "eve@example.org", current)

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert await deliver() == []
    assert await api.services.store.accounts.by_email("eve@example.org") is None


async def test_another_address_ends_every_other_session(api, ada):
    old, headers = await signed_in(api), await signed_in(api)

    changed = await change_email(api, headers, "eve@example.org", PASSWORD)

    read = [await api.client.get("/users/me", headers=each) for each in (old, headers)]
    assert changed.status_code == 200
    assert [answer.status_code for answer in read] == [401, 200]


async def test_the_old_address_is_told_of_the_change(api, ada, deliver):
    """Given a clinic that has a phone number
    When a person's address changes twice within a minute
    Then each previous address learns when, and what to do, but not the new address."""
    contact = Contact(address="14 Quay Road\nBristol", phone="+441174960123")
    async with api.services.store.begin() as unit:
        await unit.people.replace_clinic(replace(api.world.clinic, contact=contact))
        await unit.commit()
    headers = await signed_in(api)
    await deliver()
    await change_email(api, headers, "ada@new.example")
    api.clock.advance(timedelta(seconds=40))
    await change_email(api, headers, "ada@newer.example")

    told = of_kind("address_changed", await deliver())

    assert [each.addressee.email for each in told] == ["Ada@example.org", "ada@new.example"]
    for outgoing in told:
        composer = Composer("no-reply@c.example", show_phone=shown_phone)
        email = message_from_bytes(composer.compose(outgoing), policy=default)
        assert email["To"] == outgoing.addressee.email
        assert email["Subject"] == "Your email address was changed"
        for part in email.iter_parts():
            text = part.get_content()
            assert "was changed on Monday, 23 November 2026 at 08:00 (Europe/London" in text
            assert "+44 117 496 0123" in text
            assert "newer" not in text
            assert "ada@new.example" not in text
    assert told[0].links.account is None


@pytest.mark.parametrize("language", ["en", "de"])
async def test_the_old_address_is_told_in_its_users_language(api, ada, deliver, language):
    async with api.services.store.begin() as unit:
        chosen = Preferences(language)
        await unit.messages.choose(api.world.clinic.id, UUID(ada["id"]), chosen)
        await unit.commit()
    headers = await signed_in(api)
    await deliver()
    await change_email(api, headers, "ada@new.example")

    (outgoing,) = of_kind("address_changed", await deliver())

    email = message_from_bytes(Composer("no-reply@c.example").compose(outgoing), policy=default)
    subjects = {
        "en": "Your email address was changed",
        "de": "Ihre E-Mail-Adresse wurde geändert",
    }
    assert email["Subject"] == subjects[language]


async def test_the_old_address_is_not_told_once_the_patient_is_erased(api, ada, deliver):
    headers = await signed_in(api)
    await deliver()
    await change_email(api, headers, "ada@new.example")

    erased = await api.send("POST", f"/users/{ada['id']}/erasure", {}, who="admin")

    assert erased.status_code == 200, erased.text
    assert await deliver() == []
    assert "Ada@example.org" not in repr(api.services.store.outbox._rows)
    messages = list(api.services.store._database.tables.messages.values())
    assert [each.to_email for each in messages if each.kind == "address_changed"] == [None]


async def test_one_mailbox_is_told_few_times_that_it_was_left(api, deliver):
    """Given a user who repeatedly takes a stranger's address and gives it up
    When they do so beyond the limit
    Then the change is refused, and that mailbox gets no more messages."""
    refused = []
    for number in range(8):
        body = {**ADA, "email": "stranger@example.org", "name": f"Ada {number}"}
        made = await api.client.post("/users", json=body)
        if made.status_code != 201:
            break
        signed_in_as = await sign_in(api, email="stranger@example.org")
        headers = {"authorization": f"Bearer {signed_in_as.json()['token']}"}
        changed = await change_email(api, headers, f"ada{number}@example.org")
        refused.append(changed.status_code)

    told = of_kind("address_changed", await deliver())
    assert refused == [200] * 6 + [429]
    assert [each.addressee.email for each in told] == ["stranger@example.org"] * 6


async def test_guesses_of_the_password_with_another_address_are_limited(api, ada):
    headers = await signed_in(api)

    answers = [
        await change_email(api, headers, f"eve{number}@example.org", "guess")
        for number in range(11)
    ]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]


async def test_one_mailbox_gets_few_links_whoever_claims_its_address(api, ada, deliver):
    headers = await signed_in(api)
    await deliver()

    answers = [await change_email(api, headers, "eve@example.org", PASSWORD) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429]


async def test_one_may_ask_again_until_the_address_is_verified(api, ada, deliver):
    headers = await signed_in(api)
    await deliver()

    asked = await api.client.post("/users/me/email-verification", headers=headers)
    (outgoing,) = await deliver()
    await api.client.post(path_of(outgoing))
    after = await api.client.post("/users/me/email-verification", headers=headers)

    assert (asked.status_code, after.status_code) == (202, 202)
    assert asked.json() == after.json()
    assert await deliver() == []
    found = await actions(api, ada["id"])
    assert found.count(("request_email_verification", "done")) == 1


async def test_a_verification_that_waits_is_not_sent_once_it_is_needless(api, ada, deliver):
    headers = await signed_in(api)
    (outgoing,) = await deliver()
    await api.client.post("/users/me/email-verification", headers=headers)
    await api.client.post(path_of(outgoing))

    assert await deliver() == []


async def test_a_person_who_is_disabled_verifies_nothing_also_once_enabled_again(api, ada, deliver):
    (outgoing,) = await deliver()
    await api.send("PATCH", f"/users/{ada['id']}", {"disabled": True}, who="admin")
    while_disabled = await api.client.post(path_of(outgoing))
    await api.send("PATCH", f"/users/{ada['id']}", {"disabled": False}, who="admin")

    assert while_disabled.status_code == 404
    assert (await api.client.post(path_of(outgoing))).status_code == 404


# --- a forgotten password


async def test_a_reset_sets_the_password_ends_every_session_and_verifies_the_address(
    api, ada, deliver
):
    await deliver()
    one, two = await signed_in(api), await signed_in(api)

    asked = await ask_reset(api, " ADA@example.org")
    (outgoing,) = await deliver()
    opened = await api.client.get(path_of(outgoing))
    still = await api.client.get("/users/me", headers=one)
    done = await reset(api, path_of(outgoing))

    assert asked.status_code == 202
    assert (outgoing.message.kind, outgoing.addressee.email) == ("password_reset", ADA["email"])
    assert (opened.status_code, still.status_code) == (200, 200)
    assert 'autocomplete="new-password"' in opened.text
    assert (done.status_code, "<form" in done.text) == (200, False)
    for ended in (one, two):
        assert (await api.client.get("/users/me", headers=ended)).status_code == 401
    assert (await sign_in(api)).status_code == 401
    assert await is_verified(api, await signed_in(api, NEW_PASSWORD)) is True
    found = await actions(api, ada["id"])
    assert {("request_password_reset", "done"), ("reset_password", "done")} <= set(found)


async def test_a_reset_link_works_once_and_spends_the_others(api, ada, deliver):
    await deliver()
    await ask_reset(api)
    await ask_reset(api)
    one, two = [path_of(outgoing) for outgoing in await deliver()]
    invited = (await api.send("POST", f"/users/{ada['id']}/invitations", {}, who="admin")).json()
    await reset(api, one)

    answers = [await reset(api, one, PASSWORD), await reset(api, two, PASSWORD)]
    opened = await api.client.get(two)
    accepted = await api.client.post(
        "/invitations/accepted", json={"token": invited["invitation"], "password": PASSWORD}
    )

    assert [answer.status_code for answer in answers] == [404, 404]
    assert (opened.status_code, "<form" in opened.text) == (404, False)
    assert accepted.status_code == 401
    assert (await sign_in(api)).status_code == 401


async def test_of_two_who_use_reset_links_at_once_one_does(api, ada, deliver):
    await deliver()
    await ask_reset(api)
    await ask_reset(api)
    one, two = [path_of(outgoing) for outgoing in await deliver()]

    answers = await asyncio.gather(reset(api, one), reset(api, two))

    assert sorted(answer.status_code for answer in answers) == [200, 404]


async def test_a_reset_link_expires_after_an_hour(api, ada, deliver):
    await deliver()
    await ask_reset(api)
    (outgoing,) = await deliver()
    api.clock.advance(RESET_LASTS - timedelta(seconds=1))
    in_time = await api.client.get(path_of(outgoing))
    api.clock.advance(timedelta(seconds=1))

    late = await reset(api, path_of(outgoing))

    assert timedelta(minutes=30) <= RESET_LASTS <= timedelta(hours=1)
    assert (in_time.status_code, late.status_code) == (200, 404)
    assert (await sign_in(api)).status_code == 201


async def changes_password(api, ada):
    body = {"current": PASSWORD, "password": "nine grey herons"}
    headers = await signed_in(api)
    assert (await api.client.put("/users/me/password", json=body, headers=headers)).is_success


async def changes_email(api, ada):
    headers = await signed_in(api)
    assert (await change_email(api, headers, "ada@new.example")).is_success


async def is_disabled(api, ada):
    answer = await api.send("PATCH", f"/users/{ada['id']}", {"disabled": True}, who="admin")
    assert answer.is_success


async def is_disabled_for_a_while(api, ada):
    await is_disabled(api, ada)
    answer = await api.send("PATCH", f"/users/{ada['id']}", {"disabled": False}, who="admin")
    assert answer.is_success


async def is_erased(api, ada):
    assert (await api.send("POST", f"/users/{ada['id']}/erasure", {}, who="admin")).is_success


@pytest.mark.parametrize(
    "event", [changes_password, changes_email, is_disabled, is_disabled_for_a_while, is_erased]
)
async def test_a_reset_link_dies_when_its_user(api, ada, deliver, event):
    await deliver()
    await ask_reset(api)
    (outgoing,) = await deliver()
    before = await api.client.get(path_of(outgoing))
    await event(api, ada)
    account = await api.services.store.accounts.account(UUID(ada["id"]))

    opened = await api.client.get(path_of(outgoing))
    answer = await reset(api, path_of(outgoing))

    assert [each.status_code for each in (before, opened, answer)] == [200, 404, 404]
    assert await api.services.store.accounts.account(UUID(ada["id"])) == account


async def test_whoever_asks_for_a_reset_learns_nothing(api, ada, deliver):
    await deliver()
    disabled = await api.client.post("/users", json={**ADA, "email": "off@example.org"})
    user_id = disabled.json()["user"]["id"]
    await deliver()
    await api.send("PATCH", f"/users/{user_id}", {"disabled": True}, who="admin")
    without_password = (await api.services.store.people.user(api.world.patients[0].id)).email

    answers = [
        await ask_reset(api, email)
        for email in (
            "ada@example.org",
            "nobody@example.org",
            "off@example.org",
            without_password,
            "no address",
            "",
        )
    ]

    same = {
        (answer.status_code, answer.text, tuple(sorted(answer.headers.keys())))
        for answer in answers
    }
    assert [status for status, _, _ in same] == [202]
    assert [outgoing.addressee.email for outgoing in await deliver()] == [ADA["email"]]
    assert ("request_password_reset", "denied") in await actions(api, user_id)
    assert (await actions(api, None, NOBODY_ID)).count(("request_password_reset", "denied")) == 1
    # The others from one network share one row, which counts them.
    await api.services.audit.close()
    query = EventQuery(NOBODY_ID, action="request_password_reset", outcome="denied")
    rows = await api.services.store.audit_log.events(query, PageRequest(200))
    assert sorted(row.detail.get("count", 1) for row in rows) == [1, 2]


async def test_no_answer_about_a_reset_comes_before_its_time(api, ada):
    loop = asyncio.get_running_loop()

    for email in ("ada@example.org", "nobody@example.org"):
        began_s = loop.time()
        await ask_reset(api, email)

        assert loop.time() - began_s >= ANSWER_AFTER_S


@pytest.mark.parametrize("password", ["", "short", "Password123!", "ada@example.org", "p" * 129])
async def test_a_bad_password_is_refused_and_the_link_still_works(api, ada, deliver, password):
    await deliver()
    await ask_reset(api)
    (outgoing,) = await deliver()

    refused = await reset(api, path_of(outgoing), password)

    assert (refused.status_code, "<form" in refused.text) == (400, True)
    assert (await sign_in(api)).status_code == 201
    assert (await reset(api, path_of(outgoing))).status_code == 200


async def test_an_administrators_reset_goes_out_as_a_link_of_seven_days(api, ada, deliver):
    await deliver()
    await api.send("POST", f"/users/{ada['id']}/invitations", {}, who="admin")
    (outgoing,) = await deliver()
    api.clock.advance(timedelta(days=6))

    done = await reset(api, path_of(outgoing))

    assert (outgoing.message.kind, done.status_code) == ("password_reset", 200)
    assert (await sign_in(api, NEW_PASSWORD)).status_code == 201


# --- links and pages


async def test_a_link_is_for_one_purpose_and_one_person(api, ada, deliver):
    other = await api.client.post("/users", json={**ADA, "email": "eve@example.org"})
    to_ada, to_eve = await deliver()
    await ask_reset(api)
    (outgoing,) = await deliver()
    tokens = [path_of(each).rpartition("/")[2] for each in (to_ada, to_eve, outgoing)]
    signer = LinkSigner(api.services.settings.secret)
    expires_at = api.clock.now() + timedelta(hours=1)
    clinic_id, user_id = api.world.clinic.id, UUID(ada["id"])
    unbound = [
        signer.sign(Link(purpose, clinic_id, user_id, 0, expires_at))
        for purpose in (Purpose.EMAIL_VERIFICATION, Purpose.PASSWORD_RESET, Purpose.CANCEL)
    ]
    nobody = signer.sign(Link(Purpose.PASSWORD_RESET, clinic_id, new_id(), 0, expires_at))

    answers = [
        await reset(api, f"/password-resets/{tokens[0]}"),
        await api.client.post(f"/email-verifications/{tokens[2]}"),
        await api.client.post(f"/m/{tokens[2]}"),
        *[await reset(api, f"/password-resets/{token}") for token in [*unbound, nobody, "x"]],
        *[await api.client.post(f"/email-verifications/{token}") for token in [*unbound, "é"]],
    ]

    assert other.status_code == 201
    assert {answer.status_code for answer in answers} == {404}
    assert (await sign_in(api)).status_code == 201
    assert (await api.client.post(f"/email-verifications/{tokens[1]}")).status_code == 200
    eve = await api.services.store.accounts.by_email("eve@example.org")
    account = await api.services.store.accounts.account(user_id)
    assert eve.email_verified_at is not None
    assert account.email_verified_at is None


async def test_no_link_holds_for_somebody_disabled(api, ada):
    user_id = UUID(ada["id"])
    await is_disabled(api, ada)
    account = await api.services.store.accounts.account(user_id)
    expires_at = api.clock.now() + timedelta(hours=1)

    def path(page, purpose):
        bound = bound_to(purpose, email=ADA["email"], password_hash=account.password_hash)
        link = Link(purpose, api.world.clinic.id, user_id, account.link_version, expires_at)
        signer = LinkSigner(api.services.settings.secret)
        return f"/{page}/{signer.sign(link, bound_to=bound)}"

    verified = await api.client.post(path("email-verifications", Purpose.EMAIL_VERIFICATION))
    opened = await api.client.get(path("password-resets", Purpose.PASSWORD_RESET))
    done = await reset(api, path("password-resets", Purpose.PASSWORD_RESET))

    assert [answer.status_code for answer in (verified, opened, done)] == [404, 404, 404]
    assert await api.services.store.accounts.account(user_id) == account


@pytest.mark.parametrize("kind", ["verification", "reset"])
async def test_pages_load_nothing_name_nobody_and_are_kept_nowhere(api, ada, deliver, kind):
    (outgoing,) = await deliver()
    if kind == "reset":
        await ask_reset(api)
        (outgoing,) = await deliver()

    page = await api.client.get(path_of(outgoing))

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["permissions-policy"] == "camera=(), geolocation=(), microphone=()"
    text = unescape(page.text)
    assert api.world.clinic.name in text
    assert [each for each in ("Ada", "Lovett", "example.org") if each in text] == []


async def test_pages_speak_the_language_that_was_chosen(api, ada, deliver):
    headers = await signed_in(api)
    await api.client.put(
        "/users/me/notification-preferences", json={"language": "de"}, headers=headers
    )
    (outgoing,) = await deliver()

    page = await api.client.get(path_of(outgoing))

    assert '<html lang="de">' in page.text
    assert "Ist das Ihre E-Mail-Adresse?" in page.text


@pytest.mark.parametrize("path", ["/password-resets/x", "/invitations/x"])
@pytest.mark.parametrize(
    ("form", "status"), [("&".join(f"f{n}=1" for n in range(9)), 400), ("a=" + "b" * 5000, 413)]
)
async def test_a_form_that_is_too_large_is_refused(api, path, form, status):
    headers = {"content-type": "application/x-www-form-urlencoded"}

    answer = await api.client.post(path, content=form.encode(), headers=headers)

    assert answer.status_code == status


# --- limits


class TestLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            log_level="error", fast_passwords=True, mail_limit="4/3600", mailbox_limit="2/3600"
        )

    @pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
    async def test_resets_are_limited_by_mailbox_whether_it_is_known_or_not(self, api, ada, email):
        answers = [await ask_reset(api, each) for each in (email, email.upper(), f" {email}")]

        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[-1].json()["violated-policies"] == ["mailbox"]

    async def test_resets_are_limited_by_address_of_the_client(self, api, ada):
        answers = [await ask_reset(api, f"nobody{number}@example.org") for number in range(5)]

        assert [answer.status_code for answer in answers] == [202] * 4 + [429]
        assert answers[-1].json()["violated-policies"] == ["mail"]

    async def test_verifications_are_limited_by_user(self, api, ada, deliver):
        headers = await signed_in(api)
        await deliver()

        answers = [
            await api.client.post("/users/me/email-verification", headers=headers) for _ in range(3)
        ]

        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert len(await deliver()) == 2

    async def test_without_the_counter_no_account_mail_is_sent(self, api, ada, deliver):
        class Dead:
            async def hit(self, limit, key, times=1):
                raise TemporaryFailure

            async def close(self):
                """Do nothing."""

        headers = await signed_in(api)
        await deliver()
        object.__setattr__(api.services, "limiter", Dead())

        answers = [
            await ask_reset(api),
            await api.client.post("/users/me/email-verification", headers=headers),
            await reset(api, "/password-resets/x"),
        ]

        assert [answer.status_code for answer in answers] == [503, 503, 503]
        assert await deliver() == []


async def change_email(api, headers, email, current=PASSWORD):
    body = {"email": email} if current is None else {"email": email, "current": current}
    return await api.client.patch("/users/me", json=body, headers=headers)

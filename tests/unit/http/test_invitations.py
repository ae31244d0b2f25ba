"""If mail works, links that set passwords are only mailed, and the trail names the sender."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from clinic.bootstrap import build_worker
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery
from clinic.settings import Settings
from clinic.testing import seed_world
from clinic.testing.builders import new_id
from clinic.usecases.messaging.deliver_notification import deliver_notification

PASSWORD = "seven quiet otters"
NEW_PASSWORD = "eight loud badgers"
SITE = "http://127.0.0.1:8000"
DOCTOR = {"name": "Nina New", "email": "nina@example.org", "role": "DOCTOR", "specialty": "Skin"}


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(log_level="error", fast_passwords=True, mail_url=f"maildir://{tmp_path}/mail")


@pytest.fixture
def mail(api, tmp_path):
    """Return a function that sends due messages and returns the emails."""
    api.services.store.outbox.now = api.clock.now
    worker = build_worker(api.services.settings, store=api.services.store)
    seen: set[Path] = set()

    async def run():
        query = NotificationQuery(Scope(api.world.clinic.id))
        for view in await api.services.store.outbox.list(query, PageRequest(100)):
            message = view.message
            await deliver_notification(
                worker.delivery, clinic_id=message.clinic_id, message_id=message.id
            )
        new = sorted(set((tmp_path / "mail" / "new").glob("*.eml")) - seen)
        seen.update(new)
        return [message_from_bytes(file.read_bytes(), policy=default) for file in new]

    return run


def path_in(email):
    (part,) = [each for each in email.walk() if each.get_content_type() == "text/plain"]
    (url,) = re.findall(rf"{SITE}(/(?:invitations|password-resets)/\S+)", part.get_content())
    return url


async def sign_in(api, email, password=PASSWORD):
    return await api.client.post("/sessions", json={"email": email, "password": password})


async def events(api, action):
    found = (await api.send("GET", f"/audit?action={action}", who="admin")).json()["items"]
    return [(each["actorId"], each["detail"]) for each in found]


async def add(api, body=DOCTOR):
    answer = await api.send("POST", "/users", body, who="admin")
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def nina(api, mail):
    """A doctor who has set a password."""
    added = await add(api)
    (email,) = await mail()
    await api.client.post(path_in(email), data={"password": PASSWORD})
    return added["user"]["id"]


# --- by mail alone


async def test_a_link_is_in_the_mail_and_in_no_answer(api, mail) -> None:
    """Given a service whose mail works
    When an administrator adds a person, and invites again
    Then the responses say that a link was mailed, and none contains a token; the links work."""
    added = await api.send("POST", "/users", DOCTOR, who="admin")
    user_id = added.json()["user"]["id"]
    path = f"/users/{user_id}/invitations"
    again = await api.send("POST", path, {}, who="admin")
    emails = await mail()

    tokens = [path_in(email).rsplit("/", 1)[1] for email in emails]
    assert [email["To"] for email in emails] == ["nina@example.org"] * 2
    for answer in (added, again):
        told = answer.json()
        assert answer.status_code == 201
        assert (told["invitation"], told["invitationMailed"]) == (None, True)
        assert not any(token in answer.text for token in tokens)
    assert again.json()["userId"] == user_id
    assert (await api.client.get(path_in(emails[0]))).status_code == 200
    accepted = {"token": tokens[1], "password": PASSWORD}
    assert (await api.client.post("/invitations/accepted", json=accepted)).status_code == 204
    assert (await sign_in(api, "nina@example.org")).status_code == 201


async def test_no_answer_is_kept_for_a_repeated_request(api, mail) -> None:
    user_id = (await add(api))["user"]["id"]
    for _ in range(2):
        path = f"/users/{user_id}/invitations"
        await api.send("POST", path, {}, who="admin", key="the-same-key-each-time")

    tables = api.services.store._database.tables
    tokens = [path_in(email).rsplit("/", 1)[1] for email in await mail()]
    assert list(tables.answers.values()) == []
    kept = [repr(list(getattr(tables, name).values())) for name in tables.by_name()]
    assert len(tokens) == 3
    assert not any(token in rows for token in tokens for rows in kept)


async def test_nothing_is_mailed_to_whoever_is_disabled(api, mail, nina) -> None:
    await api.send("PATCH", f"/users/{nina}", {"disabled": True}, who="admin")

    answer = await api.send("POST", f"/users/{nina}/invitations", {}, who="admin")

    told = answer.json()
    assert (told["invitation"], told["invitationMailed"]) == (None, False)
    assert await mail() == []


async def test_registering_mails_no_invitation(api) -> None:
    body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}

    told = (await api.client.post("/users", json=body)).json()

    assert (told["invitation"], told["invitationMailed"]) == (None, False)


@pytest.mark.parametrize("url", ["memory://", "MEMORY://"])
def test_mail_that_reaches_nobody_does_not_work(url) -> None:
    assert not Settings(mail_url=url).mail_works
    for real in ("smtp://mail.example", "smtps://mail.example", "maildir:///mail"):
        assert Settings(mail_url=real).mail_works


# --- who sent it


async def test_accepting_an_invitation_names_who_sent_it(api, mail, nina) -> None:
    assert await events(api, "accept_invitation") == [(nina, {"issuedBy": str(api.admin.id)})]
    ((_, added),) = await events(api, "add_user")
    assert added == {"role": "DOCTOR", "handedOver": False}


async def test_a_reset_by_an_administrator_names_both(api, mail, nina) -> None:
    await api.send("POST", f"/users/{nina}/invitations", {}, who="admin")
    (email,) = await mail()
    path = path_in(email)
    assert path.startswith("/password-resets/")

    done = await api.client.post(path, data={"password": NEW_PASSWORD})

    assert done.status_code == 200
    assert (await sign_in(api, "nina@example.org", NEW_PASSWORD)).status_code == 201
    assert await events(api, "reset_password") == [(nina, {"issuedBy": str(api.admin.id)})]
    text = next(each for each in email.walk() if each.get_content_type() == "text/plain")
    assert f"{api.world.clinic.name} has sent you this link" in text.get_content()


async def test_ones_own_reset_names_nobody_else(api, mail, nina) -> None:
    # An administrator also sent one, and must not be taken for this one's sender.
    await api.client.post("/password-resets", json={"email": "nina@example.org"})
    (own,) = await mail()
    await api.send("POST", f"/users/{nina}/invitations", {}, who="admin")
    await mail()

    await api.client.post(path_in(own), data={"password": NEW_PASSWORD})

    assert await events(api, "reset_password") == [(nina, {"issuedBy": None})]


@pytest.mark.parametrize("at", [0, 15])
async def test_who_sent_a_link_cannot_be_changed(api, mail, nina, at) -> None:
    await api.send("POST", f"/users/{nina}/invitations", {}, who="admin")
    (email,) = await mail()
    path, _, token = path_in(email).rpartition("/")
    raw = bytearray(urlsafe_b64decode(token + "=="))
    issuer = raw.index(api.admin.id.bytes)
    raw[issuer + at] ^= 1
    changed = urlsafe_b64encode(raw).rstrip(b"=").decode()

    without = urlsafe_b64encode(raw[:issuer] + raw[issuer + 16 :]).rstrip(b"=").decode()
    answers = [
        await api.client.post(f"{path}/{each}", data={"password": NEW_PASSWORD})
        for each in (changed, without)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert await events(api, "reset_password") == []


# --- the desk


async def test_the_desk_invites_a_patient_who_has_no_password(api, mail) -> None:
    body = {"name": "Pat Poe", "email": "pat@example.org"}
    patient = (await api.send("POST", "/patients", body, who="receptionist")).json()["id"]

    path = f"/users/{patient}/invitations"
    answer = await api.send("POST", path, {"reason": "Asked at the desk"}, who="receptionist")
    (email,) = await mail()
    page = await api.client.post(path_in(email), data={"password": PASSWORD})

    told = answer.json()
    assert (answer.status_code, told["invitation"], told["invitationMailed"]) == (201, None, True)
    assert page.status_code == 200
    signed_in = await sign_in(api, "pat@example.org")
    assert signed_in.json()["user"]["role"] == "PATIENT"
    assert await events(api, "accept_invitation") == [
        (patient, {"issuedBy": str(api.receptionist.id)})
    ]


async def ask_for(api, user_id, who="receptionist"):
    answer = await api.send("POST", f"/users/{user_id}/invitations", {}, who=who)
    return answer.status_code, answer.json().get("code")


async def test_the_desk_sends_nobody_who_has_a_password_a_link(api, mail) -> None:
    """Given a patient with a password, only here or also at another clinic
    When the desk invites them
    Then both are refused in the same way, and nothing is mailed."""
    one, two = api.world.patients[0].id, api.world.patients[1].id
    elsewhere = await seed_world(api.services.store)
    async with api.services.store.begin() as unit:
        await unit.people.add_patient(elsewhere.clinic.id, two)
        for each in (one, two):
            await unit.accounts.set_password_hash(each, "hash")
        await unit.commit()

    answers = [await ask_for(api, each) for each in (one, two)]

    assert answers == [(403, "permission_denied")] * 2
    assert await mail() == []


async def test_the_desk_invites_no_staff(api, mail) -> None:
    staff = (api.world.doctor.id, api.receptionist.id, api.admin.id)

    answers = [await ask_for(api, each) for each in staff]

    assert answers == [(403, "permission_denied")] * 3
    assert await mail() == []


async def test_the_desk_invites_nobody_who_is_disabled_or_elsewhere(api, mail) -> None:
    elsewhere = await seed_world(api.services.store)
    patient = api.world.patients[0].id
    await api.send("PATCH", f"/users/{patient}", {"disabled": True}, who="admin")

    assert await ask_for(api, patient) == (409, "patient_disabled")
    assert await ask_for(api, elsewhere.patients[0].id) == (404, "user_not_found")
    assert await ask_for(api, new_id()) == (404, "user_not_found")
    assert await mail() == []


@pytest.mark.parametrize("who", ["patient", "doctor"])
async def test_others_invite_nobody(api, mail, who) -> None:
    assert await ask_for(api, api.world.patients[1].id, who) == (403, "permission_denied")
    assert await mail() == []

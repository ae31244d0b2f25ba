"""`clinic user add` and `clinic user invite`: who gets the link, and the trail of it."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from clinic.domain.links import Purpose, claimed
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import SYSTEM_ID
from clinic.ports.audit import EventQuery
from clinic.usecases.people.invite_people import accept_invitation

SITE = "http://127.0.0.1:8000"
ALEX = ("user", "add", "Alex", "alex@example.org", "admin")


@pytest.fixture
def clinic(line):
    return line.json("clinic", "create", "Harbour", "Europe/London")["id"]


@pytest.fixture
def mail_works(line, clinic):
    """A mail server is configured."""
    settings = msgspec.structs.replace(line.services.settings, mail_url="smtp://mail.example")
    object.__setattr__(line.services, "settings", settings)


def events(line, clinic, action):
    async def read():
        query = EventQuery(UUID(clinic), action=action)
        return await line.services.store.audit_log.events(query, PageRequest(50))

    return [(event.actor_id, dict(event.detail)) for event in asyncio.run(read())]


def accept(line, token):
    services = line.services

    async def run():
        await accept_invitation(
            services.anonymous(),
            token,
            "seven quiet otters",
            secret=services.settings.secret,
            hasher=services.hasher,
        )

    asyncio.run(run())


def test_without_a_mail_server_the_invitation_is_printed(line, clinic) -> None:
    added = line.json(*ALEX)
    again = line("user", "invite", added["id"]).strip()

    assert (added["mailed"], "link" in added) == (False, False)
    accept(line, added["invitation"])
    assert claimed(again).purpose is Purpose.INVITATION
    ((who, detail),) = events(line, clinic, "invite")
    assert (who, detail) == (SYSTEM_ID, {"handedOver": True})


def test_where_mail_works_no_link_is_printed(line, clinic, mail_works) -> None:
    added = line.json(*ALEX)
    shown = line("user", "add", "Robin", "robin@example.org", "receptionist")
    again = line("user", "invite", added["id"])

    assert (added["invitation"], added["mailed"], "link" in added) == (None, True, False)
    assert "/invitations/" not in shown + again
    assert "by mail" in again
    assert line.refused("user", "invite", added["id"], "--as", added["id"], "--print-link")[0] == 1


@pytest.mark.parametrize("command", ["add", "invite"])
def test_the_operator_may_have_the_link_printed_which_the_trail_says(
    line, clinic, mail_works, command
) -> None:
    """Given the first administrator of a service whose mail works, but not yet for them
    When the operator asks for the link
    Then it is printed and lets them in, and the trail says who had it."""
    if command == "add":
        added = line.json(*ALEX, "--print-link")
        link = added["link"]
        assert link == f"{SITE}/invitations/{added['invitation']}"
    else:
        added = line.json(*ALEX)
        link = line("user", "invite", added["id"], "--print-link").strip()

    accept(line, link.removeprefix(f"{SITE}/invitations/"))

    action = {"add": "add_user", "invite": "invite"}[command]
    ((who, detail),) = events(line, clinic, action)
    assert (who, detail["handedOver"]) == (SYSTEM_ID, True)
    accepted = line.json("audit", "events", "--clinic", clinic, "--action", "accept_invitation")
    ((actor, shown),) = [(each["actor"], each["detail"]) for each in accepted]
    assert (actor, shown) == (added["id"], {"issuedBy": str(SYSTEM_ID)})


def test_nobody_but_the_operator_has_a_link_printed(line, clinic, mail_works) -> None:
    admin = line.json(*ALEX)["id"]
    before = line.json("user", "list")

    for command in (("invite", admin), ("add", "Dr New", "new@example.org", "doctor")):
        more = ("--specialty", "Skin") if command[0] == "add" else ()
        status, told = line.refused("user", *command, *more, "--as", admin, "--print-link")
        assert (status, "Only the operator" in told) == (1, True)

    assert line.json("user", "list") == before
    assert events(line, clinic, "invite") == []

"""Account mail on PostgreSQL and Valkey: two servers, real locks, real times."""

import asyncio
import statistics
import time
from uuid import UUID

import httpx
import msgspec
import pytest

from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.postgres.messaging.outbox import PostgresMessages
from clinic.bootstrap import build, build_worker
from clinic.domain.errors import TransactionAborted
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.entrypoints.http.app import create_app
from clinic.ports.outbox import NotificationQuery
from clinic.usecases.messaging.deliver_notification import deliver_notification

PASSWORD = "seven quiet otters"
ADA = {"name": "Ada Lovett", "email": "ada@example.org", "password": PASSWORD}
ASKED = 12


@pytest.fixture
async def ada(api):
    answer = await api.client.post("/users", json=ADA)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["user"]["id"])


async def paths(api):
    """Send waiting messages and return the paths of their links, by kind."""
    settings = msgspec.structs.replace(api.services.settings, broker_url="memory://")
    store = api.services.store
    delivery = build_worker(settings, store=store).delivery
    views = await store.outbox.list(NotificationQuery(Scope(api.clinic_id)), PageRequest())
    for view in views:
        await deliver_notification(delivery, clinic_id=api.clinic_id, message_id=view.message.id)
    found: dict[str, list[str]] = {}
    notifier = delivery.notifiers["email"]
    assert isinstance(notifier, MemoryNotifier)
    for outgoing in notifier.sent:
        assert outgoing.links.account is not None
        path = outgoing.links.account.removeprefix(settings.public_url)
        found.setdefault(outgoing.message.kind, []).append(path)
    return found


async def ask_reset(client, email=ADA["email"]):
    return await client.post("/password-resets", json={"email": email})


async def test_an_address_is_verified_and_a_forgotten_password_reset(api, ada):
    (verification,) = (await paths(api))["email_verification"]
    await api.client.get(verification)
    before = await api.services.store.accounts.account(ada)
    verified = await api.client.post(verification)
    again = await api.client.post(verification)
    await ask_reset(api.client)
    (reset,) = (await paths(api))["password_reset"]
    done = await api.client.post(reset, data={"password": "eight loud badgers"})
    spent = await api.client.post(reset, data={"password": "nine grey herons"})

    account = await api.services.store.accounts.account(ada)
    body = {"email": ADA["email"], "password": "eight loud badgers"}
    signed_in = await api.client.post("/sessions", json=body)
    assert before.email_verified_at is None
    assert account.email_verified_at is not None
    assert (verified.status_code, again.status_code) == (200, 404)
    assert (done.status_code, spent.status_code, signed_in.status_code) == (200, 404, 201)


async def test_of_two_servers_that_use_reset_links_at_once_one_does(api, ada, other_server):
    await ask_reset(api.client)
    await ask_reset(api.client)
    links = (await paths(api))["password_reset"]

    answers = await asyncio.gather(
        *(
            client.post(link, data={"password": f"{word} quiet otters"})
            for client, link, word in zip(
                (api.client, other_server), links, ("ten", "six"), strict=True
            )
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 404]


async def test_a_registration_without_its_message_is_none(api, monkeypatch):
    """Given a database that refuses the message
    When a patient registers
    Then there is no account either."""

    async def fail(*_):
        raise TransactionAborted()

    monkeypatch.setattr(PostgresMessages, "add", fail)
    answer = await api.client.post("/users", json=ADA)

    assert answer.status_code == 503
    assert await api.services.store.accounts.by_email(ADA["email"]) is None


@pytest.mark.slow
async def test_a_known_and_an_unknown_address_of_a_reset_take_the_same_time(api, ada):
    settings = msgspec.structs.replace(
        api.services.settings, mail_limit="1000/60", mailbox_limit="1000/60"
    )
    app = create_app(build(settings))
    times: dict[str, list[float]] = {ADA["email"]: [], "nobody@example.org": []}
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            for _ in range(ASKED):
                for email, taken in times.items():
                    began = time.perf_counter()
                    answer = await ask_reset(client, email)
                    taken.append(time.perf_counter() - began)
                    assert answer.status_code == 202

    known, unknown = times.values()
    ratio = statistics.median(known) / statistics.median(unknown)
    assert 0.95 < ratio < 1.05, times

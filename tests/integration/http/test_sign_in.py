"""Signing in on real servers: immediate revocation, guesses over three processes, timing."""

import asyncio
import socket
import statistics
import time
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import msgspec
import pytest

from clinic.bootstrap import build
from clinic.devtools.http_client import Request, Response, send_together
from clinic.domain.people.memberships import OFFER_LASTS, MembershipOffer, offer_token
from clinic.domain.people.people import Role, system_actor
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.usecases.people.invite_people import InvitationLinks, invite

PASSWORD = "seven quiet otters"
ADA = {"name": "Ada Lovett", "email": "ada@example.org", "password": PASSWORD}
GUESSES = 100


async def register(api):
    answer = await api.client.post("/users", json=ADA)
    assert answer.status_code == 201, answer.text
    return answer.json()["user"]["id"]


async def sign_in(client, email=ADA["email"], password=PASSWORD, **more):
    return await client.post("/sessions", json={"email": email, "password": password, **more})


@pytest.fixture
def make_server(server, tmp_path):
    """Return a function that starts another `clinic serve` like the first."""
    started = []

    def make():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = msgspec.structs.replace(server.settings, port=port)
        started.append(type(server)(settings, tmp_path / f"serve-{port}.log", server.commands))
        started[-1].start()
        return started[-1]

    yield make
    for one in started:
        one.stop()


async def test_signing_out_on_one_server_ends_the_session_on_another_at_once(api, other_server):
    await register(api)
    headers = {"authorization": f"Bearer {(await sign_in(api.client)).json()['token']}"}
    cookie = (await sign_in(api.client, cookie=True)).headers["set-cookie"].split(";")[0]
    booking = {**headers, "idempotency-key": "k" * 20}
    body = {"slotId": str(api.slots[0].id)}
    api.client.cookies.clear()
    before = [
        await other_server.get("/users/me", headers=headers),
        await other_server.get("/users/me", headers={"cookie": cookie}),
    ]

    await api.client.delete("/sessions", headers=headers)

    after = [
        await other_server.get("/users/me", headers=headers),
        await other_server.get("/users/me", headers={"cookie": cookie}),
        await other_server.post("/appointments", json=body, headers=booking),
    ]
    assert [answer.status_code for answer in before] == [200, 200]
    assert [answer.status_code for answer in after] == [401, 401, 401]


async def test_disabling_shuts_every_server_at_once(api, other_server):
    user_id = await register(api)
    headers = {"authorization": f"Bearer {(await sign_in(api.client)).json()['token']}"}
    assert (await other_server.get("/users/me", headers=headers)).status_code == 200
    async with api.services.store.begin() as unit:
        await unit.accounts.set_disabled_at(user_id, api.services.clock.now())
        await unit.commit()

    booking = {**headers, "idempotency-key": "k" * 20}
    body = {"slotId": str(api.slots[0].id)}

    assert (await other_server.get("/users/me", headers=headers)).status_code == 401
    answer = await other_server.post("/appointments", json=body, headers=booking)
    assert answer.status_code == 401


async def test_of_two_who_accept_one_invitation_one_does(api, other_server):
    services = api.services
    invited = await invite(
        services.context(system_actor(api.clinic_id)),
        api.receptionist.id,
        links=InvitationLinks(services.settings.secret, mail_works=False),
    )
    bodies = [
        {"token": invited.token, "password": f"{word} quiet otters"} for word in ("ten", "six")
    ]

    answers = await asyncio.gather(
        *(
            client.post("/invitations/accepted", json=body)
            for client, body in zip((api.client, other_server), bodies, strict=True)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [204, 401]


@pytest.mark.slow
async def test_guesses_over_three_processes_never_exceed_the_limit(server, make_server, make_town):
    """At once, from one address at one account: only as many as the account's limit are checked."""
    await make_town(slots=1, patients=1)
    servers = [server, make_server(), make_server()]
    body = {"email": "somebody@example.org", "password": "a wrong password"}
    requests = [Request("POST", "/sessions", "", body) for _ in range(GUESSES // 3 + 1)]

    answers = [
        answer
        for sent in await asyncio.gather(
            *(send_together(each.settings.host, each.settings.port, requests) for each in servers)
        )
        for answer in sent
    ]

    statuses = Counter(answer.status for answer in answers if isinstance(answer, Response))
    assert statuses.total() == len(answers)
    assert set(statuses) == {401, 429}
    assert statuses[401] == 10


def guess(door, email, secret):
    """Return a wrong password, with an offer to the address if an offer is accepted there."""
    body = {"email": email, "password": "a wrong password"}
    if door == "/sessions":
        return body
    now, some_id = datetime.now(UTC), uuid4()
    offer = MembershipOffer(some_id, some_id, Role.PATIENT, None, some_id, now, now + OFFER_LASTS)
    return {**body, "offer": offer_token(secret, offer, email)}


@pytest.mark.slow
@pytest.mark.parametrize("door", ["/sessions", "/memberships"])
async def test_a_known_and_an_unknown_address_take_the_same_time(api, door):
    """Interleaved, with the real cost of a hash: timing does not distinguish the two."""
    settings = msgspec.structs.replace(
        api.services.settings, sign_in_limit="1000/60", account_limit="1000/60"
    )
    services = build(settings)
    app = create_app(services)
    times: dict[str, list[float]] = {"ada@example.org": [], "nobody@example.org": []}
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            await client.post("/users", json=ADA)
            for _ in range(15):
                for email, taken in times.items():
                    began = time.perf_counter()
                    answer = await client.post(door, json=guess(door, email, settings.secret))
                    taken.append(time.perf_counter() - began)
                    assert answer.status_code == 401

    known, unknown = times.values()
    assert min(known) < max(unknown)
    assert min(unknown) < max(known)
    ratio = statistics.median(known) / statistics.median(unknown)
    assert 0.7 < ratio < 1.4, times


@pytest.mark.parametrize("claimed", ["user", "role"])
async def test_claims_that_are_not_the_sessions_prove_nothing(api, claimed):
    slots = f"/slots?doctor={api.doctor.id}"
    tag = (await api.send("GET", slots)).headers["etag"]
    token = issue_token(
        api.services.settings,
        user_id=api.patients[1 if claimed == "user" else 0].id,
        role=Role.ADMIN if claimed == "role" else Role.PATIENT,
        clinic_id=api.clinic_id,
        session_id=api.patients[0].id,
        now=datetime.now(UTC),
        lifetime_s=60,
    )
    forged = {"authorization": f"Bearer {token}"}
    body = {"slotId": str(api.slots[0].id)}
    if claimed == "role":
        body["patientId"] = str(api.patients[0].id)

    refused = [
        await api.send("POST", "/appointments", body, headers=forged),
        await api.send("GET", slots, headers=forged | {"if-none-match": tag}),
        await api.send("GET", slots, headers=forged),
        await api.send("GET", "/appointments", headers=forged),
        await api.send("POST", "/graphql", {"query": "{ __typename }"}, headers=forged),
        await api.send("DELETE", "/sessions/current", headers=forged),
    ]

    assert [answer.status_code for answer in refused] == [401] * len(refused)
    answer = await api.send("GET", slots, headers={"if-none-match": tag})
    assert answer.status_code == 304

"""Streams of ordinary handlers: how they end, and HEAD."""

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import get, post
from litestar.params import FromPath
from litestar.response import ServerSentEvent
from tests.unit.http.conftest import a_scope

from clinic.domain.errors import AuditUnavailable, NotSignedIn, TemporaryFailure
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.deadlines import Deadlines
from clinic.entrypoints.http.kernel.ordinary import group, guarded

PUBLIC = Access()
ran: list[str] = []
FAILURES = {"fault": ValueError("Ada Lovett"), "away": TemporaryFailure(), "ended": NotSignedIn()}


@get("/endless", guards=[guarded(PUBLIC)])
async def endless() -> ServerSentEvent:
    async def events() -> AsyncIterator[str]:
        while True:
            ran.append("endless")
            yield "x"
            await asyncio.sleep(0)

    return ServerSentEvent(events())


@get("/breaks/{how:str}", guards=[guarded(PUBLIC)])
async def breaks(how: FromPath[str]) -> ServerSentEvent:
    async def events() -> AsyncIterator[str]:
        yield "x"
        raise FAILURES[how]

    return ServerSentEvent(events())


@get("/patients/live", guards=[guarded(Access(Operation.LIST_PATIENTS))])
async def live() -> ServerSentEvent:
    async def events() -> AsyncIterator[str]:
        yield "x"

    return ServerSentEvent(events())


@post("/endless", status_code=200, guards=[guarded(PUBLIC)])
async def begin() -> None: ...


@pytest.fixture
async def site(api):
    app = create_app(api.services)
    app.register(group("/s", (endless, breaks, live, begin), deadlines=Deadlines(5)))
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
        yield client


async def test_head_of_a_stream_ends_and_runs_nothing(site) -> None:
    ran.clear()
    head = await asyncio.wait_for(site.head("/s/endless"), 5)

    assert (head.status_code, head.content, ran) == (200, b"", [])
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("fault", [(logging.ERROR, "failed: ValueError")]),
        ("away", [(logging.WARNING, "got no answer: temporary_failure")]),
        # The session ended: a stream is expected to end this way.
        ("ended", []),
    ],
)
async def test_stream_that_breaks_off_is_reported_and_not_completed(api, how, said, caplog) -> None:
    app = create_app(api.services)
    app.register(group("/s", (breaks,), deadlines=Deadlines(5)))
    sent = []
    hang_up = asyncio.Event()

    async def receive():
        await hang_up.wait()

    async def send(message):
        sent.append(message)

    await app(a_scope("GET", f"/s/breaks/{how}", {"x-request-id": "mine"}), receive, send)

    assert [message.get("more_body") for message in sent] == [None, True]
    told = [(one.levelno, one.getMessage().partition(" <")[0]) for one in caplog.records]
    assert told == [(level, f"request mine {text}") for level, text in said]
    assert "Ada" not in caplog.text


async def test_stream_that_cannot_be_audited_does_not_start(api, site, monkeypatch, caplog) -> None:
    def full(*_: object) -> None:
        raise AuditUnavailable()

    monkeypatch.setattr(type(api.services.audit), "add", full)

    refused = await site.get("/s/patients/live", headers=api.bearer("receptionist"))

    assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
    assert "got no answer: audit_unavailable" in caplog.text


async def test_options_names_the_methods_of_every_handler_and_is_counted(site) -> None:
    asked = await site.options("/s/endless?x=1")

    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert asked.headers["ratelimit-policy"].startswith('"anonymous"')


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/m/x", "GET, HEAD, OPTIONS, POST"),
        ("/invitations/x", "GET, HEAD, OPTIONS, POST"),
        ("/doctors", "GET, HEAD, OPTIONS, POST"),
        ("/doctors/x", "GET, HEAD, OPTIONS, PATCH"),
    ],
)
async def test_options_is_counted_on_every_path(site, path, allow) -> None:
    asked = await site.options(path)

    assert (asked.status_code, asked.headers["allow"]) == (204, allow)
    assert asked.headers["ratelimit-policy"].startswith('"anonymous"')

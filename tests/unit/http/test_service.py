"""The service around its resources: health, internal errors, timeouts, headers, the log."""

import asyncio
import gc
import json
import logging
import re

import httpx
import psycopg
import pytest

from clinic.bootstrap import in_memory
from clinic.domain.errors import TemporaryFailure
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.settings import Settings
from clinic.testing import FixedClock
from clinic.testing.builders import NOW

PATIENCE_S = 10
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def swap_readers(api, **changed):
    """Replace the store's readers."""

    class Store:
        def __getattr__(self, name):
            return changed.get(name) or getattr(store, name)

    store = api.services.store
    object.__setattr__(api.services, "store", Store())


class Broken:
    """A reader that fails on every call."""

    def __init__(self, accident):
        self.accident = accident

    def __getattr__(self, name):
        async def read(*args, **more):
            await self.accident()

        return read


async def test_live_asks_nobody(api):
    swap_readers(api, check_ready=Broken(None).check_ready)

    answer = await api.send("GET", "/health/live", who=None)

    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


async def test_ready_asks_the_database(api):
    answer = await api.send("GET", "/health/ready", who=None)

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize("accident", ["refuses", "hangs"])
async def test_a_database_that_does_not_answer_is_not_ready(api, accident, monkeypatch):
    async def refuses():
        raise TemporaryFailure

    async def hangs():
        await asyncio.sleep(60)

    monkeypatch.setattr("clinic.entrypoints.http.api.health.READY_WITHIN_S", 0.05)
    swap_readers(api, check_ready=Broken(locals()[accident]).check_ready)

    answer = await api.send("GET", "/health/ready", who=None)
    live = await api.send("GET", "/health/live", who=None)

    assert (answer.status_code, answer.json()["code"]) == (503, "temporary_failure")
    assert answer.headers["retry-after"] == "1"
    assert live.status_code == 200


class Database:
    """Counts readiness checks, and answers them once it may."""

    def __init__(self, *, is_ready):
        self.is_ready = is_ready
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def check_ready(self):
        self.asked += 1
        self.is_asked.set()
        await self.may_answer.wait()
        if not self.is_ready:
            raise TemporaryFailure


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_asks_the_database_once_for_all_who_ask_at_the_time(api, is_ready, status):
    database = Database(is_ready=is_ready)
    swap_readers(api, check_ready=database.check_ready)

    asking = [asyncio.create_task(api.client.get("/health/ready")) for _ in range(50)]
    await database.is_asked.wait()
    # A client that disconnects does not affect the others' responses.
    asking.pop(0).cancel()
    database.may_answer.set()
    answers = [*await asyncio.gather(*asking), await api.client.get("/health/ready")]

    assert [answer.status_code for answer in answers] == [status] * 50
    assert database.asked == 1


@pytest.mark.parametrize("is_ready", [True, False])
async def test_readiness_asks_again_when_its_answer_is_old(api, is_ready, monkeypatch):
    monkeypatch.setattr("clinic.entrypoints.http.api.health.KEEP_S", 0.0)
    database = Database(is_ready=is_ready)
    database.may_answer.set()
    swap_readers(api, check_ready=database.check_ready)
    first = await api.client.get("/health/ready")

    database.is_ready = not is_ready
    second = await api.client.get("/health/ready")

    assert {first.status_code, second.status_code} == {200, 503}
    assert database.asked == 2


async def test_a_process_that_shuts_down_is_not_ready():
    services = in_memory(clock=FixedClock(NOW), settings=Settings(log_level="error"))
    app = create_app(services)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://x") as one:
        # A kept result does not keep readiness from changing.
        assert (await one.get("/health/ready")).status_code == 200
        app.state.draining = True

        answer = await one.get("/health/ready")

    assert (answer.status_code, answer.json()["code"]) == (503, "temporary_failure")


async def test_a_fault_of_ours_is_told_without_detail_and_logged_without_its_message(api, caplog):
    what = "Ines Alvarez has an accident"

    async def accident():
        raise RuntimeError(what)

    swap_readers(api, accounts=Broken(accident))

    with caplog.at_level(logging.ERROR):
        answer = await api.send("GET", "/users/me")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "internal_error")
    assert "detail" not in problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Ines" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
    assert "test_service.py" in caplog.text


async def test_an_outage_is_logged_by_its_causes_without_their_messages(api, caplog):
    async def outage():
        try:
            raise psycopg.errors.AdminShutdown("Ines Alvarez was shut out")
        except psycopg.Error as error:
            raise TemporaryFailure from error

    swap_readers(api, accounts=Broken(outage))

    answer = await api.send("GET", "/users/me")

    assert answer.status_code == 503
    assert "temporary_failure < AdminShutdown 57P01" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
    assert "Ines" not in caplog.text


class TestShortPatience:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(request_timeout_s=0.05, log_level="error")

    async def test_a_request_that_takes_too_long_is_told(self, api):
        async def hangs():
            await asyncio.sleep(60)

        swap_readers(api, accounts=Broken(hangs))

        answer = await api.send("GET", "/users/me")

        assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
        assert answer.headers["retry-after"] == "1"

    async def test_a_timeout_of_something_else_is_a_fault(self, api):
        async def times_out():
            raise TimeoutError

        swap_readers(api, accounts=Broken(times_out))

        answer = await api.send("GET", "/users/me")

        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_every_response_has_the_security_headers(api):
    answers = [
        await api.send("GET", "/users/me"),
        await api.send("GET", "/users/me", who=None),
        await api.send("GET", "/nowhere"),
        await api.send("PUT", "/slots", {}),
        await api.send("GET", "/health/live", who=None),
    ]

    for answer in answers:
        assert SECURITY.items() <= dict(answer.headers).items()
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("inbound", "is_kept"),
    [
        ("abc-123", True),
        ("a" * 128, True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("a" * 129, False),
        ("", False),
        ("two words", False),
        ("<script>", False),
        ("é", False),
    ],
)
async def test_a_sane_request_id_is_kept(api, inbound, is_kept):
    answer = await api.client.get(
        "/nowhere", headers=[(b"x-request-id", inbound.encode("latin-1"))]
    )

    returned = answer.headers["x-request-id"]
    assert (returned == inbound) == is_kept
    assert answer.json()["requestId"] == returned
    assert len(returned) >= 7


async def test_requests_that_bring_no_id_get_one_each(api):
    answers = [await api.client.get("/nowhere") for _ in range(3)]

    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert [each for each in ids if not re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", each)] == []


async def test_head_is_answered_like_get_without_a_body(api):
    got = await api.send("GET", "/doctors")
    asked = await api.send("HEAD", "/doctors")
    missing = await api.send("HEAD", "/doctors/x")

    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"]
    assert (missing.status_code, missing.content) == (404, b"")


async def test_a_trailing_slash_makes_no_difference(api):
    assert (await api.send("GET", "/doctors/")).status_code == 200


async def exchange(api, method, path, message, **headers):
    """Return the messages that the application sends to the server on receiving `message`."""
    sent = []

    async def receive():
        return message

    async def send(part):
        sent.append(part)

    given = {**api.bearer("patient"), **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await api.client._transport.app(scope, receive, send)
    return sent


async def test_a_client_that_hangs_up_gets_no_answer(api):
    key = {"idempotency-key": "k" * 20, "content-length": "5"}

    sent = await exchange(api, "POST", "/appointments", {"type": "http.disconnect"}, **key)

    assert sent == []


@pytest.mark.parametrize("path", ["/doctors", "/doctors/x"])
async def test_no_body_is_sent_in_answer_to_head(api, path):
    sent = await exchange(api, "HEAD", path, {"type": "http.request", "body": b""})

    assert [part.get("body") for part in sent] == [None, b""]


@pytest.mark.parametrize("path", ["/doctors", "/doctors/x", "/nowhere"])
async def test_what_a_request_took_up_is_free_again_without_a_collection(api, path):
    gc.collect()
    before = [each for each in gc.get_objects() if type(each) is RequestContext]
    gc.disable()
    try:
        await exchange(api, "GET", path, {"type": "http.request", "body": b""})

        assert [each for each in gc.get_objects() if type(each) is RequestContext] == before
    finally:
        gc.enable()


class TestLog:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(log_level="info")

    async def test_a_line_names_ids_and_figures_and_nothing_else(self, api, capsys):
        booked = await api.book(headers={"x-request-id": "abc-123"})
        await api.send("GET", f"/appointments/{booked['id']}?x=secret-of-ines")
        await api.send("GET", "/health/live", who=None)

        written = capsys.readouterr().err
        async with asyncio.timeout(PATIENCE_S):
            while written.count('"event":"request"') < 2:
                await asyncio.sleep(0.01)
                written += capsys.readouterr().err
        lines = [json.loads(line) for line in written.splitlines()]
        [first] = [line for line in lines if line["requestId"] == "abc-123"]
        assert {**first, "at": "", "durationMs": 0} == {
            "at": "",
            "level": "info",
            "event": "request",
            "method": "POST",
            "path": "/appointments",
            "route": "/appointments",
            "status": 201,
            "durationMs": 0,
            "requestId": "abc-123",
            "ip": "127.0.0.1",
            "clinicId": str(api.world.clinic.id),
            "userId": str(api.world.patients[0].id),
        }
        [second] = [line for line in lines if line["status"] == 400]
        assert second["route"] == "/appointments/{appointment_id}"
        assert "secret" not in written
        assert "Patient A" not in written
        assert "Bearer" not in written
        assert "/health" not in written

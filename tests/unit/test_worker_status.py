"""A worker's metrics and health, as probes and Prometheus request them."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from clinic.entrypoints.worker.metrics import Metrics
from clinic.entrypoints.worker.status import StatusServer

pytestmark = pytest.mark.anyio

PATHS = "/metrics, /health/live, /health/ready\n"


@asynccontextmanager
async def status_of(wrong: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client for the status of a worker with this problem."""

    async def what_is_wrong() -> str | None:
        return wrong

    server = StatusServer(Metrics(), what_is_wrong)
    await server.start(0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
    await server.stop()


@pytest.mark.parametrize(
    ("wrong", "path", "status", "body"),
    [
        (None, "/health/live", 200, "alive\n"),
        ("stopping", "/health/live", 200, "alive\n"),
        (None, "/health/ready", 200, "ready\n"),
        (None, "/health/ready?verbose", 200, "ready\n"),
        ("TemporaryFailure", "/health/ready", 503, "TemporaryFailure\n"),
        (None, "/", 404, PATHS),
    ],
)
async def test_path_is_answered(wrong: str | None, path: str, status: int, body: str) -> None:
    async with status_of(wrong) as client:
        got, head = await client.get(path), await client.head(path)

    assert (got.status_code, got.text) == (status, body)
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/elsewhere"])
async def test_nothing_can_be_posted(path: str) -> None:
    async with status_of() as client:
        answer = await client.post(path, content=b"x")

    assert (answer.status_code, answer.text) == (405, "GET only\n")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_metrics_are_told_as_prometheus_reads_them() -> None:
    async with status_of() as client:
        plain = await client.get("/metrics")
        head = await client.head("/metrics")
        openmetrics = await client.get(
            "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )

    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE clinic_outbox_published_total counter" in plain.text
    assert (head.status_code, head.content) == (200, b"")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")


async def test_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = StatusServer(Metrics(), lambda: pytest.fail("nobody asks"))

        with pytest.raises(OSError, match="in use"):
            await server.start(other.getsockname()[1])


async def test_client_that_says_nothing_holds_up_no_end() -> None:
    async def what_is_wrong() -> str | None:
        return None

    server = StatusServer(Metrics(), what_is_wrong)
    await server.start(0)
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.sendall(b"GET /metrics HTTP/1.1\r\n")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{server.port}/health/live")).is_success

        await server.stop()

        silent.settimeout(5)
        assert silent.recv(100) == b""

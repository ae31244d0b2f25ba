"""How much of `clinic serve` one client may use, while others are served."""

import contextlib
import http.client
import socket
import threading
import time

import pytest
from tests.integration.conftest import SECRET, Server

from clinic.settings import Settings

#: a request that waited for the flood would take far longer
QUICK_S = 0.75
FLOOD_BYTES = 60_000_000


@pytest.fixture(scope="module")
def bounded(commands, module_postgres_urls, tmp_path_factory):
    """A server with short timeouts, shared by all tests here: they leave nothing behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = Settings(
        database_url=module_postgres_urls.app_url,
        secret=SECRET,
        port=port,
        request_timeout_s=0.5,
        connections_per_address=20,
    )
    server = Server(settings, tmp_path_factory.mktemp("bounds") / "serve.log", commands)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def connect(server) -> socket.socket:
    return socket.create_connection((server.settings.host, server.settings.port), timeout=10)


def live_s(server) -> float:
    """Return how long one request over a new connection takes."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(server.settings.host, server.settings.port, timeout=30)
    connection.request("GET", "/health/live")
    assert connection.getresponse().status == 200
    connection.close()
    return time.monotonic() - started


def flood(server, taken: list[int]) -> None:
    """Send headers until the server accepts no more."""
    part = b"X-Flood: " + b"x" * 5000 + b"\r\n"
    with connect(server) as one, contextlib.suppress(OSError):
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        taken.append(0)
        while taken[-1] < FLOOD_BYTES:
            one.sendall(part * 10)
            taken.append(taken[-1] + 10 * len(part))


def test_60_megabytes_of_headers_hold_nobody_up(bounded):
    quiet_s = max(live_s(bounded) for _ in range(10))
    taken: list[list[int]] = [[] for _ in range(4)]
    flooding = [threading.Thread(target=flood, args=(bounded, each)) for each in taken]
    for each in flooding:
        each.start()

    waits = [live_s(bounded) for _ in range(10)]
    for each in flooding:
        each.join()

    # A machine that is busy with other things is slow even without a flood.
    assert max(waits) < QUICK_S + 5 * quiet_s
    assert all(each[-1] < FLOOD_BYTES / 3 for each in taken)


def test_a_body_that_drips_is_told_in_time_and_the_connection_ends(bounded):
    head = b"POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connect(bounded) as one:
        one.sendall(head + b"Content-Length: 50000\r\n\r\n")
        one.settimeout(0.05)
        started, said = time.monotonic(), b""
        while b"\r\n\r\n" not in said and time.monotonic() - started < 10:
            one.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                said += one.recv(65536)

    assert said.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"timeout"' in said
    assert time.monotonic() - started < 5


def test_one_address_has_its_share_of_the_connections(bounded):
    held = [connect(bounded) for _ in range(20)]
    with connect(bounded) as one:
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        said = one.recv(65536)
    for each in held:
        each.close()

    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1\r\n" in said
    assert b'"code":"too_many_connections"' in said

"""A server that gets SIGTERM reports that it is not ready before it stops."""

import http.client
import signal
import time

from msgspec.structs import replace

DRAIN_S = 2.0
#: uvicorn ends itself with the signal it received
ENDED = -signal.SIGTERM


def ready(server) -> int:
    """Return the status of readiness over a new connection."""
    connection = http.client.HTTPConnection(server.settings.host, server.settings.port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    finally:
        connection.close()


def test_readiness_turns_at_sigterm_while_requests_are_still_taken(server):
    server.stop()
    server.settings = replace(server.settings, drain_s=DRAIN_S)
    server.start()
    assert ready(server) == 200

    server.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    while (answer := ready(server)) == 200 and time.monotonic() - told < DRAIN_S:
        time.sleep(0.01)

    assert answer == 503
    assert server.process.poll() is None
    assert server.process.wait(DRAIN_S + 10) == ENDED
    assert time.monotonic() - told >= DRAIN_S - 0.1


def test_a_second_sigterm_stops_at_once(server):
    server.stop()
    server.settings = replace(server.settings, drain_s=60.0)
    server.start()
    assert ready(server) == 200

    server.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 10
    while ready(server) == 200 and time.monotonic() < until:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(10) == ENDED


def test_without_a_time_to_drain_it_stops_at_once(server):
    assert ready(server) == 200

    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(10) == ENDED

"""Exports that cannot be finished: what the client sees, and that reading stops."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from clinic.devtools.http_client import Request

#: longer than a request may take
PATIENCE_S = 20


async def read_into(got: bytearray, client: httpx.AsyncClient, url: str, headers) -> None:
    async with client.stream("GET", url, headers=headers) as answer:
        async for piece in answer.aiter_bytes():
            got += piece


@pytest.mark.anyio
async def test_export_that_breaks_off_is_not_taken_for_a_whole_one(server, make_town, database):
    town = await make_town(slots=1, patients=1)
    (patient,) = town.patient_ids
    (booked,) = await server.send([town.booking(town.slots[0], patient, "key-of-this-test-0001")])
    assert booked.status == 201
    url = f"http://{server.settings.host}:{server.settings.port}/users/me/export"
    headers = {"authorization": f"Bearer {town.tokens[patient]}"}
    async with httpx.AsyncClient() as client:
        whole = await client.get(url, headers=headers)
        # Later data cannot be read any more.
        database.execute("REVOKE SELECT ON notification_outbox FROM clinic_app")
        got = bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            await read_into(got, client, url, headers)

    assert (whole.status_code, whole.headers["transfer-encoding"]) == (200, "chunked")
    assert len(whole.json()["appointments"]) == 1
    assert got.startswith(b'{"user":')
    assert b'"notifications":[' in got
    assert not got.endswith(b"}")
    (next_one,) = await server.send([Request("GET", "/users/me", town.tokens[patient])])
    assert next_one.status == 200
    log = server.log.read_text()
    assert "InsufficientPrivilege" in log
    assert "permission denied" not in log


def test_nothing_more_is_read_for_a_client_that_hung_up(server, make_town, postgres_urls):
    town = asyncio.run(make_town(slots=1, patients=1))
    token = town.tokens[town.patient_ids[0]]
    address = (server.settings.host, server.settings.port)
    head = f"GET /users/me/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}"
    with (
        psycopg.connect(postgres_urls.owner_url) as messages,
        psycopg.connect(postgres_urls.owner_url) as trail,
    ):
        messages.execute("LOCK notification_outbox IN ACCESS EXCLUSIVE MODE")
        with socket.create_connection(address) as client:
            client.sendall(f"{head}\r\n\r\n".encode())
            until(lambda: is_read(messages, "notification_outbox"))
        for _ in range(2):
            # Once the server answers on another connection, it has seen the end of the first.
            alive = httpx.get(f"http://{address[0]}:{address[1]}/health/live")
            assert alive.status_code == 200
        # This would be read next.
        trail.execute("LOCK audit_appointment IN ACCESS EXCLUSIVE MODE")
        messages.rollback()

        until(lambda: is_read(trail, "audit_appointment") or is_over(server))
        assert not is_read(trail, "audit_appointment")


def is_read(watcher: psycopg.Connection[Any], table: str) -> bool:
    """Say whether a transaction waits to read the locked table."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass(%s)"
        " AND mode = 'AccessShareLock'"
    )
    return watcher.execute(waiting, [table]).fetchone() != (0,)


def is_over(server) -> bool:
    """Say whether the server has logged the export."""
    return '"route":"/users/me/export"' in server.log.read_text()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)

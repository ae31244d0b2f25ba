"""The response to an append of audit events is lost once: reading and auditing continue."""

import asyncio
import signal
import time
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict
from tests.byte_proxy import ByteProxy, spoil

from clinic.devtools.http_client import Request

#: by then an append that keeps failing would show
PATIENCE_S = 10


async def test_reads_go_on_and_no_event_is_lost_or_doubled(server, make_town, database, tmp_path):
    town = await make_town(slots=1, patients=1)
    await asyncio.to_thread(server.stop)
    url = server.settings.database_url
    there = conninfo_to_dict(url)
    with ByteProxy(
        str(there["host"]), int(str(there["port"])), once=('"action":"read"', spoil("cut"))
    ) as proxy:
        behind = url.replace(f":{there['port']}/", f":{proxy.port}/")
        assert behind != url
        server.settings = replace(server.settings, database_url=behind)
        await asyncio.to_thread(server.start)
        read = Request("GET", "/appointments", town.office)
        ready = Request("GET", "/health/ready", town.office)
        statuses = [(await server.send([read]))[0].status]
        assert await asyncio.to_thread(proxy.told) == "cut"

        # The events of the lost batch, and later ones, are written.
        statuses.append((await server.send([read]))[0].status)
        await asyncio.to_thread(_wait_for_events, database, 2)
        statuses += [answer.status for answer in await server.send([read, ready])]
        process = server.process
        await asyncio.to_thread(server.stop)

    assert statuses == [200, 200, 200, 200]
    found = _read_events(database)
    assert len(set(found)) == len(found) == 3
    assert process.returncode == -signal.SIGTERM
    log = server.log.read_text()
    assert "Application shutdown complete" in log
    assert "could not" not in log


def _wait_for_events(database: psycopg.Connection[Any], number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(_read_events(database)) < number and time.monotonic() < deadline:
        time.sleep(0.05)


def _read_events(database: psycopg.Connection[Any]) -> list[Any]:
    return database.execute("SELECT id FROM audit_event WHERE action = 'read'").fetchall()

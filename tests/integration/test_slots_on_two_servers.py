"""Two servers answer lists of free slots from memory; neither shows an already booked slot."""

import asyncio
import secrets
from socket import socket
from typing import Any

import httpx
import pytest
import redis
from msgspec.structs import replace

READERS = 6
SLOTS = 48


@pytest.fixture
def other_server(server, tmp_path):
    """A second server process on the same database."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    other = type(server)(
        replace(server.settings, port=port), tmp_path / "other.log", server.commands
    )
    try:
        other.start()
        yield other
    finally:
        other.stop()


class Client:
    """Reads a doctor's free slots repeatedly, and keeps its copy."""

    def __init__(self, client: httpx.AsyncClient, path: str, token: str) -> None:
        self._client = client
        self._path = path
        self._token = token
        self._tag = ""
        self._shown: set[str] = set()
        self.unchanged = 0

    async def read(self) -> set[str]:
        """Return the ids of the slots shown, from our copy if it is still valid."""
        headers = {"authorization": f"Bearer {self._token}"}
        if self._tag:
            headers["if-none-match"] = self._tag
        answer = await self._client.get(self._path, headers=headers)
        if answer.status_code == 304:
            self.unchanged += 1
        else:
            assert answer.status_code == 200, answer.text
            self._tag = answer.headers["etag"]
            self._shown = {each["id"] for each in answer.json()["items"]}
        return self._shown


def _base(server: Any) -> str:
    return f"http://{server.settings.host}:{server.settings.port}"


async def test_a_read_begun_after_a_booking_was_answered_never_shows_its_slot(
    server, other_server, make_town, valkey_url
):
    """Given two servers and clients who keep reading on both
    When slots are booked on either, Valkey is flushed, and a server is killed and comes back
    Then no request sent after a booking's response shows its slot."""
    town = await make_town(slots=SLOTS, patients=SLOTS)
    path = f"/slots?doctor={town.slots[0].doctor_id}&limit=200"
    booked: list[str] = []
    over = asyncio.Event()
    servers = (server, other_server)

    async def keep_reading(client: httpx.AsyncClient) -> int:
        reader = Client(client, path, town.office)
        while not over.is_set():
            before = set(booked)
            try:
                shown = await reader.read()
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            assert not shown & before
        return reader.unchanged

    async def book(client: httpx.AsyncClient, number: int) -> None:
        patient_id, slot = town.patient_ids[number], town.slots[number]
        headers = {
            "authorization": f"Bearer {town.tokens[patient_id]}",
            "idempotency-key": secrets.token_urlsafe(24),
        }
        answer = await client.post("/appointments", json={"slotId": str(slot.id)}, headers=headers)
        assert answer.status_code == 201, answer.text
        booked.append(str(slot.id))

    one = httpx.AsyncClient(base_url=_base(server), timeout=30)
    two = httpx.AsyncClient(base_url=_base(other_server), timeout=30)
    async with one, two:
        clients = (one, two)
        reading = [asyncio.create_task(keep_reading(clients[n % 2])) for n in range(READERS)]
        for number in range(SLOTS):
            await book(clients[number % 2], number)
            await asyncio.sleep(0.02)
            if number == SLOTS // 3:
                redis.Redis.from_url(valkey_url).flushall()
            if number == SLOTS // 2:
                servers[0].kill9()
                servers[0].start()
        over.set()
        unchanged = await asyncio.gather(*reading)
        last = [await Client(client, path, town.office).read() for client in clients]

    assert last == [set(), set()]
    assert sum(unchanged) > 0

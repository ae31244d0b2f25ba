"""A connected server that sends nothing, as when its machine hangs: a worker gives up on it."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.audit.seal_book import PostgresSealBook
from clinic.adapters.postgres.engine.connections import ConnectionLimits, conninfo
from clinic.domain.errors import OutcomeUnknown, TemporaryFailure

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LIMITS = ConnectionLimits(connect_timeout_s=2, pool_timeout_s=2.0, answer_timeout_s=0.3)
#: psycopg tries twice for 5 s to cancel a statement before it closes the connection
SOON_S = 25.0


class Wire:
    """Carries bytes between a store and its server until it is `silent`."""

    def __init__(self, url: str) -> None:
        self._server = psycopg.conninfo.conninfo_to_dict(url)
        self.silent = False
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> str:
        """Return the URL of the other end."""
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._listener.sockets[0].getsockname()[1]
        return psycopg.conninfo.make_conninfo(**{**self._server, "port": port})

    async def close(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        host, port = str(self._server["host"]), str(self._server["port"])
        far, there = await asyncio.open_connection(host, port)
        self._tasks += [
            asyncio.create_task(self._pass(near, there)),
            asyncio.create_task(self._pass(far, back)),
        ]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.transport.abort()


@pytest.fixture
async def wire(postgres_urls) -> AsyncIterator[Wire]:
    wire = Wire(postgres_urls.owner_url)
    yield wire
    await wire.close()


async def test_outbox_gives_up_on_a_silent_server_and_goes_on_with_it(wire) -> None:
    store = PostgresStore(await wire.open(), limits=LIMITS)
    await store.open()
    try:
        await _give_up_and_go_on(store, wire)
    finally:
        await store.close()


async def _give_up_and_go_on(store: PostgresStore, wire: Wire) -> None:
    await store.outbox.counts()

    async def hand_over(jobs) -> None:
        """Accept them."""

    wire.silent = True
    began = time.monotonic()
    answers = await asyncio.gather(
        store.outbox.counts(),
        store.outbox.publish(hand_over, limit=10),
        store.outbox.published(after=None, limit=10),
        store.outbox.drop_expired(limit=10),
        return_exceptions=True,
    )

    # A statement in autocommit may have been committed all the same.
    kinds = [type(answer) for answer in answers]
    assert kinds == [TemporaryFailure, TemporaryFailure, TemporaryFailure, OutcomeUnknown]
    assert time.monotonic() - began < SOON_S
    wire.silent = False
    assert (await store.outbox.counts()).due == 0
    assert await store.outbox.publish(hand_over, limit=10) == 0


async def test_sealer_gives_up_on_a_silent_server_and_goes_on_with_it(wire, monkeypatch) -> None:
    monkeypatch.setattr("clinic.adapters.postgres.audit.seal_book.ANSWER_TIMEOUT_S", 0.3)
    book = PostgresSealBook(await wire.open())
    assert await book.last() is None

    wire.silent = True
    with pytest.raises(TemporaryFailure):
        await book.last()
    wire.silent = False

    assert await book.last() is None
    await book.close()


def test_server_whose_machine_is_gone_is_noticed() -> None:
    options = psycopg.conninfo.conninfo_to_dict(conninfo("postgresql://a@b/c"))

    assert int(str(options["tcp_user_timeout"])) <= 30_000
    assert int(str(options["keepalives_idle"])) <= 30
    own = psycopg.conninfo.conninfo_to_dict(conninfo("postgresql://a@b/c?keepalives_idle=7"))
    assert own["keepalives_idle"] == "7"

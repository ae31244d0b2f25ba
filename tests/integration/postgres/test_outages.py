"""A server that goes away and comes back, or was never there."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import cast

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.engine.connections import ConnectionLimits
from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection
from clinic.adapters.postgres.migrations import migrate
from clinic.devtools.embedded import EmbeddedPostgres
from clinic.domain.errors import OutcomeUnknown, TemporaryFailure, TransactionAborted
from clinic.domain.people.people import system_actor
from clinic.testing.builders import World, seed_booking, seed_world

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://clinic_app@127.0.0.1:1/clinic"
SOON_S = 8.0


async def test_open_without_a_server_fails_in_bounded_time() -> None:
    store = PostgresStore(NOWHERE, limits=ConnectionLimits(connect_timeout_s=1, pool_timeout_s=0.5))
    began = time.monotonic()

    with pytest.raises(TemporaryFailure):
        await store.open()

    assert time.monotonic() - began < SOON_S


async def test_open_may_be_tried_again(postgres_urls) -> None:
    store = PostgresStore(NOWHERE, limits=ConnectionLimits(connect_timeout_s=1))
    for _ in range(2):
        with pytest.raises(TemporaryFailure):
            await store.open()


async def test_unmigrated_database_is_not_ready(empty_postgres_urls) -> None:
    store = PostgresStore(empty_postgres_urls.app_url)
    await store.open()

    with pytest.raises(TemporaryFailure, match="missing"):
        await store.check_ready()

    await store.close()


@pytest.mark.parametrize(
    ("revision", "ready"), [("0001", False), ("9999", True), ("nonsense", False)]
)
async def test_ready_on_this_schema_and_on_later_ones(
    store: PostgresStore, postgres_urls, revision: str, ready: bool
) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE alembic_version SET version_num = %s", [revision])

    if ready:
        await store.check_ready()
    else:
        with pytest.raises(TemporaryFailure):
            await store.check_ready()


async def test_store_goes_on_after_every_connection_was_ended(
    store: PostgresStore, postgres_server: EmbeddedPostgres, postgres_urls
) -> None:
    world = await seed_world(store)
    await asyncio.gather(*(store.people.clinics() for _ in range(4)))
    _end_connections(postgres_server, postgres_urls)
    began = time.monotonic()

    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    clinics = await asyncio.gather(*(store.people.clinics() for _ in range(4)))

    assert clinics == [[world.clinic]] * 4
    assert time.monotonic() - began < SOON_S


async def test_connection_lost_in_a_unit_of_work_changes_nothing(
    store: PostgresStore, postgres_server: EmbeddedPostgres, postgres_urls
) -> None:
    world = await seed_world(store)
    async with store.begin() as unit:
        await unit.people.replace_clinic(world.clinic)
        _end_connections(postgres_server, postgres_urls)
        with pytest.raises(TemporaryFailure):
            await unit.people.clinics()
        with pytest.raises(TransactionAborted):
            await unit.commit()

    assert await store.people.clinics() == [world.clinic]


#: ReadyForQuery's, without which a client cannot know that a statement was committed
LAST_WORD_BYTES = 6


class Wire:
    """A proxy between a store and its server; cut, it passes on requests but no responses, or
    responses without their last message."""

    def __init__(self, url: str, *, at_last_word: bool) -> None:
        self._at_last_word = at_last_word
        self._server = psycopg.conninfo.conninfo_to_dict(url)
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_cut = False

    async def __aenter__(self) -> "Wire":
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        await asyncio.gather(*self._tasks)

    @property
    def url(self) -> str:
        assert self._listener is not None
        port = self._listener.sockets[0].getsockname()[1]
        return psycopg.conninfo.make_conninfo(**{**self._server, "port": port})

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._tasks.add(cast(asyncio.Task[None], asyncio.current_task()))
        far, there = await asyncio.open_connection(str(self._server["host"]), self._server["port"])
        requests = asyncio.create_task(self._pass(near, there))
        await self._pass(far, back, answers=True)
        back.close()
        await requests
        there.close()
        for writer in (back, there):
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if answers and self.is_cut:
                    if self._at_last_word:
                        writer.write(data[:-LAST_WORD_BYTES])
                    return
                writer.write(data)
        if not answers:
            writer.close()


@pytest.fixture(params=[False, True], ids=["before the answer", "at its last word"])
async def wired(request, postgres_urls) -> AsyncIterator[tuple[Wire, PostgresStore]]:
    """A store and the wire between it and its server."""
    async with Wire(postgres_urls.app_url, at_last_word=request.param) as wire:
        store = PostgresStore(wire.url)
        await store.open()
        yield wire, store
        await store.close()


async def test_connection_lost_at_the_commit_leaves_open_what_became_of_it(wired) -> None:
    wire, store = wired
    world = await seed_world(store)
    renamed = replace(world.clinic, name="Hillside")
    async with store.begin() as unit:
        await unit.people.replace_clinic(renamed)
        wire.is_cut = True
        with pytest.raises(OutcomeUnknown):
            await unit.commit()
    wire.is_cut = False

    # It was committed, so reporting that nothing was changed would have been wrong.
    assert await store.people.clinics() == [renamed]


async def test_connection_lost_as_a_slot_is_taken_leaves_open_what_became_of_it(wired) -> None:
    wire, store = wired
    world = await seed_world(store)
    # Prepared before, so that the statement itself is lost.
    for patient, slot in zip(world.patients, world.slots, strict=False):
        await seed_booking(store, world.clinic, slot, patient)
    free = world.slots[3]
    wire.is_cut = True
    with pytest.raises(OutcomeUnknown):
        await seed_booking(store, world.clinic, free, world.patients[0])
    with pytest.raises(TemporaryFailure) as reading:
        await store.people.clinics()
    wire.is_cut = False

    assert type(reading.value) is TemporaryFailure
    facts = await store.desk.load_facts(
        system_actor(world.clinic.id), free.id, world.patients[0].id
    )
    assert facts.slot is not None
    assert facts.slot.taken


async def test_next_connection_is_left_alone_by_one_that_was_lost(postgres_urls) -> None:
    """Both have had the same file descriptor."""
    async with Wire(postgres_urls.app_url, at_last_word=True) as wire:
        lost = await PreparedConnection.connect(wire.url, autocommit=True)
        assert await lost.fetch("SELECT 1", ()) == [(1,)]
        number = lost.fileno()
        wire.is_cut = True
        with pytest.raises(psycopg.Error):
            await lost.fetch("SELECT 1", ())
    others = [await PreparedConnection.connect(postgres_urls.app_url, autocommit=True)]
    while others[-1].fileno() != number:
        others.append(await PreparedConnection.connect(postgres_urls.app_url, autocommit=True))
    assert await others[-1].fetch("SELECT 2", ()) == [(2,)]
    await lost.close()
    async with asyncio.timeout(SOON_S):
        assert await others[-1].fetch("SELECT 3", ()) == [(3,)]
    for other in others:
        await other.close()


@pytest.mark.slow
async def test_store_goes_on_after_the_server_was_restarted(memory_path, caplog) -> None:
    server = EmbeddedPostgres(memory_path)
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(migrate, server.url())
        store = PostgresStore(server.url(role="app"), limits=ConnectionLimits(pool_timeout_s=0.5))
        await store.open()
        world = await seed_world(store)
        await asyncio.to_thread(server.kill9)

        with pytest.raises(TemporaryFailure):
            await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        with pytest.raises(TemporaryFailure):
            await store.people.clinics()
        await _given_up(caplog)
        await asyncio.to_thread(server.start)
        began = time.monotonic()
        while not await _books(store, world):
            assert time.monotonic() - began < SOON_S

        # A call made meanwhile is answered as soon as the server is back.
        patient = PostgresStore(server.url(role="app"), limits=ConnectionLimits(pool_timeout_s=60))
        await patient.open()
        await asyncio.to_thread(server.kill9)
        what = (system_actor(world.clinic.id), world.slots[0].id, world.patients[0].id)
        caplog.clear()
        asked = [asyncio.create_task(patient.desk.load_facts(*what)) for _ in range(12)]
        await _given_up(caplog)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(SOON_S):
            assert all(facts.slot for facts in await asyncio.gather(*asked))

        await patient.close()
        assert await store.people.clinics() == [world.clinic]
        await store.close()
    finally:
        await asyncio.to_thread(server.stop)


async def _given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the pool has stopped trying to reconnect."""
    async with asyncio.timeout(SOON_S):
        while "reconnection attempt" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _books(store: PostgresStore, world: World) -> bool:
    try:
        await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    except TemporaryFailure:
        return False
    return True


def _end_connections(server: EmbeddedPostgres, urls) -> None:
    with psycopg.connect(server.url(urls.name, "superuser"), autocommit=True) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

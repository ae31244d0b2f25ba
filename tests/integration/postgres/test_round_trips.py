"""A booking is two round trips, one of which writes; counted on the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import system_actor
from clinic.ports.calendars import SlotQuery
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_context,
    a_request,
    a_stored_answer,
    a_type,
    an_actor,
    new_id,
    seed_type,
    seed_world,
)
from clinic.usecases.appointments.book import book
from clinic.usecases.calendar.find_slots import SlotSearch, glance_at_slots

pytestmark = pytest.mark.anyio

WRITES = ("INSERT", "UPDATE", "DELETE")


class Wire:
    """Passes a client's messages on to PostgreSQL, counting the times that it waits for an answer.

    The messages are those of the frontend/backend protocol, version 3: a byte for the type and four
    for the length; the first one of a connection has no type.
    """

    def __init__(self) -> None:
        self.round_trips = 0
        self.executed: list[str] = []

    def forget(self) -> None:
        """Count from here."""
        self.round_trips, self.executed = 0, []

    async def forward(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        """Read messages one by one until the client leaves."""
        prepared: dict[bytes, str] = {}
        length = await client.readexactly(4)
        server.write(length + await client.readexactly(int.from_bytes(length) - 4))
        while kind := await client.read(1):
            length = await client.readexactly(4)
            body = await client.readexactly(int.from_bytes(length) - 4)
            self._note(kind, body, prepared)
            server.write(kind + length + body)
            await server.drain()
        server.write_eof()

    def _note(self, kind: bytes, body: bytes, prepared: dict[bytes, str]) -> None:
        if kind == b"P":
            name, statement, _ = body.split(b"\0", 2)
            prepared[name] = statement.decode()
        elif kind == b"B":
            self.executed.append(prepared[body.split(b"\0", 2)[1]])
        elif kind == b"Q":
            self.executed.append(body.rstrip(b"\0").decode())
        # The client waits after Sync and Query.
        self.round_trips += kind in {b"S", b"Q"}


@asynccontextmanager
async def _store_on_a_wire(url: str) -> AsyncIterator[tuple[Wire, PostgresStore]]:
    """Yield a store with one connection for each use, and the counter of its messages."""
    target = urlsplit(url)
    wire = Wire()
    serving: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        server, forth = await asyncio.open_connection(target.hostname, target.port)
        try:
            answers = asyncio.create_task(_copy(server, back))
            await wire.forward(client, forth)
            await answers
        finally:
            for writer in (forth, back):
                writer.close()
                await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        through = url.replace(f":{target.port}/", f":{port}/")
        store = PostgresStore(f"{through}?sslmode=disable", pool_size=1, transaction_pool_size=1)
        await store.open()
        try:
            yield wire, store
        finally:
            await store.close()
            await asyncio.gather(*serving)


async def _copy(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    while chunk := await server.read(65536):
        client.write(chunk)
        await client.drain()


async def _book(store: PostgresStore, world: World, place: int, *, keyed: bool) -> None:
    request = a_request(world.clinic, world.patients[0].id) if keyed else None
    slot = world.slots[place]
    facts = await store.desk.load_facts(
        system_actor(world.clinic.id), slot.id, world.patients[0].id, request
    )
    booking = decide_booking(
        facts,
        actor=an_actor(world.clinic),
        type="Consultation",
        reason=None,
        override=True,
        now=NOW,
        new_id=new_id,
    )
    if request is not None:
        object.__setattr__(booking, "stored", a_stored_answer(request))
    await store.desk.reserve(booking)


@pytest.mark.parametrize("keyed", [False, True])
async def test_booking_is_two_round_trips_and_one_write(postgres_urls, keyed: bool) -> None:
    async with _store_on_a_wire(postgres_urls.app_url) as (wire, store):
        world = await seed_world(store)
        # The first booking on a connection also prepares its statements.
        await _book(store, world, 0, keyed=keyed)
        wire.forget()

        await _book(store, world, 1, keyed=keyed)

        assert wire.round_trips == 2
        assert [any(verb in each for verb in WRITES) for each in wire.executed] == [False, True]


async def test_long_booking_and_the_starts_of_its_type_take_no_more(postgres_urls) -> None:
    """A booking of two slots takes two round trips, the first page of a doctor's starts one."""
    async with _store_on_a_wire(postgres_urls.app_url) as (wire, store):
        world = await seed_world(store, slots=8)
        kind = a_type(world.clinic, "Long", 60)
        await seed_type(store, kind)
        context = a_context(store, an_actor(world.clinic))
        caches: dict[str, dict[UUID, Any]] = {"clinics": {}, "types": {}}
        search = SlotSearch(world.doctor.id, type="Long")
        counts = []

        for place in (0, 2, 4):
            wire.forget()
            slot_id, patient_id = world.slots[place].id, world.patients[0].id
            booked = await book(context, slot_id, patient_id=patient_id, type="Long")
            counts.append(wire.round_trips)
            wire.forget()
            found = await glance_at_slots(context, search, PageRequest(), **caches)
            counts.append(wire.round_trips)

        assert counts[-2:] == [2, 1]
        assert booked.appointment.visible.ends_at == world.slots[5].ends_at
        assert found is not None
        assert [view.slot.id for view in found.page().items] == [world.slots[6].id]


async def test_lists_take_as_many_round_trips_for_three_rows_as_for_one(postgres_urls) -> None:
    async with _store_on_a_wire(postgres_urls.app_url) as (wire, store):
        world = await seed_world(store)
        query = SlotQuery(world.clinic.id, MORNING, world.slots[-1].ends_at)
        await store.calendars.list_slots(query, PageRequest(limit=1))
        counts = []

        for limit in (1, 3):
            wire.forget()
            found = await store.calendars.list_slots(query, PageRequest(limit=limit))
            counts.append((len(found), wire.round_trips))

        assert counts == [(2, 1), (4, 1)]

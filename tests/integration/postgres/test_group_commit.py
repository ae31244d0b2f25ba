"""Bookings that wait become one statement."""

import asyncio
from dataclasses import replace

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.engine.connections import ConnectionLimits
from clinic.adapters.postgres.engine.group_commit import BATCH_MAX, IN_FLIGHT_MAX
from clinic.domain.appointments.appointments import Booking
from clinic.domain.errors import InvalidInput, OutcomeUnknown
from clinic.testing.builders import World, a_booking, a_request, a_stored_answer, seed_world
from clinic.testing.soundness import check_sound

pytestmark = pytest.mark.anyio

#: a full batch, after those that are written alone
CROWD = IN_FLIGHT_MAX + BATCH_MAX


async def _world(store: PostgresStore) -> World:
    return await seed_world(store, slots=CROWD, patients=[str(number) for number in range(CROWD)])


def _bookings(world: World) -> list[Booking]:
    return [
        a_booking(
            world.clinic,
            slot,
            patient,
            stored=a_stored_answer(a_request(world.clinic, patient.id, key=f"key-{number}")),
        )
        for number, (slot, patient) in enumerate(zip(world.slots, world.patients, strict=True))
    ]


async def _reserve(store: PostgresStore, bookings: list[Booking]) -> list[BaseException | None]:
    return await asyncio.gather(
        *(store.desk.reserve(booking) for booking in bookings), return_exceptions=True
    )


def _transactions(owner_url: str, table: str) -> int:
    with psycopg.connect(owner_url) as owner:
        row = owner.execute(f"SELECT count(DISTINCT xmin::text) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "table", ["appointments", "audit_appointment", "notification_outbox", "idempotency_keys"]
)
async def test_bookings_that_wait_are_written_by_one_statement(
    store: PostgresStore, postgres_urls, table: str
) -> None:
    world = await _world(store)

    assert await _reserve(store, _bookings(world)) == [None] * CROWD
    assert _transactions(postgres_urls.owner_url, table) == IN_FLIGHT_MAX + 1


async def test_what_cannot_be_kept_is_refused_alone(store: PostgresStore) -> None:
    world = await _world(store)
    bookings = _bookings(world)
    bookings[5] = replace(bookings[5], audit=replace(bookings[5].audit, reason="nul \0"))

    outcomes = await _reserve(store, bookings)

    assert [type(each) for each in outcomes if each is not None] == [InvalidInput]
    assert isinstance(outcomes[5], InvalidInput)
    await check_sound(store, world.clinic.id)


async def test_all_are_told_when_the_server_ends_their_connection(
    store: PostgresStore, postgres_server, postgres_urls
) -> None:
    """Given bookings that wait together for a locked table
    When the server ends their connection
    Then each gets outcome_unknown, and none is retried automatically."""
    unhurried = PostgresStore(
        postgres_urls.app_url, limits=ConnectionLimits(lock_timeout_ms=30_000)
    )
    await unhurried.open()
    world = await _world(store)
    bookings = _bookings(world)
    superuser_url = postgres_server.url(postgres_urls.name, "superuser")
    with psycopg.connect(superuser_url) as holder:
        holder.execute("LOCK TABLE notification_outbox IN SHARE MODE")
        writing = [asyncio.create_task(unhurried.desk.reserve(each)) for each in bookings]
        ended = 0
        with psycopg.connect(superuser_url, autocommit=True) as other:
            async with asyncio.timeout(10):
                while ended < IN_FLIGHT_MAX + 1:
                    await asyncio.sleep(0.05)
                    ended += other.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE wait_event_type = 'Lock' AND datname = %s",
                        [postgres_urls.name],
                    ).rowcount
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
        holder.rollback()
    await unhurried.close()

    assert [type(each) for each in outcomes] == [OutcomeUnknown] * CROWD
    assert _transactions(postgres_urls.owner_url, "appointments") == 0

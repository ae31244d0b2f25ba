"""Seals over a real trail: whatever is done to a row or a seal behind our back is named."""

import asyncio
import json

import psycopg
import pytest

from clinic.adapters.postgres.seal_book import PostgresSealBook
from clinic.domain.audit_seal import Tampering
from clinic.domain.errors import AlreadyExists
from clinic.testing import FixedClock, seed_booking, seed_world
from clinic.testing.builders import NOW, an_event
from clinic.usecases.seal_audit import export_seals, seal_audit, verify_audit

CLOCK = FixedClock(NOW)
SETTLES_S = 60


@pytest.fixture
async def book(postgres_urls):
    book = PostgresSealBook(postgres_urls.sealer_url)
    yield book
    await book.close()


@pytest.fixture
async def settled(postgres_urls):
    """Waits until whatever is committed now can be sealed.

    A seal stops at the oldest transaction of the whole server, and other tests share the server.
    """
    connection = await psycopg.AsyncConnection.connect(postgres_urls.owner_url, autocommit=True)

    async def wait():
        cursor = await connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        [(now,)] = await cursor.fetchall()
        async with asyncio.timeout(SETTLES_S):
            while True:
                cursor = await connection.execute(
                    "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", [now]
                )
                if await cursor.fetchall() == [(True,)]:
                    return
                await asyncio.sleep(0.02)

    yield wait
    await connection.close()


@pytest.fixture
async def sealed(store, book, settled):
    """Three seals of four rows each: events, a booking, events."""
    world = await seed_world(store)
    for number in range(3):
        await store.audit_log.append([an_event(world.clinic) for _ in range(3)])
        await seed_booking(store, world.clinic, world.slots[number], world.patients[number])
        await settled()
        assert await seal_audit(book=book, clock=CLOCK) == 4
    return world


class Intruder:
    """A superuser who has switched every guard off."""

    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET session_replication_role = replica")

    def __call__(self, query, parameters=()):
        return self.connection.execute(query, parameters)

    def rows(self, table, order="xid, at, id"):
        return [row[0] for row in self(f"SELECT id FROM {table} ORDER BY {order}").fetchall()]


@pytest.fixture
def intruder(postgres_server, postgres_urls):
    intruder = Intruder(postgres_server.url(postgres_urls.name, "superuser"))
    yield intruder
    intruder.connection.close()


async def findings(book, **more):
    found = await verify_audit(book=book, **more)
    return [(one.tampering, one.seq, one.row_id) for one in found.findings]


async def test_an_untouched_trail_verifies(book, sealed):
    found = await verify_audit(book=book)

    assert (found.seals, found.rows, found.findings) == (3, 12, ())


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("audit_event", "reason = 'something nicer'"),
        ("audit_event", "outcome = 'done?'"),
        ("audit_event", "detail = '{\"a\": 1}'"),
        ("audit_event", "actor_id = gen_random_uuid()"),
        ("audit_event", "patient_id = gen_random_uuid()"),
        ("audit_event", "ip = '192.0.2.1'"),
        ("audit_appointment", "to_status = 'CANCELLED'"),
        ("audit_appointment", "session_id = gen_random_uuid()"),
        ("audit_appointment", "version = 7"),
    ],
)
async def test_a_changed_row_is_named(book, sealed, intruder, table, change):
    victim = intruder.rows(table)[1]

    intruder(f"UPDATE {table} SET {change} WHERE id = %s", [victim])

    (found,) = await findings(book)
    assert (found[0], found[2]) == (Tampering.CHANGED, victim)


@pytest.mark.parametrize("table", ["audit_event", "audit_appointment"])
async def test_a_removed_row_is_named(book, sealed, intruder, table):
    victim = intruder.rows(table)[0]

    intruder(f"DELETE FROM {table} WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.REMOVED, 1, victim)]


async def test_an_inserted_row_is_named(book, sealed, intruder):
    intruder(
        "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, reason,"
        " outcome, detail, xid) SELECT clinic_id, gen_random_uuid(), at, actor_id, actor_role,"
        " action, entity, reason, outcome, detail, xid FROM audit_event ORDER BY xid LIMIT 1"
    )

    (found,) = await findings(book)
    assert found[:2] == (Tampering.INSERTED, 1)


async def test_a_row_inserted_where_no_seal_will_ever_reach_is_named(book, sealed, intruder):
    intruder(
        "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, reason,"
        " outcome, detail, xid) SELECT clinic_id, gen_random_uuid(), at, actor_id, actor_role,"
        " action, entity, reason, outcome, detail, 1000000000000 FROM audit_event LIMIT 1"
    )

    (found,) = await findings(book)
    assert found[:2] == (Tampering.INSERTED, 4)


async def test_reordered_rows_are_named(book, sealed, intruder):
    one, *_, other = intruder.rows("audit_event")
    (first,) = intruder("SELECT xid FROM audit_event WHERE id = %s", [one]).fetchone()
    (last,) = intruder("SELECT xid FROM audit_event WHERE id = %s", [other]).fetchone()

    intruder("UPDATE audit_event SET xid = %s WHERE id = %s", [last, one])
    intruder("UPDATE audit_event SET xid = %s WHERE id = %s", [first, other])

    found = await findings(book)
    assert {(each[0], each[2]) for each in found} == {
        (Tampering.REORDERED, one),
        (Tampering.REORDERED, other),
    }


async def test_a_row_moved_in_time_is_named(book, sealed, intruder):
    victim = intruder.rows("audit_event")[0]

    intruder("UPDATE audit_event SET at = at + interval '1 second' WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.REORDERED, 1, victim)]


@pytest.mark.parametrize(
    "change",
    [
        "root = sha256('x')",
        "row_count = row_count + 1",
        "sealed_at = sealed_at + interval '1 day'",
        "leaves = leaves || sha256('x')",
        "keys = substr(keys, 2)",
        "chain = sha256('x')",
    ],
)
async def test_a_changed_seal_is_named(book, sealed, intruder, change):
    intruder(f"UPDATE audit_seals SET {change} WHERE seq = 2")

    found = await findings(book)
    assert (Tampering.SEAL_BROKEN, 2, None) in found


async def test_a_removed_seal_is_named(book, sealed, intruder):
    intruder("DELETE FROM audit_seals WHERE seq = 2")

    assert (Tampering.SEAL_REMOVED, 3, None) in await findings(book)


async def test_a_trail_sealed_anew_from_the_start_is_told_by_what_was_exported(
    book, sealed, intruder, settled
):
    exported = json.loads(json.dumps(await export_seals(book=book)))
    victim = intruder.rows("audit_event")[0]

    intruder("UPDATE audit_event SET reason = 'nicer' WHERE id = %s", [victim])
    intruder("DELETE FROM audit_seals")
    await settled()
    await seal_audit(book=book, clock=CLOCK)

    assert await findings(book) == []
    told = await findings(book, exports=exported)
    assert (Tampering.SEAL_REWRITTEN, 1, None) in told
    assert (Tampering.SEAL_REMOVED, 2, None) in told


async def test_a_transaction_that_commits_late_is_sealed_and_not_taken_for_an_intruder(
    store, book, sealed, settled
):
    slow, quick = an_event(sealed.clinic), an_event(sealed.clinic)
    async with store.begin() as unit:
        await unit.events.add(slow)
        await store.audit_log.append([quick])

        before = await seal_audit(book=book, clock=CLOCK)
        await unit.commit()
    await settled()
    after = await seal_audit(book=book, clock=CLOCK)

    assert (before, after) == (0, 2)
    assert await findings(book) == []


async def test_large_trails_are_sealed_piece_by_piece(store, book, sealed, settled):
    for _ in range(10):
        await store.audit_log.append([an_event(sealed.clinic) for _ in range(3)])
    await settled()

    assert await seal_audit(book=book, clock=CLOCK, rows_max=7) == 30

    found = await verify_audit(book=book)
    assert (found.rows, found.findings) == (42, ())
    assert found.seals > 5


async def test_of_two_sealers_at_once_each_row_is_sealed_once(
    postgres_urls, store, book, sealed, settled
):
    await store.audit_log.append([an_event(sealed.clinic) for _ in range(5)])
    await settled()
    other = PostgresSealBook(postgres_urls.sealer_url)

    counts = await asyncio.gather(
        seal_audit(book=book, clock=CLOCK), seal_audit(book=other, clock=CLOCK)
    )
    await other.close()

    assert sum(counts) == 5
    assert await findings(book) == []


async def test_the_sealer_changes_neither_rows_nor_seals(book, sealed, postgres_urls):
    refused = [
        "UPDATE audit_event SET reason = 'x'",
        "DELETE FROM audit_appointment",
        "INSERT INTO audit_event SELECT * FROM audit_event LIMIT 1",
        "UPDATE audit_seals SET row_count = 1",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
        "SELECT * FROM users",
        "SELECT * FROM appointments",
    ]
    with psycopg.connect(postgres_urls.sealer_url, autocommit=True) as connection:
        for query in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


async def test_the_service_neither_seals_nor_says_which_transaction_wrote(sealed, postgres_urls):
    refused = [
        "SELECT * FROM audit_seals",
        "INSERT INTO audit_seals SELECT 1",
        "INSERT INTO audit_event (xid) VALUES (1)",
        "UPDATE audit_event SET reason = 'x'",
        "DELETE FROM audit_event",
    ]
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as connection:
        for query in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


async def test_the_owner_too_is_refused_to_change_a_seal(sealed, postgres_urls):
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as connection:
        for query in ("UPDATE audit_seals SET row_count = 1", "DELETE FROM audit_seals"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(query)


async def test_a_seal_is_added_once(book, sealed):
    last = await book.last()

    with pytest.raises(AlreadyExists):
        await book.add(last)

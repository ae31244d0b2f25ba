"""The change feed on PostgreSQL: no gaps despite open transactions, cheap, and safe with restored
databases."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic.adapters.postgres.audit import change_feed
from clinic.adapters.postgres.engine.connections import BY_KEY
from clinic.adapters.postgres.migrations import APP_ROLE
from clinic.adapters.postgres.store import PostgresStore
from clinic.ports.change_feed import CursorStale, Start
from clinic.testing import seed_clinic
from clinic.testing.builders import an_event, new_id
from clinic.testing.contracts.change_feed import FeedInterleaving, advance, append, consume, records

pytestmark = pytest.mark.anyio

CONSUMER = "pages"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "write", "commit", "roll back", "append", "read", "read in vain"]
        ),
        st.integers(1, 3),
    ),
    max_size=20,
)


@pytest.fixture
async def clinic(store):
    clinic = await seed_clinic(store)
    await store.changes.subscribe(CONSUMER)
    return clinic


@pytest.fixture(scope="module")
async def module_store(module_postgres_urls):
    store = PostgresStore(module_postgres_urls.app_url)
    await store.open()
    yield store
    await store.close()


# Ranges as narrow as possible, so that a few transactions exceed them.
@pytest.fixture(params=[(change_feed.RANGE_FIRST, change_feed.NEAR), (1, 0), (2, 3)], ids=str)
def ranges(request, monkeypatch):
    first, near = request.param
    monkeypatch.setattr(change_feed, "RANGE_FIRST", first)
    monkeypatch.setattr(change_feed, "NEAR", near)


@given(STEPS, st.sampled_from(Start))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_each_committed_row_comes_once(module_store, ranges, steps, start):
    store = module_store
    consumer = str(new_id())
    # This example's consumer starts after the changes of the others.
    await store.changes.subscribe(consumer, Start.NOW)
    clinic = await seed_clinic(store)
    if start is Start.BEGINNING:
        await append(store, clinic, 2)
        await consume(store, consumer=consumer)
    interleaving = FeedInterleaving(store, clinic, consumer)
    try:
        for what, number in steps:
            await interleaving.step(what, number)
        await interleaving.check()
    finally:
        await interleaving.close()
        await store.changes.unsubscribe(consumer)


async def test_transaction_held_open_delays_nobody(store, clinic, postgres_urls):
    """Given a transaction that stays open until all other changes have been seen
    When others book and append meanwhile, each change is seen within a second
    Then the open transaction's rows are delivered after its commit, and not before."""
    slow = [an_event(clinic) for _ in range(2)]
    seen_all = asyncio.Event()

    async def hold_open():
        async with store.begin() as unit:
            await unit.events.add(slow[0])
            begun.set()
            await seen_all.wait()
            await unit.events.add(slow[1])
            await unit.commit()

    begun = asyncio.Event()
    holding = asyncio.create_task(hold_open())
    await begun.wait()
    waited_s = []
    for _ in range(20):
        events = await append(store, clinic, 3)
        committed_at = time.monotonic()
        assert records(await consume(store)) == events
        waited_s.append(time.monotonic() - committed_at)
    seen_all.set()
    await holding

    assert records(await consume(store)) == slow
    assert sorted(waited_s)[len(waited_s) // 2] < 1


async def test_events_written_under_a_savepoint_come_with_their_transaction(
    store, clinic, postgres_urls
):
    event = an_event(clinic)
    with psycopg.connect(postgres_urls.app_url) as service:
        with service.transaction():
            service.execute("SELECT pg_current_xact_id()")
            with service.transaction():
                insert_event(service, event)
            assert records(await consume(store)) == []
        service.commit()

    batch = await consume(store)
    assert [change.record.id for change in batch.changes] == [event.id]


def insert_event(connection, event):
    connection.execute(
        "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, reason,"
        " outcome, detail) VALUES (%s, %s, %s, %s, 'ADMIN', 'x', 'x', 'x', 'x', '{}')",
        [event.clinic_id, event.id, event.at, event.actor_id],
    )


async def test_event_of_long_ago_that_is_written_now_comes_now(store, clinic):
    # As an event that waited while the database was down, or an imported one.
    old = replace(an_event(clinic), at=datetime.now(UTC) - timedelta(days=800))
    await store.audit_log.append([old])

    assert records(await consume(store)) == [old]


# --- other databases --------------------------------------------------------------------------


async def test_cursor_from_a_dump_is_refused(store, clinic, database):
    """A new server for a dump has another identity, and its numbers start again."""
    await append(store, clinic)
    database.execute("UPDATE change_feeds SET system = '7000000000000000000'")

    with pytest.raises(CursorStale, match="another database server"):
        await store.changes.read(CONSUMER, limit=10)


async def test_cursor_that_is_ahead_of_its_database_is_refused(store, clinic, database):
    database.execute("UPDATE change_feeds SET seen = '900000000:900000000:'")

    for asking in (
        store.changes.read(CONSUMER, limit=10),
        store.changes.rebind(CONSUMER),
    ):
        with pytest.raises(CursorStale, match="only at"):
            await asking


async def test_consumer_goes_on_after_an_upgrade_once_somebody_has_said_so(store, clinic, database):
    events = await append(store, clinic)
    database.execute("UPDATE change_feeds SET system = '7000000000000000000'")

    await store.changes.rebind(CONSUMER)

    assert records(await consume(store)) == events


async def test_consumer_that_is_restarted_is_bound_to_the_new_database(store, clinic, database):
    events = await append(store, clinic)
    database.execute(
        "UPDATE change_feeds SET system = '7000000000000000000', seen = '9999999:9999999:'"
    )

    await store.changes.restart(CONSUMER, Start.BEGINNING)

    assert records(await consume(store)) == events


async def test_batch_that_was_read_before_a_failover_is_refused(store, clinic):
    """Its rows may be lost with the old primary, and their numbers reused."""
    await append(store, clinic)
    batch = await store.changes.read(CONSUMER, limit=10)
    system, _, timeline = batch.origin.partition("/")
    assert timeline == "00000001"

    with pytest.raises(CursorStale, match="failed over"):
        await advance(store, replace(batch, origin=f"{system}/00000002"))

    await advance(store, batch)


# --- cost -------------------------------------------------------------------------------------


@pytest.fixture
def filled(database):
    """Last month and this one with many rows, each from its own transaction."""
    database.execute(
        """
        INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, reason,
                                 outcome, detail, xid)
        SELECT gen_random_uuid(), gen_random_uuid(),
               CASE WHEN n > 20000 THEN now()
                   ELSE date_trunc('month', now()) - interval '1 month' + n * interval '2 min' END,
               gen_random_uuid(), 'ADMIN', 'read', 'x', 'No reason given', 'done', '{}', n
        FROM generate_series(1, 29000) n
        """
    )
    database.execute("VACUUM ANALYZE audit_event")


def buffers(connection, statement, *parameters):
    """Return how many pages a prepared read touches, and its plan."""
    connection.execute(f"PREPARE look AS {statement}")
    values = ", ".join("NULL" if each is None else repr(each) for each in parameters)
    rows = connection.execute(
        f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE look ({values})"
    ).fetchall()
    connection.execute("DEALLOCATE look")
    plan = "\n".join(row[0] for row in rows)
    hit = next(line for (line,) in rows if "Buffers:" in line)
    return sum(int(part.partition("=")[2]) for part in hit.split() if "=" in part), plan


async def test_look_reads_the_pages_of_its_range_alone(store, filled, database, postgres_urls):
    await store.partitions.index_closed_months()
    statement = change_feed._READ
    with psycopg.connect(postgres_urls.app_url, autocommit=True, options=BY_KEY) as service:
        beyond, plan = buffers(service, statement, 10**9, 10**9 + 4096, 10**9, "{}", 501)
        within, _ = buffers(service, statement, 5000, 5100, 5000, "{}", 501)

    pages = database.execute(
        "SELECT sum(pg_relation_size(inhrelid)) / 8192 FROM pg_inherits"
        " WHERE inhparent = 'audit_event'::regclass"
    ).fetchone()[0]
    assert pages > 400
    assert "Seq Scan" not in plan
    assert "Bitmap Index Scan on audit_event_" in plan
    assert "Workers" not in plan
    assert beyond < 100
    # A range of the index is 128 pages.
    assert within < beyond + 2 * 128 + 10


async def test_months_that_are_over_are_completed_in_the_index_and_this_one_is_not(
    store, filled, database
):
    this_month = f"audit_event_{datetime.now(UTC):%Y_%m}_xid_idx"

    assert await store.partitions.index_closed_months() >= 1
    assert await store.partitions.index_closed_months() == 0

    # The owner finds the remaining ranges: only this month's, which still grows.
    look = "SELECT brin_summarize_new_values(%s::regclass)"
    assert database.execute(look, [this_month]).fetchone() == (1,)


async def test_indexes_of_partitions_are_summarized_while_they_grow(store, database):
    await store.partitions.make_next()
    rows = database.execute(
        """
        SELECT c.relname, 'autosummarize=on' = ANY (c.reloptions)
        FROM pg_inherits part JOIN pg_index i ON i.indrelid = part.inhrelid
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
        WHERE a.amname = 'brin' AND part.inhparent
            IN ('audit_event'::regclass, 'audit_appointment'::regclass)
        """
    ).fetchall()

    assert len(rows) > 10
    assert [name for name, is_on in rows if not is_on] == []


async def test_application_may_complete_indexes_only_through_the_function(postgres_urls, database):
    index = f"audit_event_{datetime.now(UTC):%Y_%m}_xid_idx"
    with (
        psycopg.connect(postgres_urls.app_url, autocommit=True) as service,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        service.execute("SELECT brin_summarize_new_values(%s::regclass)", [index])
    query = "SELECT has_function_privilege(%s, 'clinic_index_closed_months()', 'EXECUTE')"
    assert database.execute(query, [APP_ROLE]).fetchone() == (True,)
    assert database.execute(query, ["public"]).fetchone() == (False,)

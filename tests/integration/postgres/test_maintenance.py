"""Maintenance on PostgreSQL: leases by the database's clock, and partitions without the right to
create or drop tables."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from clinic.adapters.memory.idempotency_cache import NoCopies
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import APP_ROLE, MIGRATION_LOCK, migrate
from clinic.adapters.postgres.schema.rules import PARTITIONED
from clinic.adapters.postgres.store import PostgresStore
from clinic.domain.errors import TransactionAborted
from clinic.testing import FixedClock
from clinic.testing.builders import NOW, an_event, new_id, seed_clinic
from clinic.usecases.context import AnonymousContext
from clinic.usecases.maintenance.run import run_service
from clinic.usecases.maintenance.service import Resources, Service
from clinic.usecases.maintenance.services import SERVICES
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


def resources_of(store):
    # The worker's clock is years behind; the database's decides.
    context = AnonymousContext(store, Transactions(store.begin), FixedClock(NOW), new_id)
    return Resources(context, NoCopies())


@pytest.fixture
async def other_store(postgres_urls):
    store = PostgresStore(postgres_urls.app_url)
    await store.open()
    yield store
    await store.close()


def month(offset):
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 + offset
    return f"{months // 12}_{months % 12 + 1:02}"


def parts_of(database, table):
    rows = database.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table]
    ).fetchall()
    return {name for (name,) in rows}


async def made_by(store):
    made = []
    while name := await store.partitions.make_next():
        made.append(name)
    return made


# --- turns ------------------------------------------------------------------------------------


async def test_two_workers_run_each_service_once(store, other_store):
    both = [resources_of(each) for each in (store, other_store)]
    runs = [
        await asyncio.gather(*(run_service(service, each) for each in both for _ in range(3)))
        for service in SERVICES.values()
    ]

    assert [len([ran for ran in each if ran]) for each in runs] == [1] * len(SERVICES)


async def test_service_of_a_worker_that_was_killed_passes_on_when_its_lease_ends(
    store, other_store, database
):
    async def work(_):
        return {}

    service = Service("tidy", "", HOUR, work)
    turn = await store.maintenance.claim(
        "tidy", token=new_id(), period=HOUR, retry=HOUR, lease=timedelta(minutes=1)
    )
    assert turn is not None
    assert await run_service(service, resources_of(other_store)) is None

    database.execute("UPDATE maintenance_runs SET lease_until = lease_until - interval '61 s'")

    assert await run_service(service, resources_of(other_store)) is not None
    assert not await store.maintenance.renew(turn, lease=HOUR)


async def test_service_is_due_again_by_the_databases_clock(store, database):
    async def work(_):
        return {}

    service = Service("tidy", "", HOUR, work)
    assert await run_service(service, resources_of(store)) is not None

    database.execute("UPDATE maintenance_runs SET started_at = started_at - interval '59 min'")
    assert await run_service(service, resources_of(store)) is None
    database.execute("UPDATE maintenance_runs SET started_at = started_at - interval '2 min'")
    assert await run_service(service, resources_of(store)) is not None


async def test_asking_for_a_turn_that_is_not_due_writes_nothing(store, database):
    async def work(_):
        return {}

    service = Service("tidy", "", HOUR, work)
    await run_service(service, resources_of(store))
    look = "SELECT xmin::text, xmax::text, ctid::text FROM maintenance_runs"
    before = database.execute(look).fetchall()

    await run_service(service, resources_of(store))

    assert database.execute(look).fetchall() == before


# --- partitions -------------------------------------------------------------------------------


async def test_missing_partitions_are_made_nearest_first_and_as_a_migration_makes_them(
    store, database, postgres_urls
):
    for table in PARTITIONED:
        database.execute(f"DROP TABLE {table}_{month(1)}")

    made = await made_by(store)

    assert made[:3] == [f"{table}_{month(1)}" for table in PARTITIONED]
    for table in PARTITIONED:
        wanted = {f"{table}_{month(offset)}" for offset in range(-3, 25)} | {f"{table}_default"}
        assert wanted <= parts_of(database, table)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.execute(f"TRUNCATE audit_event_{month(1)}")
    # The same months by the same clock: a migration has none left to make.
    before = {table: parts_of(database, table) for table in PARTITIONED}
    migrate(postgres_urls.owner_url)
    assert {table: parts_of(database, table) for table in PARTITIONED} == before


async def test_events_go_into_the_partition_that_was_made(store, database):
    clinic = await seed_clinic(store)
    await made_by(store)
    year_month = month(7).replace("_", "-")
    database.execute(
        "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, reason,"
        " outcome, detail) SELECT %s, gen_random_uuid(), at, gen_random_uuid(), 'ADMIN', 'x', 'x',"
        " 'x', 'x', '{}' FROM unnest(%s::timestamptz[]) at",
        [clinic.id, [f"{year_month}-01Z", f"{year_month}-28 23:59:59Z"]],
    )

    assert database.execute(f"SELECT count(*) FROM audit_event_{month(7)}").fetchone() == (2,)


async def test_month_with_rows_in_the_default_partition_is_left_out(store, database):
    await made_by(store)
    clinic = await seed_clinic(store)
    database.execute(f"DROP TABLE audit_event_{month(1)}, audit_event_{month(2)}")
    late = datetime.strptime(f"{month(1)}_10", "%Y_%m_%d").replace(tzinfo=UTC)
    await store.audit_log.append([replace(an_event(clinic), at=late)])

    assert await made_by(store) == [f"audit_event_{month(2)}"]


async def test_migration_under_way_is_left_alone(store, database):
    database.execute(f"DROP TABLE audit_event_{month(1)}")
    database.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])

    assert await store.partitions.make_next() is None

    database.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    assert await store.partitions.make_next() == f"audit_event_{month(1)}"


async def test_making_a_partition_gives_way_to_whoever_reads_the_trail(
    store, database, postgres_urls
):
    database.execute(f"DROP TABLE audit_event_{month(1)}")
    with psycopg.connect(postgres_urls.app_url) as reading:
        reading.execute("SELECT count(*) FROM audit_event")

        with pytest.raises(TransactionAborted):
            await store.partitions.make_next()

    assert await store.partitions.make_next() == f"audit_event_{month(1)}"


async def test_application_makes_and_drops_no_table_itself(postgres_urls, database):
    database.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {APP_ROLE}, PUBLIC")
    database.execute(f"DROP TABLE audit_event_{month(1)}")
    part = f"audit_event_{month(1)}"
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        made = app.execute("SELECT clinic_make_next_partition()").fetchone()
        assert made == (part,)
        for statement in (
            "SELECT clinic_attach_partition('audit_event', 'mine', 'DEFAULT')",
            f"DROP TABLE {part}",
            f"ALTER TABLE audit_event DETACH PARTITION {part}",
            f"DELETE FROM {part}",
            f"TRUNCATE {part}",
            f"SELECT FROM {part}",
            "CREATE OR REPLACE FUNCTION clinic_make_next_partition() RETURNS text"
            " LANGUAGE sql AS 'SELECT NULL'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)


async def test_functions_in_a_callers_own_schema_are_not_called(postgres_urls, database):
    """A function with the owner's rights does not resolve names to its caller's objects."""
    database.execute(f"DROP TABLE audit_event_{month(1)}")
    database.execute(f"GRANT TEMPORARY ON DATABASE {postgres_urls.name} TO {APP_ROLE}")
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        app.execute(
            "CREATE FUNCTION pg_temp.clinic_attach_partition(text, text, text) RETURNS void"
            " LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$"
        )
        app.execute("CREATE TEMP TABLE audit_event_default (at timestamptz)")
        app.execute("SET search_path = pg_temp, public")
        made = app.execute("SELECT public.clinic_make_next_partition()").fetchone()

    assert made == (f"audit_event_{month(1)}",)


@pytest.mark.parametrize("role", ["PUBLIC", "clinic_sealer"])
async def test_only_the_application_may_have_partitions_made(database, role):
    query = "SELECT has_function_privilege(%s, 'clinic_make_next_partition()', 'EXECUTE')"

    assert database.execute(query, [APP_ROLE]).fetchone() == (True,)
    assert database.execute(query, [role.lower()]).fetchone() == (False,)

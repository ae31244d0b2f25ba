"""The hot statements against the tables they use, and what the planner makes of them."""

import re
from datetime import timedelta
from itertools import product

import psycopg
import pytest
from psycopg.rows import scalar_row

from clinic.adapters.postgres import PostgresStore, hot
from clinic.adapters.postgres.connecting import Limits, hot_pool
from clinic.adapters.postgres.tables import metadata
from clinic.testing.builders import MORNING, a_slot, seed_slots, seed_world

LISTINGS = [
    hot.free_slots(doctor=doctor, specialty=specialty, after=after, backwards=backwards)
    for doctor, specialty, after, backwards in product((False, True), repeat=4)
]
LISTINGS.append(hot.schedule(["a.doctor_id = $3", hot.WITHIN_HORIZON.format(4)]))
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)")


@pytest.mark.parametrize("statement", [*hot.PREPARED, hot.KEEP_ANSWER, *LISTINGS])
def test_statement_names_columns_that_exist(owner: psycopg.Connection, statement: str) -> None:
    owner.execute(f"PREPARE hot AS {statement}".encode())
    owner.execute("DEALLOCATE hot")


def test_booking_writes_every_column_that_has_no_default() -> None:
    written = {
        table: {column.strip() for column in columns.split(",")}
        for table, columns in _INSERT.findall(hot.TAKE_AND_ANSWER)
    }

    required = {
        table: {
            column.name
            for column in metadata.tables[table].c
            if not column.nullable and column.server_default is None
        }
        for table in written
    }
    known = {table: set(metadata.tables[table].c.keys()) for table in written}
    assert sorted(written) == [
        "appointments",
        "audit_appointment",
        "idempotency_keys",
        "notification_outbox",
    ]
    assert {table for table in written if not required[table] <= written[table]} == set()
    assert {table for table in written if not written[table] <= known[table]} == set()


def test_booking_takes_a_slot_only_while_it_is_open_and_free() -> None:
    for statement in (hot.TAKE, hot.TAKE_AND_ANSWER):
        assert "UPDATE slots SET taken = true" in statement
        assert "AND state = 'OPEN' AND NOT taken" in statement


def test_booking_keeps_to_what_every_engine_understands() -> None:
    for statement in hot.PREPARED:
        assert "ON CONFLICT" not in statement
        assert not re.search(r"CASE \w", statement.replace("CASE WHEN", ""))
        assert not re.search(r"\b(now|random|clock_timestamp|gen_random_uuid)\(", statement)


@pytest.mark.anyio
async def test_plan_made_while_a_table_is_empty_does_not_read_all_of_it(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        # The planner takes a table that was found empty to stay so.
        owner.execute("ANALYZE")
    pool = hot_pool(postgres_urls.app_url, 1, Limits())
    await pool.open(5)
    connection = await pool.take()
    try:
        await connection.fetch("SET plan_cache_mode = force_generic_plan", ())
        await connection.fetch(f"PREPARE look AS {hot.LOOK}", ())
        rows = await connection.fetch(f"EXPLAIN EXECUTE look({', '.join(['NULL'] * 6)})", ())
    finally:
        await pool.give_back(connection)
        await pool.close()

    plan = "\n".join(line for (line,) in rows)
    assert "Index Scan using idempotency_keys_pkey" in plan
    assert "Hash" not in plan
    assert "Seq Scan" not in plan
    assert "Merge" not in plan


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("whose", "value", "index"),
    [
        ("", None, "slots_free_idx"),
        ("doctor", "doctor", "slots_free_by_doctor_idx"),
        ("specialty", "GENERAL", "slots_free_by_specialty_idx"),
    ],
)
async def test_free_slots_are_read_from_their_own_index(
    store: PostgresStore, postgres_urls, whose: str, value: str | None, index: str
) -> None:
    world = await seed_world(store, slots=0)
    step = timedelta(minutes=30)
    for doctor in (world.doctor, world.colleague):
        await seed_slots(store, *(a_slot(doctor, MORNING + step * place) for place in range(2000)))
    chosen = world.doctor.id if value == "doctor" else value
    listing = hot.free_slots(
        doctor=whose == "doctor", specialty=whose == "specialty", after=False, backwards=False
    )
    parameters = [world.clinic.id, MORNING, MORNING + timedelta(days=14), 21]
    parameters += [chosen] if chosen is not None else []

    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE slots, users")
        cursor = psycopg.RawCursor(owner, row_factory=scalar_row)
        plan = "\n".join(cursor.execute(f"EXPLAIN {listing}".encode(), parameters).fetchall())

    assert f"Index Only Scan using {index}" in plan
    assert "Sort" not in plan.split("->  Limit")[-1]

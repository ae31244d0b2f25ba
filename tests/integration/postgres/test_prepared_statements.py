"""Prepared statements against the tables they use, and their plans."""

import re
from datetime import timedelta
from itertools import product

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.appointments.booking_facts import LOAD_FACTS
from clinic.adapters.postgres.appointments.booking_statement import (
    RESERVE,
    RESERVE_LONG,
    RESERVE_MANY,
    RESERVE_MANY_LONG,
)
from clinic.adapters.postgres.appointments.statements import (
    APPOINTMENT,
    OCCUPYING_APPOINTMENTS,
    WITHIN_HORIZON,
    schedule,
)
from clinic.adapters.postgres.calendar.statements import (
    GLANCE,
    NEAREST_OF_DOCTOR,
    NEAREST_OF_SPECIALTY,
    free_slots,
)
from clinic.adapters.postgres.engine.connections import ConnectionLimits, prepared_pool
from clinic.adapters.postgres.idempotency.answers import FIND_ANSWER, KEEP_ANSWER
from clinic.adapters.postgres.people.repository import FIND_CLINIC
from clinic.testing.builders import MORNING, a_slot, seed_slots, seed_world

PREPARED = [
    LOAD_FACTS,
    NEAREST_OF_DOCTOR,
    NEAREST_OF_SPECIALTY,
    GLANCE,
    FIND_CLINIC,
    FIND_ANSWER,
    APPOINTMENT,
    OCCUPYING_APPOINTMENTS,
    *(RESERVATIONS := (RESERVE, RESERVE_MANY, RESERVE_LONG, RESERVE_MANY_LONG)),
]
LISTINGS = [
    free_slots(
        doctor=doctor, specialty=specialty, location=location, after=after, backwards=backwards
    )
    for doctor, specialty, location, after, backwards in product((False, True), repeat=5)
]
LISTINGS.append(schedule(["a.doctor_id = $3", WITHIN_HORIZON.format(4)]))


def _free_slots(*, doctor: bool = False, specialty: bool = False, after: bool = False) -> str:
    return free_slots(
        doctor=doctor, specialty=specialty, location=False, after=after, backwards=after
    )


@pytest.mark.parametrize("statement", [*PREPARED, KEEP_ANSWER, *LISTINGS])
def test_statement_names_columns_that_exist(owner: psycopg.Connection, statement: str) -> None:
    owner.execute(f"PREPARE one AS {statement}".encode())
    owner.execute("DEALLOCATE one")


@pytest.mark.anyio
async def test_plan_made_while_a_table_is_empty_does_not_read_all_of_it(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        # The planner assumes that a table found empty stays empty.
        owner.execute("ANALYZE")
    plan = await _plan_kept(postgres_urls.app_url, LOAD_FACTS)

    assert "Index Scan using idempotency_keys_pkey" in plan
    assert "Hash" not in plan
    assert "Seq Scan" not in plan
    assert "Merge" not in plan


FILL = """
SET session_replication_role = replica;
INSERT INTO appointments (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at,
                          busy_from, busy_until, type, status, version, schedule_version, status_by,
                          created_at, updated_at)
SELECT '00000000-0000-7000-8000-000000000001', id, id, id, id, at, at + interval '20 min', at,
       at + interval '20 min', 'Visit', 'BOOKED', 1, 1, id, at, at
FROM (SELECT gen_random_uuid() AS id, now() + n * interval '1 min' AS at
      FROM generate_series(1, 3000) n) one
"""


@pytest.mark.anyio
async def test_open_appointments_of_one_patient_are_read_whatever_the_table_was_found_to_be(
    postgres_urls, postgres_server
) -> None:
    """An index by time would make each booking read everybody's upcoming appointments."""
    states = ("new", "ANALYZE appointments", FILL, "ANALYZE appointments")
    found = []
    with psycopg.connect(
        postgres_server.url(postgres_urls.name, "superuser"), autocommit=True
    ) as owner:
        for state in states:
            if state != "new":
                owner.execute(state.encode())
            plan = await _plan_kept(postgres_urls.app_url, LOAD_FACTS)
            found.append(re.search(r"on appointments o.*\n *Index Cond: .*patient_id", plan))

    assert None not in found
    assert len(found) == len(states)


@pytest.mark.anyio
@pytest.mark.parametrize("statement", RESERVATIONS)
async def test_booking_finds_slots_by_key_even_if_planned_while_there_are_none(
    postgres_urls, statement: str
) -> None:
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE")
    plan = await _plan_kept(postgres_urls.app_url, statement)

    # An index without a condition is read from end to end.
    found_by = re.findall(r"(\w+ Scan)\b.* on slots\b.*\n *(\w+ Cond)?", plan)
    assert ("Index Scan", "Index Cond") in found_by
    assert set(found_by) <= {("Index Scan", "Index Cond"), ("Tid Scan", "TID Cond")}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("statement", "scan"),
    [
        (_free_slots(), "using free_slots_starts_idx"),
        (_free_slots(after=True), "Backward using free_slots_starts_idx"),
        (_free_slots(doctor=True), "using free_slots_pkey"),
        (_free_slots(doctor=True, after=True), "Backward using free_slots_pkey"),
        (_free_slots(specialty=True), "using free_slots_specialty_idx"),
        (GLANCE, "using free_slots_pkey"),
    ],
)
async def test_free_slots_are_read_from_their_own_index(
    store: PostgresStore, postgres_urls, statement: str, scan: str
) -> None:
    world = await seed_world(store, slots=0)
    step = timedelta(minutes=30)
    for doctor in (world.doctor, world.colleague):
        await seed_slots(store, *(a_slot(doctor, MORNING + step * place) for place in range(2000)))
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE free_slots, users, doctors_profiles")

    plan = await _plan_kept(postgres_urls.app_url, statement)

    assert f"Index Only Scan {scan}" in plan
    assert "Sort" not in plan.split("->  Limit")[-1]
    assert "Hash" not in plan


async def _plan_kept(url: str, statement: str) -> str:
    """Return the generic plan of a prepared connection, which is used for all later values."""
    pool = prepared_pool(url, 1, ConnectionLimits())
    await pool.open(5)
    connection = await pool.acquire()
    try:
        await connection.fetch(f"PREPARE kept AS {statement}", ())
        number = max(int(found) for found in re.findall(r"\$(\d+)", statement))
        rows = await connection.fetch(f"EXPLAIN EXECUTE kept({', '.join(['NULL'] * number)})", ())
    finally:
        await pool.release(connection)
        await pool.close()
    plan = "\n".join(line for (line,) in rows)
    # A plan for these particular values would have found that nothing equals NULL.
    assert "One-Time Filter: false" not in plan
    return plan

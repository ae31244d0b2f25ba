"""Fills a migrated database with a world, in SQL; slow constraints are added after the rows."""

from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg import sql

from clinic.devtools.bench.world import (
    CLINIC_ID,
    DOCTOR_IDS,
    HORIZON_DAYS,
    OFFICE_ID,
    OFFICES,
    PATIENT_IDS,
    SESSION_IDS,
    SLOT_IDS,
    SLOT_MIN,
    SLOTS_A_DAY,
    SPECIALTIES,
    ZONE,
    World,
    office_id,
)

_FILLED_TABLES = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
"""


def sql_id(prefix: str, number: str) -> str:
    """Return the SQL for the id with the number that this expression gives."""
    return f"('{prefix}' || lpad(to_hex(({number})::bigint), 12, '0'))::uuid"


_PEOPLE = f"""
INSERT INTO clinics (id, name, time_zone, notice_min, horizon_days, cancel_notice_min, hold_min,
                     reminder_leads_min)
VALUES ('{CLINIC_ID}', 'Bench', '{ZONE}', 60, {HORIZON_DAYS}, 120, 10, '{{1440,120}}');
INSERT INTO users (id, name, email, role)
SELECT {sql_id(DOCTOR_IDS, "n")}, 'Dr Number ' || n, 'doctor' || n || '@example.org', 'DOCTOR'
FROM generate_series(0, %(doctors)s - 1) n;
INSERT INTO doctors_profiles (clinic_id, user_id, specialty)
SELECT '{CLINIC_ID}', {sql_id(DOCTOR_IDS, "n")}, 'Specialty ' || n %% {SPECIALTIES}
FROM generate_series(0, %(doctors)s - 1) n;
INSERT INTO users (id, name, email, role)
SELECT {sql_id(PATIENT_IDS, "n")}, 'Patient Number ' || n, 'patient' || n || '@example.org',
       'PATIENT'
FROM generate_series(0, %(patients)s - 1) n;
INSERT INTO patients_profiles (clinic_id, user_id)
SELECT '{CLINIC_ID}', {sql_id(PATIENT_IDS, "n")} FROM generate_series(0, %(patients)s - 1) n;
"""

_OFFICE = f"""
WITH u AS (
    INSERT INTO users (id, name, email, role)
    SELECT id, 'Front Desk', 'office' || n || '@example.org', 'RECEPTIONIST'
    FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS one (id, n) RETURNING id
),
p AS (INSERT INTO staff_profiles (clinic_id, user_id) SELECT '{CLINIC_ID}', id FROM u)
INSERT INTO sessions (clinic_id, id, user_id, role, token_hash, created_at, expires_at,
                      last_seen_at)
SELECT '{CLINIC_ID}', id, id, 'RECEPTIONIST', sha256(uuid_send(id)), now(),
       now() + interval '12 hours', now()
FROM u
"""

_SLOTS = f"""
INSERT INTO slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state, calendar_lane)
SELECT '{CLINIC_ID}', {sql_id(SLOT_IDS, "d * %(times)s + t")}, {sql_id(DOCTOR_IDS, "d")},
       'Specialty ' || d %% {SPECIALTIES}, at, at + interval '{SLOT_MIN} minutes', 'OPEN', 1
FROM generate_series(0, %(doctors)s - 1) d, generate_series(0, %(times)s - 1) t,
     LATERAL (SELECT %(first)s::timestamptz + t / {SLOTS_A_DAY} * interval '1 day'
                     + t %% {SLOTS_A_DAY} * interval '{SLOT_MIN} minutes') AS x (at)
"""

_FREE_SLOTS = """
INSERT INTO free_slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at FROM slots
"""

# Constraints that are slower to maintain row by row than to add at the end, and those that depend
# on them. Not the one that keeps slots from overlapping: added at the end, its index has full
# pages, each of which splits at its first booking, unlike where slots were opened day by day.
_CONSTRAINTS = """
SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid), contype::text
FROM pg_constraint
WHERE (conrelid IN ('slots'::regclass, 'free_slots'::regclass) AND contype NOT IN ('n', 'x'))
   OR confrelid = 'slots'::regclass
ORDER BY contype = 'f' DESC
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('slots'::regclass, 'free_slots'::regclass) AND NOT indisexclusion
"""


def fill(owner_url: str, world: World) -> None:
    """Fill a migrated database that is still empty, and prepare it for measurements."""
    with psycopg.connect(owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor) as db:
        db.execute("SET maintenance_work_mem = '512MB'")
        numbers = {
            "doctors": world.doctors,
            "patients": world.patients,
            "times": world.times,
            "first": world.first_day,
        }
        db.execute(_PEOPLE, numbers)
        _fill_sessions(db, world)
        db.execute(_OFFICE, {"ids": [office_id(number) for number in range(OFFICES)]})
        constraints = db.execute(_CONSTRAINTS).fetchall()
        for name, table, _, _ in constraints:
            db.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        indexes = db.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        db.execute("ALTER TABLE slots DISABLE TRIGGER USER")
        db.execute(_SLOTS, numbers)
        db.execute(_FREE_SLOTS)
        db.execute("ALTER TABLE slots ENABLE TRIGGER USER")
        _restore(db, constraints, [definition for _, definition in indexes])
        # Empty tables are not analyzed, as after an installation: the planner assumes some rows
        # then, but none once the statistics say that there are none.
        found = db.execute(_FILLED_TABLES).fetchall()
        tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
        db.execute(sql.SQL("VACUUM (FREEZE, ANALYZE) {}").format(tables))


def _restore(
    db: psycopg.Connection, constraints: Sequence[tuple[str, ...]], indexes: Sequence[str]
) -> None:
    for definition in indexes:
        db.execute(definition)
    # Foreign keys last: they refer to keys that are added here.
    for name, table, definition, kind in reversed(constraints):
        if kind != "f":
            db.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for name, table, definition, kind in constraints:
        if kind == "f":
            db.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


def _fill_sessions(db: psycopg.Connection, world: World) -> None:
    """Sign every patient in; any further columns of a session keep their defaults."""
    columns = {
        "clinic_id": f"'{CLINIC_ID}'",
        "id": sql_id(SESSION_IDS, "n"),
        "user_id": sql_id(PATIENT_IDS, "n"),
        "role": "'PATIENT'",
        "kind": "'bearer'",
        "token_hash": "sha256(int8send(n))",
        "created_at": "now()",
        "expires_at": "now() + interval '12 hours'",
        "last_seen_at": "now()",
    }
    there = {
        name
        for (name,) in db.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'sessions'::regclass AND attnum > 0"
        )
    }
    used = {name: value for name, value in columns.items() if name in there}
    db.execute(
        f"INSERT INTO sessions ({', '.join(used)}) SELECT {', '.join(used.values())}"
        f" FROM generate_series(0::bigint, {world.patients - 1}) n"
    )


_BOOKED_DAYS = f"""
WITH wanted AS (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY starts_at::date ORDER BY starts_at, id) AS place
        FROM slots
        WHERE clinic_id = '{CLINIC_ID}' AND starts_at >= %(start)s AND starts_at < %(end)s
          AND ('x' || right(id::text, 6))::bit(24)::int %% %(one_in)s = 0
    ) placed WHERE place <= %(a_day)s
),
taken AS (
    UPDATE slots SET taken = true
    WHERE clinic_id = '{CLINIC_ID}' AND id IN (SELECT id FROM wanted) RETURNING *
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY starts_at ORDER BY id) - 1 AS n FROM taken
)
INSERT INTO appointments (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, type,
                          status, version, schedule_version, status_by, created_at, updated_at)
SELECT clinic_id, uuidv7(), id, doctor_id, {sql_id(PATIENT_IDS, "n")}, starts_at, ends_at,
       'Consultation', 'BOOKED', 1, 0, '{OFFICE_ID}', now(), now()
FROM numbered
"""


def book_days(
    owner_url: str, start: datetime, end: datetime, *, one_in: int = 1, a_day: int = 1_000_000
) -> None:
    """Book one in `one_in` slots from `start` to `end`, at most `a_day` on each day."""
    with psycopg.connect(owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor) as db:
        db.execute(_BOOKED_DAYS, {"start": start, "end": end, "one_in": one_in, "a_day": a_day})
        db.execute("VACUUM ANALYZE slots, free_slots, appointments")


# If memory is short, what is loaded first is evicted first. So load indexes that no booking uses,
# then keys, then tables.
_LOAD = """
SELECT pg_prewarm(oid) FROM (
    SELECT c.oid FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace
      AND pg_relation_size(c.oid) > 0
    ORDER BY i.indisexclusion DESC NULLS LAST, i.indisunique NULLS LAST, c.relname
) ordered
"""


def settle(superuser_url: str, url: str) -> None:
    """Bring the database of this URL, just filled, into the state of one that has been in use: in
    the server's memory, as far as it fits, and with nothing left to write out."""
    with psycopg.connect(superuser_url, dbname=name_of(url), autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        db.execute(_LOAD)
    checkpoint(superuser_url)


def name_of(url: str) -> str:
    """Return the name of the database of this URL."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def checkpoint(superuser_url: str) -> None:
    """Write everything out now, so that it does not happen during a measurement."""
    with psycopg.connect(superuser_url, autocommit=True) as db:
        db.execute("CHECKPOINT")


def count(url: str, table: str) -> int:
    """Return how many rows a table has."""
    with psycopg.connect(url) as db:
        found = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


def last_baseline_booking(url: str) -> int:
    """Return the highest number of a booking that pgbench has made."""
    query = "SELECT max(substr(key, 10)::bigint) FROM idempotency_keys WHERE key LIKE 'baseline-%'"
    with psycopg.connect(url) as db:
        found = db.execute(query).fetchone()
    assert found is not None
    return int(found[0])

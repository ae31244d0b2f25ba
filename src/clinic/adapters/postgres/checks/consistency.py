"""Looks for what no constraint can refuse: missing constraints, stale flags, missing partitions."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from clinic.adapters.postgres.calendar.taken import IS_TAKEN
from clinic.adapters.postgres.checks.check_failure import CheckFailure as CheckFailure
from clinic.adapters.postgres.checks.zones import zones_apart
from clinic.adapters.postgres.engine.connections import connect_blocking
from clinic.adapters.postgres.engine.errors import translated
from clinic.adapters.postgres.migrations.partitions import missing_months
from clinic.adapters.postgres.migrations.rights import APP_ROLE
from clinic.adapters.postgres.schema import metadata
from clinic.adapters.postgres.schema.rules import APPEND_ONLY, ERASABLE, PARTITIONED, TRIGGERS

#: for how many months beyond this one partitions must exist
MONTHS_AHEAD = 2
NAMED_MAX = 10
CLOCKS_APART_MAX_S = 5.0
ERASED_WITHIN_MIN = 60
STATEMENT_TIMEOUT_MS = 60_000


def check_consistency(url: str, now: datetime) -> list[CheckFailure]:
    """Return what is wrong, worst first; empty when all is well.

    Reads only. `url` may be the app's or the owner's. Raises TemporaryFailure.
    """
    with (
        translated(),
        connect_blocking(url, statement_timeout_ms=STATEMENT_TIMEOUT_MS) as connection,
    ):
        connection.read_only = True
        return [
            *_stale_flags(connection),
            *_wrong_lanes(connection),
            *_stale_resources(connection),
            *_stale_listings(connection),
            *_stale_names(connection),
            *_stale_disabled_patients(connection),
            *_missing_constraints(connection),
            *_missing_triggers(connection),
            *_writable_trails(connection),
            *_unindexed_keys(connection),
            *_missing_partitions(connection, now),
            *_unfinished_erasures(connection),
            *_clock_offset(connection),
            *zones_apart(connection, now),
        ]


def _clock_offset(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    """Compare the clocks: the web servers' decides what may be booked, the database's when a
    message is due."""
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    ahead_s = float(row[0]) - time.time()
    if abs(ahead_s) > CLOCKS_APART_MAX_S:
        yield CheckFailure(
            f"the database's clock is {ahead_s:+.0f} s from this machine's: bookings and messages"
            " go by different times",
            "let NTP set both clocks",
        )


def _unfinished_erasures(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT count(*) FROM erasures
        WHERE erased_at < clock_timestamp() - make_interval(mins => %s)
    """
    row = connection.execute(query, [ERASED_WITHIN_MIN]).fetchone()
    assert row is not None
    if row[0]:
        yield CheckFailure(
            f"erasures of patients that are not finished: {row[0]}; copies of answers about them"
            " may still be in Valkey",
            "run `clinic worker` with the servers' CLINIC_BROKER_URL, and see that it answers",
        )


def _stale_flags(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = f"""
        SELECT s.id FROM slots s
        WHERE s.taken <> CASE WHEN s.state = 'RETIRED'
            THEN {IS_TAKEN[True]} ELSE {IS_TAKEN[False]} END
        ORDER BY s.clinic_id, s.id LIMIT %s
    """
    found = connection.execute(query.encode(), [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"slots.taken differs from the appointments of {_named(found)}",
            "somebody wrote past the service; clinic slots open sets those ahead right, of one"
            " doctor or of all",
        )


def _wrong_lanes(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT id FROM slots
        WHERE calendar_lane IS DISTINCT FROM CASE WHEN state <> 'RETIRED' THEN lane END
        ORDER BY clinic_id, id LIMIT %s
    """
    found = connection.execute(query, [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"slots.calendar_lane differs from the lane, so nothing keeps {_named(found)} apart"
            " from other slots",
            "somebody wrote while the triggers of slots were off; retire those that overlap another"
            " slot, then as the owner:"
            " UPDATE slots SET lane = lane WHERE calendar_lane IS DISTINCT FROM"
            " CASE WHEN state <> 'RETIRED' THEN lane END",
        )


def _stale_resources(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT DISTINCT h.appointment_id
        FROM appointment_resources h
        JOIN appointments a ON a.clinic_id = h.clinic_id AND a.id = h.appointment_id
        WHERE (h.busy_from, h.busy_until, h.occupying, h.occasion_id) <>
            (a.busy_from, a.busy_until, a.status NOT IN ('CANCELLED', 'EXPIRED'),
             clinic_occasion(a.doctor_id, a.starts_at, a.type_id))
        ORDER BY h.appointment_id LIMIT %s
    """
    found = connection.execute(query, [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"appointment_resources differs from the times of the appointments {_named(found)}, so"
            " nothing keeps others out of their rooms",
            "somebody wrote while the triggers of appointments were off; as the owner:"
            " UPDATE appointment_resources h SET busy_from = a.busy_from,"
            " busy_until = a.busy_until, occupying = a.status NOT IN ('CANCELLED', 'EXPIRED'),"
            " occasion_id = clinic_occasion(a.doctor_id, a.starts_at, a.type_id)"
            " FROM appointments a WHERE a.clinic_id = h.clinic_id AND a.id = h.appointment_id; of"
            " two appointments that this finds in one room, move one first",
        )


def _stale_listings(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT id FROM (
            SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id,
                   true AS open
            FROM slots WHERE state = 'OPEN' AND NOT taken
        ) s
        FULL JOIN (SELECT *, location_id AS listed_at, true AS listed FROM free_slots) f
            USING (clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane)
        WHERE open IS NULL OR listed IS NULL OR s.location_id IS DISTINCT FROM listed_at
        GROUP BY clinic_id, id ORDER BY clinic_id, id LIMIT %s
    """
    found = connection.execute(query, [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"free_slots differs from the open and free slots: {_named(found)}",
            "somebody wrote while the triggers of slots were off; as the owner, in one transaction:"
            " LOCK TABLE slots IN SHARE ROW EXCLUSIVE MODE; DELETE FROM free_slots;"
            " INSERT INTO free_slots"
            " (clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id)"
            " SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id"
            " FROM slots WHERE state = 'OPEN' AND NOT taken",
        )


def _stale_names(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT DISTINCT p.user_id FROM doctors_profiles p JOIN users u ON u.id = p.user_id
        WHERE p.name <> u.name ORDER BY p.user_id LIMIT %s
    """
    found = connection.execute(query, [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"doctors_profiles.name differs from the names of the users {_named(found)}",
            "somebody wrote while the triggers of users were off; as the owner:"
            " UPDATE doctors_profiles SET name = ''",
        )


def _stale_disabled_patients(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    query = """
        SELECT DISTINCT p.user_id FROM patients_profiles p JOIN users u ON u.id = p.user_id
        WHERE (p.disabled_at IS NULL) <> (u.disabled_at IS NULL) ORDER BY p.user_id LIMIT %s
    """
    found = connection.execute(query, [NAMED_MAX]).fetchall()
    if found:
        yield CheckFailure(
            f"patients_profiles.disabled_at differs from that of the users {_named(found)}",
            "somebody wrote while the triggers of users were off; as the owner:"
            " UPDATE patients_profiles SET disabled_at = NULL",
        )


def _named(found: Sequence[tuple[UUID]]) -> str:
    more = " and perhaps more" if len(found) == NAMED_MAX else ""
    return ", ".join(str(one) for (one,) in found) + more


def _missing_triggers(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    # By table, too: partitions have triggers of the same names.
    query = """
        SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND t.tgenabled IN ('O', 'A')
    """
    present = set(connection.execute(query))
    for table, triggers in TRIGGERS.items():
        for trigger in triggers:
            if (table, trigger) not in present:
                yield CheckFailure(
                    f"trigger {trigger} on {table} is missing or off",
                    f"ALTER TABLE {table} ENABLE TRIGGER {trigger}; if it is gone, restore it from"
                    " the migration that made it",
                )


def _missing_constraints(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    """Find constraints and indexes that the schema names and the database lacks."""
    query = """
        SELECT conname FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND convalidated
        UNION
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND i.indisvalid AND i.indisready
    """
    present = {name for (name,) in connection.execute(query)}
    for table in metadata.tables.values():
        names = [str(constraint.name) for constraint in table.constraints]
        names += [str(index.name) for index in table.indexes]
        for name in sorted(names):
            if name not in present:
                yield CheckFailure(
                    f"{name} on {table.name} is missing or not valid",
                    "run clinic migrate; an index that a failed migration left invalid must be"
                    " dropped first",
                )
    query = """
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND NOT i.indisvalid
    """
    for (name,) in connection.execute(query):
        yield CheckFailure(f"index {name} is invalid", f"DROP INDEX CONCURRENTLY {name}")


def _writable_trails(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    """Find trails that the application's role could change."""
    query = """
        SELECT c.relname FROM pg_roles r, pg_class c
        WHERE r.rolname = %s AND c.relnamespace = current_schema()::regnamespace
          AND c.relname ~ %s AND c.relkind IN ('r', 'p')
          AND (has_table_privilege(r.oid, c.oid, 'UPDATE, DELETE, TRUNCATE') OR EXISTS (
              SELECT FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attname <> ALL (%s) AND has_column_privilege(r.oid, c.oid, a.attnum, 'UPDATE')
          ))
    """
    erasable = [text + suffix for text in ERASABLE.values() for suffix in ("", "_salt")]
    trails = rf"^({'|'.join(APPEND_ONLY)})(_\d{{4}}_\d\d|_default)?$"
    for (name,) in connection.execute(query, [APP_ROLE, trails, erasable]):
        yield CheckFailure(
            f"{APP_ROLE} may change {name}, which is append-only",
            f"REVOKE UPDATE, DELETE, TRUNCATE ON {name} FROM {APP_ROLE}; it must not own it either",
        )


UNINDEXED_KEYS = """
    SELECT k.conname, k.conrelid::regclass::text
    FROM pg_constraint k
    JOIN pg_constraint p ON p.conrelid = k.confrelid AND p.contype = 'p',
    -- The columns that refer to the primary key, when the key has all of them.
    LATERAL (
        SELECT array_agg(k.conkey[n]) AS primary_key FROM generate_subscripts(k.conkey, 1) n
        WHERE k.confkey[n] = ANY (p.conkey) AND k.confkey @> p.conkey
    ) whole
    WHERE k.contype = 'f' AND k.conparentid = 0
      AND k.connamespace = current_schema()::regnamespace
      -- Locations are never deleted, and none gets another id, so nothing looks for what is there.
      AND k.confrelid <> 'locations'::regclass
      AND NOT EXISTS (
        SELECT FROM pg_index i, (VALUES (k.conkey), (whole.primary_key)) enough (columns)
        WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
          -- The index's first columns are of the key: three are enough to find few rows.
          AND columns @> (i.indkey::int2[])[0 : least(cardinality(columns), 3) - 1]
          AND i.indnkeyatts >= least(cardinality(columns), 3)
      )
    ORDER BY k.conname
"""


def _unindexed_keys(connection: psycopg.Connection) -> Iterator[CheckFailure]:
    for name, table in connection.execute(UNINDEXED_KEYS):
        yield CheckFailure(
            f"foreign key {name} of {table} has no index of its own",
            "add a migration with CREATE INDEX CONCURRENTLY that leads with its columns",
        )


def _missing_partitions(connection: psycopg.Connection, now: datetime) -> Iterator[CheckFailure]:
    rows = connection.execute("SELECT inhrelid::regclass::text FROM pg_inherits")
    present = {name for (name,) in rows}
    for table in PARTITIONED:
        for name in missing_months(present, table, now, MONTHS_AHEAD):
            yield CheckFailure(f"{table} has no partition {name}", "run clinic migrate")
        if f"{table}_default" not in present:
            yield CheckFailure(f"{table} has no default partition", "run clinic migrate")

"""The monthly partitions of the trails, made ahead of time."""

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from clinic.adapters.postgres.migrations.schema import quoted_schema
from clinic.adapters.postgres.schema.rules import PARTITIONED

MONTHS_BACK, MONTHS_AHEAD = 3, 24
#: advisory lock of migrations; any number will do, as long as every release uses the same one
MIGRATION_LOCK = 0x436C696E6963
#: how long making a partition may block others while the service runs
LOCK_TIMEOUT_MS = 1_000
_DIVIDED = ", ".join(f"('{table}', '{column}')" for table, column in PARTITIONED.items())


def ensure_partitions(connection: Connection, now: datetime) -> list[str]:
    """Make the missing partitions around `now` and return their names.

    They span MONTHS_BACK before its month to MONTHS_AHEAD after it; a default partition takes the
    rest, so that a missing month never refuses a booking. `connection` is the owner's.
    """
    made = []
    present = _partitions(connection)
    for table in PARTITIONED:
        names = {_name(table, first): (first, _month(first, 1)) for first in _months(now)}
        for name, (first, beyond) in names.items():
            if name not in present:
                _attach(connection, table, name, f"FROM ('{first:%F}Z') TO ('{beyond:%F}Z')")
                made.append(name)
        default = f"{table}_default"
        if default not in present:
            _attach(connection, table, default, None)
            made.append(default)
    return made


def missing_months(present: set[str], table: str, now: datetime, months_ahead: int) -> list[str]:
    """Return the names of the partitions that `table` lacks for this month and the next ones."""
    wanted = [_name(table, _month(now, offset)) for offset in range(months_ahead + 1)]
    return [name for name in wanted if name not in present]


def make_functions(connection: Connection) -> None:
    """Make or replace the functions that maintain partitions. `connection` is the owner's."""
    schema = quoted_schema(connection)
    for function in (_ATTACH, _MAKE_NEXT, _INDEX_CLOSED):
        connection.execute(text(function.format(schema=schema)))


def _attach(connection: Connection, table: str, name: str, bounds: str | None) -> None:
    values = f"FOR VALUES {bounds}" if bounds else "DEFAULT"
    connection.execute(
        text("SELECT clinic_attach_partition(:table, :name, :values)"),
        {"table": table, "name": name, "values": values},
    )


# Makes a table like the partitioned one and attaches it. CREATE TABLE … PARTITION OF would lock the
# whole table against reading and writing; attaching lets bookings go on. Row triggers are
# inherited, TRUNCATE triggers are not. Only the owner has rights on a partition, whatever the
# default privileges say: it is accessed through its table alone.
_ATTACH = """
CREATE OR REPLACE FUNCTION clinic_attach_partition(divided text, part text, part_values text)
RETURNS void LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
DECLARE
    other text;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   part, divided);
    FOR other IN
        SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
        FROM pg_class c, aclexplode(c.relacl)
        WHERE c.oid = to_regclass(quote_ident(part)) AND grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM %s', part, other);
    END LOOP;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I %s', divided, part, part_values);
    IF EXISTS (
        SELECT FROM pg_trigger
        WHERE tgrelid = divided::regclass AND tgname = divided || '_no_truncate'
    ) THEN
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I'
                       ' EXECUTE FUNCTION clinic_refuse_change()', divided || '_no_truncate', part);
    END IF;
    -- An index of a divided table cannot hand this down.
    FOR other IN
        SELECT i.indexrelid::regclass::text
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
        WHERE i.indrelid = to_regclass(quote_ident(part)) AND a.amname = 'brin'
    LOOP
        EXECUTE format('ALTER INDEX %s SET (autosummarize = on)', other);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION clinic_attach_partition(text, text, text) FROM PUBLIC
"""

# All that the service's role may do with partitions: have the nearest missing one made. This
# function picks it by the database's clock, takes no parameters and drops nothing. It skips a month
# that already has rows in the default partition: `clinic check` names it. Attaching locks the
# default partition; the function gives up if it does not get that lock soon.
_MAKE_NEXT = f"""
CREATE OR REPLACE FUNCTION clinic_make_next_partition() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {{schema}}, pg_temp SET lock_timeout = '{LOCK_TIMEOUT_MS}' AS $$
DECLARE
    this_month CONSTANT timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    first timestamptz;
    beyond timestamptz;
    divided text;
    divided_by text;
    part text;
    is_late boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock({MIGRATION_LOCK}) THEN
        RETURN NULL;
    END IF;
    FOR ahead IN 0..{MONTHS_AHEAD} LOOP
        first := (this_month + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        beyond := (this_month + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
        FOR divided, divided_by IN VALUES {_DIVIDED} LOOP
            part := format('%s_%s', divided, to_char(first AT TIME ZONE 'UTC', 'YYYY_MM'));
            CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)',
                           divided || '_default', divided_by, divided_by)
                INTO is_late USING first, beyond;
            CONTINUE WHEN is_late;
            PERFORM clinic_attach_partition(
                divided, part, format('FOR VALUES FROM (%L) TO (%L)', first, beyond));
            RETURN part;
        END LOOP;
    END LOOP;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION clinic_make_next_partition() FROM PUBLIC
"""

# The last pages of each closed month are not in the BRIN index yet: vacuum leaves out pages that
# may still grow, so these are read every time. The current month is skipped: every insert would
# have to update what is in the index.
_INDEX_CLOSED = f"""
CREATE OR REPLACE FUNCTION clinic_index_closed_months() RETURNS integer
LANGUAGE sql SECURITY DEFINER
SET search_path = {{schema}}, pg_temp SET lock_timeout = '{LOCK_TIMEOUT_MS}' AS $$
    SELECT coalesce(sum(brin_summarize_new_values(i.indexrelid)), 0)::integer
    FROM (VALUES {_DIVIDED}) divided (name, by)
    JOIN pg_inherits p ON p.inhparent = divided.name::regclass
    JOIN pg_class part ON part.oid = p.inhrelid
    JOIN pg_index i ON i.indrelid = part.oid
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam
    WHERE a.amname = 'brin' AND part.relname ~ '_\\d{{{{4}}}}_\\d\\d$'
      AND right(part.relname, 7)
          < to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '1 day', 'YYYY_MM')
$$;
REVOKE ALL ON FUNCTION clinic_index_closed_months() FROM PUBLIC
"""


def _partitions(connection: Connection) -> set[str]:
    rows = connection.execute(text("SELECT inhrelid::regclass::text FROM pg_inherits"))
    return {name for (name,) in rows}


def _months(now: datetime) -> list[datetime]:
    return [_month(now, offset) for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]


def _month(instant: datetime, offset: int) -> datetime:
    """Return the first instant of the month `offset` months after that of `instant`, in UTC."""
    utc = instant.astimezone(UTC)
    months = utc.year * 12 + utc.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _name(table: str, first: datetime) -> str:
    return f"{table}_{first:%Y_%m}"

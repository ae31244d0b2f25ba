"""The monthly partitions of the trails, made ahead of time."""

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from clinic.adapters.postgres.tables import APPEND_ONLY, PARTITIONED

MONTHS_BACK, MONTHS_AHEAD = 3, 24


def ensure_partitions(connection: Connection, now: datetime) -> list[str]:
    """Make the missing partitions around `now` and return their names.

    From MONTHS_BACK before its month to MONTHS_AHEAD after it, and one for everything else, so that
    a forgotten month never refuses a booking. `connection` is the owner's.
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


def _attach(connection: Connection, table: str, name: str, bounds: str | None) -> None:
    """Make a table like `table` and add it as its partition.

    CREATE TABLE … PARTITION OF would lock the whole table against reading and writing; attaching
    lets bookings go on.
    """
    with_triggers = ""
    if table in APPEND_ONLY and _has_guard(connection):
        # Row triggers are inherited, those of TRUNCATE are not.
        with_triggers = (
            f" CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {name}"
            " EXECUTE FUNCTION clinic_refuse_change();"
        )
    values = f"FOR VALUES {bounds}" if bounds else "DEFAULT"
    connection.execute(
        text(
            f"DO $$ BEGIN"
            f" CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"
            f" ALTER TABLE {table} ATTACH PARTITION {name} {values};"
            f"{with_triggers} END $$"
        )
    )


def _has_guard(connection: Connection) -> bool:
    return connection.scalar(text("SELECT to_regproc('clinic_refuse_change')")) is not None


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

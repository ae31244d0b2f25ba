"""Checks that PostgreSQL and this process, which have separate time zone data, agree."""

import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg import errors as pg

from clinic.adapters.postgres.checks.check_failure import CheckFailure

#: how many days ahead offsets are compared
DAYS_AHEAD = 366
#: no zone changes its offset and changes it back within less
STEP = timedelta(hours=6)
FINE_STEP = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_OFFSETS = """
    SELECT extract(epoch FROM (t AT TIME ZONE %s) - (t AT TIME ZONE 'UTC'))::int
    FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS asked (t, number) ORDER BY number
"""


def zones_apart(connection: psycopg.Connection, now: datetime) -> Iterator[CheckFailure]:
    """Find clinics whose zone has different offsets in PostgreSQL and here within the next year."""
    query = "SELECT time_zone, string_agg(id::text, ', ' ORDER BY id) FROM clinics GROUP BY 1"
    for name, clinics in connection.execute(query + " ORDER BY 1").fetchall():
        who = f"time zone {name} of clinic {clinics}"
        try:
            zone = zoneinfo.ZoneInfo(name)
        except zoneinfo.ZoneInfoNotFoundError:
            yield CheckFailure(f"{who} is not known on this machine", _REMEDY)
            continue
        try:
            found = _first_difference(connection, zone, now)
        except pg.InvalidParameterValue:
            yield CheckFailure(f"{who} is not known to PostgreSQL", _REMEDY)
            continue
        if found is not None:
            instant, here, there = found
            yield CheckFailure(
                f"{who}: at {instant:%Y-%m-%dT%H:%M:%SZ} it is {_offset_text(here)} on this machine"
                f" ({source_of(name)}) and {_offset_text(there)} in PostgreSQL"
                f" {connection.info.server_version // 10000}",
                _REMEDY,
            )


_REMEDY = (
    "update the one that is behind and restart it: on this machine the system's tzdata package, or"
    " Python's (pip install -U tzdata) where the system has none; at PostgreSQL its minor release,"
    " or its system's tzdata package. Slots opened meanwhile follow their hours after clinic slots"
    " open"
)


def source_of(name: str) -> str:
    """Return where Python reads the zone from, and which release of the data that is."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / name).is_file():
            for file, prefix in (("tzdata.zi", "# version "), ("+VERSION", "")):
                if (folder / file).is_file():
                    with (folder / file).open() as lines:
                        return f"{folder}, release {lines.readline().removeprefix(prefix).strip()}"
            return str(folder)
    return f"the Python package tzdata {metadata.version('tzdata')}"


def _first_difference(
    connection: psycopg.Connection, zone: zoneinfo.ZoneInfo, now: datetime
) -> tuple[datetime, int, int] | None:
    """Return the first instant with different offsets, in seconds: here, and in PostgreSQL."""
    begin = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    steps = range(DAYS_AHEAD * (timedelta(days=1) // STEP) + 1)
    coarse = [begin + STEP * step for step in steps]
    # PostgreSQL's offset must change in the same second as this machine's.
    exact = [
        at
        for before, after in pairwise(coarse)
        if _offset(zone, before) != _offset(zone, after)
        for change in [_change_between(zone, before, after)]
        for at in (change - _SECOND, change)
    ]
    differing = _differences(connection, zone, sorted({*coarse, *exact}))
    if not differing:
        return None
    first = differing[0][0]
    fine = [first - FINE_STEP * step for step in range(STEP // FINE_STEP, -1, -1)]
    return _differences(connection, zone, [at for at in fine if at >= begin])[0]


def _differences(
    connection: psycopg.Connection, zone: zoneinfo.ZoneInfo, instants: Sequence[datetime]
) -> list[tuple[datetime, int, int]]:
    with connection.transaction():
        there = connection.execute(_OFFSETS, [zone.key, list(instants)]).fetchall()
    here = [_offset(zone, at) for at in instants]
    both = zip(instants, here, (offset for (offset,) in there), strict=True)
    return [each for each in both if each[1] != each[2]]


def _change_between(zone: zoneinfo.ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first second whose offset differs from that at `before`; `after` is one such."""
    old = _offset(zone, before)
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: zoneinfo.ZoneInfo, instant: datetime) -> int:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _offset_text(offset_s: int) -> str:
    sign, (minutes, seconds) = "-" if offset_s < 0 else "+", divmod(abs(offset_s), 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text

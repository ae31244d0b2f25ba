"""Reads over HTTP, compared with a bare handler that answers the same bytes from the same query."""

import socket
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from http.client import HTTPResponse

from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.booking import note
from clinic.devtools.bench.database import book_days
from clinic.devtools.bench.requests import LISTING_DAYS, days, known, listings
from clinic.devtools.bench.servers import HOST, Server, run_load

#: how many appointments a quiet and a busy day have, and from which day on there are such days
QUIET, BUSY = 30, 1_000
QUIET_FROM_DAY, BUSY_FROM_DAY, DAYS = 30, 50, 10
REQUESTS = 500
SENT_A_S = 40_000
SECONDS_SHARE = 0.5


def days_with(filled: Filled, number: int) -> list[date]:
    """Return the days of this world that have `number` appointments: QUIET or BUSY."""
    first = {QUIET: QUIET_FROM_DAY, BUSY: BUSY_FROM_DAY}[number]
    start = filled.world.first_day + timedelta(days=first)
    return [start.date() + timedelta(days=each) for each in range(DAYS)]


def reading_database(bench: Bench) -> Filled:
    """Return a database with open days, quiet days and busy ones."""
    known = bench.knows(bench.effort.reading, "_reads")
    filled = bench.database(bench.effort.reading, "_reads")
    if not known:
        for number, first in ((QUIET, QUIET_FROM_DAY), (BUSY, BUSY_FROM_DAY)):
            start = filled.world.first_day.replace(hour=0) + timedelta(days=first)
            book_days(filled.owner_url, start, start + timedelta(days=DAYS), a_day=number)
    return filled


def measure_reads(bench: Bench) -> None:
    """Record reads a second of the full and the bare application, including cached answers."""
    filled = reading_database(bench)
    tokens = bench.tokens()
    offices, dates = tokens.of_offices(), days_with(filled, QUIET)
    with bench.full(filled) as full, bench.bare(filled) as bare:
        again = list(listings(filled.world, tokens, filled.world.doctors, differ=False))
        unchanged = list(known(again, [_tag_of(full, each) for each in again]))
        for _ in range(bench.effort.rounds):
            for name, server, slots, appointments in (
                ("full", full, listings(filled.world, tokens, REQUESTS), offices),
                ("bare", bare, listings(filled.world, None, REQUESTS), []),
            ):
                _read(bench, server, slots, f"read_slots_{name}")
                chosen = days(dates, QUIET, appointments, REQUESTS)
                _read(bench, server, chosen, f"read_day_{name}")
            _read(bench, full, again, "read_slots_again")
            _read(bench, full, unchanged, "read_slots_unchanged", status=304)


def _read(
    bench: Bench, server: Server, requests: Iterable[bytes], name: str, *, status: int = 200
) -> None:
    duration_s = bench.effort.round_s * SECONDS_SHARE
    made = list(requests)
    run_load(server, made, bench.folder).require(status)
    ran = run_load(
        server, made, bench.folder, duration_s=duration_s, limit=int(SENT_A_S * duration_s) + 1
    )
    ran.require(status)
    note(bench, name, ran)


def _tag_of(server: Server, asked: bytes) -> bytes:
    """Return the entity tag of the answer to this request."""
    with socket.create_connection((HOST, server.port)) as connection:
        connection.sendall(asked)
        response = HTTPResponse(connection)
        response.begin()
        response.read()
    tag = response.getheader("etag")
    assert tag is not None
    return tag.encode()


def listing_span(first_day: datetime) -> tuple[datetime, datetime]:
    """Return the 14 days that are listed."""
    return first_day, first_day.replace(hour=0) + timedelta(days=LISTING_DAYS)

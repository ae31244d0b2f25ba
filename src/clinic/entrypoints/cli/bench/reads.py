"""Reads over HTTP, beside a bare handler that answers the same bytes from the same query."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from clinic.entrypoints.cli.bench.bench import Bench, Filled
from clinic.entrypoints.cli.bench.booking import note
from clinic.entrypoints.cli.bench.database import book_days
from clinic.entrypoints.cli.bench.requests import LISTING_DAYS, days, listings
from clinic.entrypoints.cli.bench.servers import Server, run_load

SIZE = "100k"
#: the days that are full, and how many of a day's appointments a page shows
FULL_FROM_DAY, FULL_DAYS, SHOWN = 30, 14, 30
REQUESTS = 500
SENT_A_S = 40_000
SECONDS_SHARE = 0.5


def full_days(filled: Filled) -> list[date]:
    """Return the days of this world on which every slot is taken."""
    start = filled.world.first_day + timedelta(days=FULL_FROM_DAY)
    return [start.date() + timedelta(days=each) for each in range(FULL_DAYS)]


def reading_database(bench: Bench) -> Filled:
    """Return a database with open days, and days on which every slot is taken."""
    known = bench.knows(SIZE, "_reads")
    filled = bench.database(SIZE, "_reads")
    if not known:
        start = filled.world.first_day + timedelta(days=FULL_FROM_DAY)
        start = start.replace(hour=0)
        book_days(filled.owner_url, start, start + timedelta(days=FULL_DAYS))
    return filled


def measure_reads(bench: Bench) -> None:
    """Note reads a second of the full and the bare application; what a cache gives included."""
    filled = reading_database(bench)
    tokens = bench.tokens()
    office, dates = tokens.of_office(), full_days(filled)
    with bench.full(filled) as full, bench.bare(filled) as bare:
        for _ in range(bench.effort.rounds):
            for name, server, slots, appointments in (
                ("full", full, listings(filled.world, tokens, REQUESTS), office),
                ("bare", bare, listings(filled.world, None, REQUESTS), None),
            ):
                _read(bench, server, slots, f"read_slots_{name}")
                chosen = days(dates, SHOWN, appointments, REQUESTS)
                _read(bench, server, chosen, f"read_day_{name}")


def _read(bench: Bench, server: Server, requests: Iterator[bytes], name: str) -> None:
    duration_s = bench.effort.round_s * SECONDS_SHARE
    made = list(requests)
    run_load(server, made, bench.folder).require(200)
    ran = run_load(
        server, made, bench.folder, duration_s=duration_s, limit=int(SENT_A_S * duration_s) + 1
    )
    ran.require(200)
    note(bench, name, ran)


def listing_span(first_day: datetime) -> tuple[datetime, datetime]:
    """Return the 14 days that are listed."""
    return first_day, first_day.replace(hour=0) + timedelta(days=LISTING_DAYS)

"""The same appointments by GraphQL and by REST, in turn, on one server."""

import json
from collections.abc import Iterator
from datetime import date

from clinic.entrypoints.cli.bench.bench import Bench
from clinic.entrypoints.cli.bench.reads import full_days, reading_database
from clinic.entrypoints.cli.bench.requests import days, request
from clinic.entrypoints.cli.bench.servers import Server, run_load

FEW, MANY, REST_PAGE = 30, 1_000, 200
DAYS = 5
SENT_A_S = 20_000

QUERY = """
query Day($date: String!, $first: Int!) {
  appointments(date: $date, first: $first) {
    id doctorId doctorName patientId patientName date time duration type status
  }
}
"""


def measure_graphql(bench: Bench) -> None:
    """Note the time of a day's first 30 appointments, and of 1,000, both ways."""
    filled = reading_database(bench)
    office, dates = bench.tokens().of_office(), full_days(filled)[:DAYS]
    with bench.full(filled) as server:
        for _ in range(bench.effort.rounds):
            for name, number, pages in (("30", FEW, 1), ("1000", MANY, MANY // REST_PAGE)):
                rest = days(dates, min(number, REST_PAGE), office, DAYS)
                rest_ms = _time_ms(bench, server, rest) * pages
                bench.record.add(f"rest_{name}", rest_ms, "ms")
                asked = _queries(dates, number, office)
                bench.record.add(f"graphql_{name}", _time_ms(bench, server, asked), "ms")


def _queries(dates: list[date], number: int, token: str) -> Iterator[bytes]:
    for each in dates:
        variables = {"date": str(each), "first": number}
        body = json.dumps({"query": QUERY, "variables": variables})
        yield request("POST", "/graphql", token, body)


def _time_ms(bench: Bench, server: Server, requests: Iterator[bytes]) -> float:
    """Return the time for one answer when they come one after another."""
    made = list(requests)
    run_load(server, made, bench.folder, connections=1).require(200)
    duration_s = bench.effort.round_s / 4
    limit = int(SENT_A_S * duration_s) + 1
    ran = run_load(server, made, bench.folder, duration_s=duration_s, connections=1, limit=limit)
    ran.require(200)
    return ran.elapsed_s / ran.answered * 1000

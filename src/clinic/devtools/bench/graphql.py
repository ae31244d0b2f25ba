"""The same appointments by GraphQL and by REST, in turn, on one server."""

import json
from collections.abc import Iterator
from datetime import date

from clinic.devtools.bench.bench import Bench
from clinic.devtools.bench.reads import BUSY, DAYS, QUIET, days_with, reading_database
from clinic.devtools.bench.requests import days, request
from clinic.devtools.bench.servers import Server, run_load

REST_PAGE = 200
SENT_A_S = 20_000

#: the published query, word for word except for its variable
QUERY = """
query Day($date: String) {
  getAppointments(date: $date) { id patientName doctorName date time duration type status }
}
"""


def measure_graphql(bench: Bench) -> None:
    """Record the time to read a day of 30 appointments, and one of 1,000, both ways."""
    filled = reading_database(bench)
    offices = bench.tokens().of_offices()
    with bench.full(filled) as server:
        for _ in range(bench.effort.rounds):
            for number in (QUIET, BUSY):
                dates, page = days_with(filled, number), min(number, REST_PAGE)
                rest_ms = _time_ms(bench, server, days(dates, page, offices, DAYS))
                # A page holds 200, so that 1,000 take five.
                bench.record.add(f"rest_{number}", rest_ms * (number // page), "ms")
                asked = _queries(dates, offices[0])
                bench.record.add(f"graphql_{number}", _time_ms(bench, server, asked), "ms")


def _queries(dates: list[date], token: str) -> Iterator[bytes]:
    for each in dates:
        body = json.dumps({"query": QUERY, "variables": {"date": str(each)}})
        yield request("POST", "/graphql", token, body)


def _time_ms(bench: Bench, server: Server, requests: Iterator[bytes]) -> float:
    """Return the time per answer when the requests are sent one after another."""
    made = list(requests)
    run_load(server, made, bench.folder, connections=1).require(200)
    duration_s = bench.effort.round_s / 4
    limit = int(SENT_A_S * duration_s) + 1
    ran = run_load(server, made, bench.folder, duration_s=duration_s, connections=1, limit=limit)
    ran.require(200)
    return ran.elapsed_s / ran.answered * 1000

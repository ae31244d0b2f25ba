"""Bookings over HTTP, full and bare, compared with the baseline and the yardstick, in turn."""

from clinic.adapters.postgres.appointments.booking_statement import reservation
from clinic.devtools.bench.baseline import Script, make_script, run_baseline, sample_booking
from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.database import count, last_baseline_booking
from clinic.devtools.bench.processor import backends, cpu_ns
from clinic.devtools.bench.requests import Tokens, bookings, sign_ins
from clinic.devtools.bench.servers import LoadRun, Server, run_load

#: more bookings than any server here makes in a second
BOOKINGS_A_S = 12_000
HTTP_A_S = 8_000
WARM_UP = 2_000
SLOTS_A_PAGE = 60
BOOKED = 201


def measure_booking(bench: Bench) -> None:
    """Record bookings a second and what they cost, round by round."""
    filled = bench.database(bench.effort.booking)
    script = baseline_script(bench, filled)
    tokens = bench.tokens()
    with (
        bench.full(filled, workers=bench.workers) as full,
        bench.bare(filled, workers=bench.workers) as bare,
    ):
        _warm_up(bench, filled, full, tokens, _all_over(filled))
        _warm_up(bench, filled, bare, None)
        for _ in range(bench.effort.rounds):
            baseline(bench, filled, script, "booking_floor", bench.effort.round_s)
            _load(bench, filled, full, "booking_full", tokens)
            _load(bench, filled, bare, "booking_bare", None)
        bench.record.add("memory_of_app_process", full.memory_mb(), "MB")


def measure_yardstick(bench: Bench) -> None:
    """Record the full application and the ordinary one, in turn, one process each."""
    if bench.yardstick is None:
        bench.record.skip(
            "yardstick", "the yardstick or its packages are not here: run `make bench`"
        )
        return
    filled = bench.database(bench.effort.booking)
    tokens = bench.tokens()
    with (
        bench.full(filled, workers=bench.workers) as full,
        bench.ordinary(filled, workers=bench.workers) as ordinary,
    ):
        _warm_up(bench, filled, full, tokens, _all_over(filled))
        _warm_up(bench, filled, ordinary, tokens)
        for _ in range(bench.effort.rounds):
            _load(bench, filled, full, "booking_beside_yardstick", tokens)
            _load(bench, filled, ordinary, "booking_yardstick", tokens)


def baseline_script(bench: Bench, filled: Filled) -> Script:
    booking = sample_booking(bench.now, filled.world.first_day)
    return make_script(*reservation(booking), booking)


def baseline(bench: Bench, filled: Filled, script: Script, name: str, duration_s: float) -> None:
    """Record how fast pgbench runs the writing statement, and check that it wrote."""
    before = count(filled.owner_url, "appointments")
    first = filled.take(int(BOOKINGS_A_S * max(1, duration_s)))
    ran = run_baseline(
        script,
        filled.world,
        programs=bench.servers.programs,
        url=filled.app_url,
        folder=bench.folder,
        first_booking=first,
        duration_s=duration_s,
    )
    made = count(filled.owner_url, "appointments") - before
    if made != ran.bookings:
        raise RuntimeError(f"pgbench ran {ran.bookings} statements, but {made} of them booked")
    filled.give_back(last_baseline_booking(filled.owner_url) + 1)
    bench.record.add(name, ran.per_s, "bookings/s")


def _load(bench: Bench, filled: Filled, server: Server, name: str, tokens: Tokens | None) -> None:
    """Record one round of bookings over HTTP; every answer must be 201, since none compete here."""
    number = int(HTTP_A_S * bench.effort.round_s)
    first = filled.take(number)
    requests = bookings(filled.world, first, number, tokens=tokens)
    pids = backends(bench.servers.superuser_url, filled.app_url)
    before_ns = sum(map(cpu_ns, pids))
    ran = run_load(server, requests, bench.folder, duration_s=bench.effort.round_s)
    database_ns = sum(map(cpu_ns, pids)) - before_ns
    ran.require(BOOKED)
    filled.give_back(first + ran.answered)
    note(bench, name, ran)
    bench.record.add(f"{name}_database_cpu", database_ns / ran.answered / 1000, "µs")


def note(bench: Bench, name: str, ran: LoadRun) -> None:
    """Record what a run of the load client measured."""
    bench.record.add(name, ran.answered / ran.elapsed_s, "requests/s")
    bench.record.add(f"{name}_server_cpu", ran.server_cpu_s / ran.answered * 1e6, "µs")
    bench.record.add(f"{name}_p50", ran.p50_ms, "ms")
    bench.record.add(f"{name}_p99", ran.p99_ms, "ms")


def _all_over(filled: Filled) -> int:
    """Return how many bookings it takes to change about every page of slots once.

    The first change of a page after a checkpoint writes the whole page to the log. That is a cost
    of the checkpoint, which comes every half hour, and not of the bookings between two of them.
    """
    return filled.world.slots // SLOTS_A_PAGE


def _warm_up(
    bench: Bench, filled: Filled, server: Server, tokens: Tokens | None, number: int = 0
) -> None:
    if tokens is not None:
        run_load(server, sign_ins(filled.world, tokens), bench.folder)
    number = max(number, WARM_UP if not bench.effort.is_quick else WARM_UP // 10)
    requests = bookings(filled.world, filled.take(number), number, tokens=tokens)
    run_load(server, requests, bench.folder).require(BOOKED)

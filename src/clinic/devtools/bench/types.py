"""What appointments of two slots cost, and listings of where they fit."""

from collections.abc import Iterator
from uuid import UUID

import psycopg

from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.booking import BOOKED, baseline, baseline_script, note
from clinic.devtools.bench.processor import backends, cpu_ns
from clinic.devtools.bench.requests import Tokens, booking_of, listings, sign_ins
from clinic.devtools.bench.servers import LoadRun, Server, run_load
from clinic.devtools.bench.world import CLINIC_ID, SLOT_MIN, World

#: the types of the clinic, by how many slots they last
NAMES = {1: "Consultation", 2: "Surgery"}
LISTED = "Surgery"
REQUESTS, WARM_UP, HTTP_A_S, LISTINGS_A_S = 500, 400, 8_000, 4_000
SECONDS_SHARE = 0.5
_TYPE = """
INSERT INTO appointment_types (clinic_id, id, name, visible_min, before_min, after_min, bookable_by,
                               all_doctors, is_default, is_active)
VALUES (%s, %s, %s, %s, 0, 0, 'PATIENTS', true, false, true)
"""


def measure_types(bench: Bench) -> None:
    """Record listings with and without a type, and bookings of one slot and of two, in turn."""
    alone, filled = bench.database(bench.effort.booking), _typed_database(bench)
    script = baseline_script(bench, alone)
    tokens = bench.tokens()
    without = list(listings(filled.world, tokens, REQUESTS))
    with_type = [each.replace(b"&limit=", b"&type=%s&limit=" % LISTED.encode()) for each in without]
    with bench.full(filled, workers=bench.workers) as full:
        run_load(full, sign_ins(filled.world, tokens), bench.folder)
        for _ in range(bench.effort.rounds):
            _list(bench, full, without, "listing")
            _list(bench, full, with_type, "listing_of_type")
        for slots in NAMES:
            requests = _bookings(filled.world, filled.take(WARM_UP), WARM_UP, tokens, slots)
            run_load(full, requests, bench.folder).require(BOOKED)
        for _ in range(bench.effort.rounds):
            baseline(bench, alone, script, "booking_beside_types_floor", bench.effort.round_s)
            _book(bench, filled, full, tokens, 1, "booking_one_slot")
            _book(bench, filled, full, tokens, 2, "booking_two_slots")


def _typed_database(bench: Bench) -> Filled:
    """Return a database whose clinic has types, and half as many bookings as slots."""
    filled = bench.database(bench.effort.booking, "_types")
    with psycopg.connect(filled.owner_url) as owner:
        for slots, name in NAMES.items():
            values = (CLINIC_ID, UUID(int=slots), name, slots * SLOT_MIN)
            owner.execute(_TYPE, values)
    return filled


def _bookings(world: World, first: int, number: int, tokens: Tokens, slots: int) -> Iterator[bytes]:
    """Yield booking requests; each has a pair of slots to itself, and books the first or both."""
    for booking in range(first, first + number):
        slot = world.pair_of(booking)
        patient = world.patient_of(slot)
        token = tokens.of_patient(patient)
        yield booking_of(slot, patient, token, type=NAMES[slots])


def _book(
    bench: Bench, filled: Filled, server: Server, tokens: Tokens, slots: int, name: str
) -> None:
    number = min(int(HTTP_A_S * bench.effort.round_s), filled.world.slots // 2 - filled.used)
    first = filled.take(number)
    requests = _bookings(filled.world, first, number, tokens, slots)
    pids = backends(bench.servers.superuser_url, filled.app_url)
    before_ns = sum(map(cpu_ns, pids))
    ran = run_load(server, requests, bench.folder, duration_s=bench.effort.round_s)
    database_ns = sum(map(cpu_ns, pids)) - before_ns
    ran.require(BOOKED)
    filled.give_back(first + ran.answered)
    note(bench, name, ran)
    bench.record.add(f"{name}_database_cpu", database_ns / ran.answered / 1000, "µs")


def _list(bench: Bench, server: Server, requests: list[bytes], name: str) -> None:
    run_load(server, requests, bench.folder).require(200)
    duration_s = bench.effort.round_s * SECONDS_SHARE
    limit = int(LISTINGS_A_S * duration_s) + 1
    ran: LoadRun = run_load(server, requests, bench.folder, duration_s=duration_s, limit=limit)
    ran.require(200)
    note(bench, name, ran)
    bench.record.add(f"{name}_time", ran.elapsed_s / ran.answered * 1e6, "µs")

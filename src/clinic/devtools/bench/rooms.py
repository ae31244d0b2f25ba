"""What bookings cost whose type needs a room."""

from dataclasses import replace
from uuid import UUID

import psycopg

from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.booking import BOOKED, baseline, baseline_script, note
from clinic.devtools.bench.processor import backends, cpu_ns
from clinic.devtools.bench.requests import Tokens, bookings, sign_ins
from clinic.devtools.bench.servers import Server, run_load
from clinic.devtools.bench.world import CLINIC_ID, SLOT_MIN

#: as many as doctors who are booked, so that nobody is refused
ROOMS = 10
KIND, TYPE_ID = "room", UUID(int=1)
HTTP_A_S, WARM_UP = 2_500, 400
_TYPE = """
INSERT INTO appointment_types (clinic_id, id, name, visible_min, before_min, after_min, bookable_by,
                               all_doctors, is_default, is_active)
VALUES (%s, %s, 'Consultation', %s, 0, 0, 'PATIENTS', true, true, true)
"""
_NEED = "INSERT INTO appointment_type_needs (clinic_id, type_id, kind) VALUES (%s, %s, %s)"
_ROOM = """
INSERT INTO resources (clinic_id, id, kind, name, capacity, is_active)
SELECT %s, ('00000000-0000-7007-8000-' || lpad(n::text, 12, '0'))::uuid, %s, 'Room ' || n, 1, true
FROM generate_series(1, %s) n
"""


def measure_rooms(bench: Bench) -> None:
    """Record bookings that take one of ten rooms, beside the statement for one without."""
    alone, filled = bench.database(bench.effort.booking), _with_rooms(bench)
    script = baseline_script(bench, alone)
    tokens = bench.tokens()
    with bench.full(filled, workers=bench.workers) as full:
        run_load(full, sign_ins(filled.world, tokens), bench.folder)
        requests = bookings(filled.world, filled.take(WARM_UP), WARM_UP, tokens=tokens)
        run_load(full, requests, bench.folder).require(BOOKED)
        for _ in range(bench.effort.rounds):
            baseline(bench, alone, script, "booking_beside_rooms_floor", bench.effort.round_s)
            _book(bench, filled, full, tokens)


def _with_rooms(bench: Bench) -> Filled:
    """Return a database whose clinic has rooms, and the doctors who share them."""
    filled = bench.database(bench.effort.booking, "_rooms")
    with psycopg.connect(filled.owner_url) as owner:
        owner.execute(_TYPE, [CLINIC_ID, TYPE_ID, SLOT_MIN])
        owner.execute(_NEED, [CLINIC_ID, TYPE_ID, KIND])
        owner.execute(_ROOM, [CLINIC_ID, KIND, ROOMS])
    return replace(filled, world=replace(filled.world, doctors=ROOMS))


def _book(bench: Bench, filled: Filled, server: Server, tokens: Tokens) -> None:
    number = min(int(HTTP_A_S * bench.effort.round_s), filled.world.slots - filled.used)
    first = filled.take(number)
    requests = bookings(filled.world, first, number, tokens=tokens)
    pids = backends(bench.servers.superuser_url, filled.app_url)
    before_ns = sum(map(cpu_ns, pids))
    ran = run_load(server, requests, bench.folder, duration_s=bench.effort.round_s)
    database_ns = sum(map(cpu_ns, pids)) - before_ns
    ran.require(BOOKED)
    filled.give_back(first + ran.answered)
    note(bench, "booking_with_room", ran)
    bench.record.add("booking_with_room_database_cpu", database_ns / ran.answered / 1000, "µs")

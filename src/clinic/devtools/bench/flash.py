"""A flash opening: all patients want the same few slots at the same instant."""

from collections.abc import Iterator

from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.requests import Tokens, booking_of, sign_ins
from clinic.devtools.bench.servers import LoadRun, Server, run_load
from clinic.devtools.bench.world import World

SIZE = "100k"
PATIENTS, SLOTS = 2_000, 200
ONE_SLOT_PATIENTS = 200
CONNECTIONS = 500
BOOKED, REFUSED = 201, 409


def measure_flash(bench: Bench) -> None:
    """Record how long 2,000 patients take over 200 slots, and 200 over one; each is answered."""
    filled = bench.database(SIZE, "_flash")
    tokens = bench.tokens()
    rush = 0
    with bench.full(filled, workers=bench.workers) as full:
        run_load(full, sign_ins(filled.world, tokens), bench.folder)
        for _ in range(bench.effort.rounds):
            for patients, slots, name in (
                (PATIENTS, SLOTS, "flash_2000_on_200"),
                (ONE_SLOT_PATIENTS, 1, "flash_200_on_1"),
            ):
                _rush(bench, filled, full, tokens, patients, slots, rush, name)
                rush += 1
    if bench.yardstick is None:
        bench.record.skip(
            "flash_2000_on_200_yardstick", "the yardstick or its packages are not here"
        )
        return
    with bench.ordinary(filled, workers=bench.workers) as ordinary:
        run_load(ordinary, sign_ins(filled.world, tokens), bench.folder)
        for _ in range(bench.effort.rounds):
            name = "flash_2000_on_200_yardstick"
            _rush(bench, filled, ordinary, tokens, PATIENTS, SLOTS, rush, name)
            rush += 1


def requests_of(
    world: World, tokens: Tokens, patients: int, slots: int, rush: int
) -> Iterator[bytes]:
    """Yield one request per patient; each rush is for the slots of another doctor."""
    doctor = rush % world.doctors
    first_time = rush * SLOTS % (world.times - SLOTS)
    for each in range(patients):
        slot = doctor * world.times + first_time + each % slots
        patient = (rush * PATIENTS + each) % world.patients
        yield booking_of(slot, patient, tokens.of_patient(patient))


def _rush(
    bench: Bench,
    filled: Filled,
    server: Server,
    tokens: Tokens,
    patients: int,
    slots: int,
    rush: int,
    name: str,
) -> None:
    requests = requests_of(filled.world, tokens, patients, slots, rush)
    ran = run_load(server, requests, bench.folder, connections=min(patients, CONNECTIONS))
    check(ran, patients, slots, strictly=not name.endswith("yardstick"))
    bench.record.add(name, ran.elapsed_s * 1000, "ms")
    bench.record.add(f"{name}_p99", ran.p99_ms, "ms")


def check(ran: LoadRun, patients: int, slots: int, *, strictly: bool) -> None:
    """Raise RuntimeError unless every patient was answered and each slot has one winner."""
    if ran.answered != patients:
        raise RuntimeError(f"{ran.answered} of {patients} were answered")
    if strictly and (ran.count(BOOKED), ran.count(REFUSED)) != (slots, patients - slots):
        raise RuntimeError(f"{slots} winners were due among {patients}: {dict(ran.statuses)}")

"""The baseline of bookings: pgbench, running the same statement that the application writes with.

The script is derived from the adapter's statement and parameters for a sample booking. Parameters
that are one of the marker values below are computed by pgbench for every transaction, all others
are passed unchanged. So the statement cannot drift from the application's.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict

from clinic.devtools.bench.database import sql_id
from clinic.devtools.bench.world import (
    CLINIC_ID,
    DOCTOR_IDS,
    FIRST_START,
    HORIZON_DAYS,
    PATIENT_IDS,
    SLOT_IDS,
    SLOT_MIN,
    SLOTS_A_DAY,
    ZONE,
    World,
)
from clinic.domain.appointments.appointments import Booking, BookingFacts
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer
from clinic.domain.people.people import Actor, Patient, Role

CLIENTS = 8

_SLOT, _DOCTOR, _PATIENT = (UUID(int=0xF00D0000 + each) for each in range(3))
_KEY = "baseline-0000000000000000"
_FRESH_IDS = [UUID(int=0xBEEF0000 + each) for each in range(16)]
_BODY_BYTES = 560

_PARAMETER = re.compile(r"\$(\d+)")
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A pgbench script and the variables to start it with."""

    text: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """What one run of pgbench did."""

    bookings: int
    per_s: float


def sample_booking(now: datetime, first_day: datetime) -> Booking:
    """Return a booking as the application makes it for a signed-in patient, of marker values."""
    ids = iter(_FRESH_IDS)
    start = first_day + timedelta(days=30)
    slot = Slot(_SLOT, CLINIC_ID, _DOCTOR, "Specialty 0", start, start + timedelta(minutes=30))
    clinic = Clinic(CLINIC_ID, "Bench", ZONE, Policy(horizon_days=HORIZON_DAYS))
    patient = Patient(CLINIC_ID, _PATIENT, "Patient Number 0", "patient0@example.org")
    actor = Actor(
        _PATIENT,
        Role.PATIENT,
        CLINIC_ID,
        request_id="0" * 32,
        ip="127.0.0.1",
        session_id=UUID(int=1),
    )
    booking = decide_booking(
        BookingFacts(clinic, slot, "Dr Number 0", patient),
        actor=actor,
        type="Consultation",
        reason="Booked by the benchmark",
        override=False,
        now=now,
        new_id=lambda: next(ids),
    )
    request = IdempotentRequest(CLINIC_ID, _PATIENT, _KEY, b"\x5a" * 32)
    answer = Answer(201, b"x" * _BODY_BYTES, f"/appointments/{UUID(int=2)}", '"1"')
    return replace(booking, stored=StoredAnswer(request, answer, now))


def make_script(statement: str, parameters: Sequence[object], booking: Booking) -> Script:
    """Return the script that runs `statement` for slot after slot of a world.

    `parameters` are what the application would pass for `booking`, a `sample_booking`.
    """
    start_at, end_at = booking.appointment.starts_at, booking.appointment.ends_at
    computed = {
        _SLOT: sql_id(SLOT_IDS, ":n"),
        _DOCTOR: sql_id(DOCTOR_IDS, ":d"),
        _PATIENT: sql_id(PATIENT_IDS, ":p"),
        _KEY: "('baseline-' || :j)",
        start_at: "to_timestamp(:start)",
        end_at: f"to_timestamp(:start + {SLOT_MIN * 60})",
    }
    variables: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        number = int(match.group(1))
        value = parameters[number - 1]
        if value is None:
            return "NULL"
        if isinstance(value, list):
            value = _as_array(value)
        if isinstance(value, UUID | str | datetime) and value in computed:
            return computed[value]
        if value in _FRESH_IDS:
            return "uuidv7()"
        if isinstance(value, str) and any(each.hex in value for each in _FRESH_IDS):
            return _with_fresh_ids(value)
        variables[f"c{number}"] = _as_text(value)
        return f":c{number}"

    query = " ".join(_PARAMETER.sub(word, statement).split())
    return Script("\n".join([*_arithmetic(), query + ";", ""]), variables)


def _arithmetic() -> Iterator[str]:
    """Yield the lines that compute a client's next booking, as World.slot_of does in Python."""
    yield "\\set j :first + :i * :clients + :client_id"
    yield "\\set i :i + 1"
    yield "\\set n :j * :stride % :slots"
    yield "\\set d :n / :times"
    yield "\\set t :n % :times"
    yield "\\set p (:d + :t * :doctors) % :patients"
    yield (f"\\set start :day + :t / {SLOTS_A_DAY} * 86400 + :t % {SLOTS_A_DAY} * {SLOT_MIN * 60}")


def _with_fresh_ids(value: str) -> str:
    """Return the SQL for a text in which every marker of a new id becomes a new id each time."""
    for each in _FRESH_IDS:
        value = value.replace(each.hex, "' || uuidv7() || '")
    assert ":" not in value
    return f"('{value}')"


def _as_array(items: list[object]) -> str:
    # Ids, kinds, numbers, instants: words without spaces.
    words = [item.hex if isinstance(item, UUID) else _as_text(item) for item in items]
    return f"{{{','.join(words)}}}"


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def run_baseline(
    script: Script,
    world: World,
    *,
    programs: Path,
    url: str,
    folder: Path,
    first_booking: int,
    duration_s: float,
    clients: int = CLIENTS,
) -> BaselineRun:
    """Run the script for about `duration_s`, from `first_booking` on. Raises RuntimeError."""
    file = folder / "baseline.sql"
    file.write_text(script.text)
    variables = {
        **script.variables,
        "first": first_booking,
        "i": 0,
        "clients": clients,
        "stride": world.stride,
        "slots": world.slots,
        "times": world.times,
        "doctors": world.doctors,
        "patients": world.patients,
        "day": int(world.first_day.timestamp()),
    }
    target = conninfo_to_dict(url)
    arguments = [
        str(programs / "pgbench"),
        "--no-vacuum",
        "--protocol=prepared",
        f"--client={clients}",
        f"--jobs={min(2, clients)}",
        f"--time={max(1, round(duration_s))}",
        f"--file={file}",
        f"--host={target['host']}",
        f"--port={target['port']}",
        f"--username={target['user']}",
        *(f"--define={name}={value}" for name, value in variables.items()),
        str(target["dbname"]),
    ]
    done = subprocess.run(
        arguments,
        env={**os.environ, "PGPASSWORD": str(target["password"])},
        capture_output=True,
        text=True,
        check=False,
    )
    tps, processed = _TPS.search(done.stdout), _DONE.search(done.stdout)
    if done.returncode != 0 or tps is None or processed is None:
        raise RuntimeError(f"pgbench failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return BaselineRun(int(processed.group(1)), float(tps.group(1)))


assert FIRST_START.minute == 0, "the script counts from the first start of the first day"

"""Opening a year of slots for every doctor, compared with COPY of the same rows."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

import psycopg

from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.database import checkpoint, count
from clinic.devtools.bench.world import CLINIC_ID
from clinic.settings import PREFIX

DAYS, QUICK_DAYS = 365, 30
COPY_BYTES = 1 << 18
COLUMNS = "clinic_id, id, doctor_id, specialty, starts_at, ends_at, state, taken"

# 20 half hours a day, every day.
HOURS = f"""
INSERT INTO availabilities (clinic_id, id, doctor_id, start_time, end_time, slot_min, weekdays)
SELECT '{CLINIC_ID}', uuidv7(), user_id, '09:00', '19:00', 30, '{{1,2,3,4,5,6,7}}'
FROM doctors_profiles
"""

# Runs a command and prints its peak memory. In a small process, since a child's peak includes the
# time before it executes the command, when it is still a copy of its parent.
_WATCH = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss)
sys.exit(child.returncode)
"""


def measure_opening(bench: Bench) -> None:
    """Record how many slots a second `clinic slots open` makes, its memory, and COPY's rate."""
    filled = bench.database("100k", "_opening")
    with psycopg.connect(filled.owner_url, autocommit=True) as owner:
        owner.execute(HOURS)
    for _ in range(min(3, bench.effort.rounds)):
        empty(bench, filled)
        seconds, memory_mb = open_slots(bench, filled, days=days_opened(bench))
        opened = count(filled.owner_url, "slots")
        bench.record.add("opening", opened / seconds, "slots/s")
        bench.record.add("opening_memory", memory_mb, "MB")
        rows = list(rows_of(filled.owner_url))
        empty(bench, filled)
        started = time.perf_counter()
        copy_rows(filled.app_url, rows)
        bench.record.add("raw_copy", opened / (time.perf_counter() - started), "slots/s")


def empty(bench: Bench, filled: Filled) -> None:
    """Remove every slot."""
    with psycopg.connect(filled.owner_url, autocommit=True) as owner:
        owner.execute("TRUNCATE slots CASCADE")
    checkpoint(bench.servers.superuser_url)


def days_opened(bench: Bench) -> int:
    return QUICK_DAYS if bench.effort.is_quick else DAYS


def open_slots(bench: Bench, filled: Filled, *, days: int) -> tuple[float, float]:
    """Run `clinic slots open` for so many days; return how long it took in seconds and its peak
    memory in MB."""
    until = (bench.now + timedelta(days=days - 1)).date()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    started = time.perf_counter()
    command = [sys.executable, "-m", "clinic.entrypoints.cli", "slots", "open", f"--until={until}"]
    ran = subprocess.run(
        [sys.executable, "-c", _WATCH, *command],
        env={**kept, **bench.environment(filled)},
        capture_output=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if ran.returncode != 0:
        complaint = ran.stderr.decode(errors="replace")
        raise RuntimeError(f"clinic slots open failed: {complaint.strip()[-300:]}")
    bytes_each = 1 if sys.platform == "darwin" else 1024
    return seconds, int(ran.stdout) * bytes_each / 2**20


def rows_of(owner_url: str) -> Iterator[bytes]:
    """Yield the slots as COPY writes them."""
    with psycopg.connect(owner_url) as owner, owner.cursor() as cursor:
        query = f"COPY (SELECT {COLUMNS} FROM slots) TO STDOUT (FORMAT BINARY)"
        with cursor.copy(query) as copy:
            for chunk in copy:
                yield bytes(chunk)


def copy_rows(url: str, rows: Sequence[bytes]) -> None:
    """Write the rows as fast as COPY can, in one transaction."""
    data = b"".join(rows)
    statement = f"COPY slots ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with (
        psycopg.connect(url) as app,
        app.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for at in range(0, len(data), COPY_BYTES):
            copy.write(data[at : at + COPY_BYTES])

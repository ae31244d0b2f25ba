"""The processor time that PostgreSQL's processes have used."""

from collections.abc import Sequence
from pathlib import Path

import psycopg

from clinic.devtools.bench.database import name_of


def backends(superuser_url: str, url: str) -> Sequence[int]:
    """Return the database's processes that serve this database's clients."""
    with psycopg.connect(superuser_url) as db:
        found = db.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = %s",
            [name_of(url), "client backend"],
        ).fetchall()
    return [pid for (pid,) in found]


def cpu_ns(pid: int) -> int:
    """Return the processor time of a process so far; only to 10 ms on some systems."""
    exact = Path(f"/proc/{pid}/schedstat")
    if exact.exists():
        return int(exact.read_text().split()[0])
    import psutil

    used = psutil.Process(pid).cpu_times()
    return int((used.user + used.system) * 1e9)

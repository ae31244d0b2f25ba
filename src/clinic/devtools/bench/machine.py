"""The machine and software that the figures were measured on."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

PACKAGES = ("litestar", "uvicorn", "uvloop", "httptools", "msgspec", "psycopg", "sqlalchemy")
#: settings that make a commit safe; a benchmark without them is worthless
SAFE = ("fsync", "synchronous_commit", "full_page_writes")
TUNED = ("shared_buffers", "max_wal_size")


def describe_machine() -> dict[str, Any]:
    """Return processor, memory, system and versions; nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_mb() / 1024, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def memory_mb() -> int:
    """Return how much memory the machine has."""
    import psutil

    return int(psutil.virtual_memory().total) >> 20


def describe_database(superuser_url: str) -> dict[str, str]:
    """Return the server's version and settings. Raises RuntimeError when a commit is not safe."""
    with psycopg.connect(superuser_url) as db:
        found = {
            name: str(db.execute("SELECT current_setting(%s)", [name]).fetchone()[0])  # type: ignore[index]
            for name in ("server_version", *SAFE, *TUNED)
        }
    off = [name for name in SAFE if found[name] != "on"]
    if off:
        raise RuntimeError(f"{', '.join(off)} must be on")
    return found


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

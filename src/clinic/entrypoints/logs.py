"""The log of a process: how it writes exceptions, and what it says at the start."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from clinic import bootstrap
from clinic.domain.errors import TemporaryFailure
from clinic.ports.unit_of_work import Store
from clinic.usecases.faults import kind_of, place_of


class KindsOnly(logging.Formatter):
    """Writes where an exception came from and its kind, and not its message, which may quote
    personal data."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        error = ei[1]
        return f"{place_of(error)}{kind_of(error)}" if error is not None else ""


def web_log_config(level: str) -> dict[str, Any]:
    """Return the configuration of a web server's log, for uvicorn, each of whose processes sets it
    up for itself."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "kinds_only": {"()": KindsOnly, "format": "%(levelname)s:     %(message)s"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "kinds_only",
                "stream": "ext://sys.stderr",
            },
        },
        "loggers": {
            "uvicorn": {"handlers": ["stderr"], "level": level.upper(), "propagate": False},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }


def configure_worker_log(level: str) -> None:
    """Write this process' log to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(KindsOnly("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("dramatiq").setLevel(logging.ERROR)


def write_to_stderr(lines: bytes) -> None:
    sys.stderr.write(lines.decode())
    sys.stderr.flush()


async def log_zone_data(store: Store | None, level: str) -> None:
    """Write one line of JSON that names the time zone data in use, here and in the database; null
    where the database has none of its own or does not answer."""
    if logging.getLevelNamesMapping()[level.upper()] > logging.INFO:
        return
    try:
        there = await store.zone_data() if store else None
    except TemporaryFailure:
        there = None
    line = {
        "at": datetime.now(UTC),
        "level": "info",
        "event": "zone_data",
        "system": bootstrap.zone_data(),
        "database": there,
    }
    write_to_stderr(msgspec.json.encode(line) + b"\n")

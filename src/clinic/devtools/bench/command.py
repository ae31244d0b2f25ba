"""`clinic bench`: measure, print a table, write JSON."""

import json as json_format
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clinic.devtools.bench.backends import running_backends
from clinic.devtools.bench.bench import QUICK, THOROUGH, Bench, Effort
from clinic.devtools.bench.booking import measure_booking, measure_yardstick
from clinic.devtools.bench.calendars import measure_calendars
from clinic.devtools.bench.figures import Record, summary
from clinic.devtools.bench.flash import measure_flash
from clinic.devtools.bench.graphql import measure_graphql
from clinic.devtools.bench.machine import describe_database, describe_machine, memory_mb
from clinic.devtools.bench.opening import measure_opening
from clinic.devtools.bench.ratios import ratios_of
from clinic.devtools.bench.reads import measure_reads
from clinic.devtools.bench.report import (
    FIGURE_COLUMNS,
    RATIO_COLUMNS,
    figure_rows,
    ratio_rows,
)
from clinic.devtools.bench.rooms import measure_rooms
from clinic.devtools.bench.scale import measure_listing, measure_scale
from clinic.devtools.bench.startup import measure_startup
from clinic.devtools.bench.types import measure_types
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.output import print_table

PARTS: Mapping[str, Callable[[Bench], None]] = {
    "booking": measure_booking,
    "yardstick": measure_yardstick,
    "types": measure_types,
    "rooms": measure_rooms,
    "reads": measure_reads,
    "graphql": measure_graphql,
    "scale": measure_scale,
    "listing": measure_listing,
    "flash": measure_flash,
    "opening": measure_opening,
    "calendars": measure_calendars,
    "startup": measure_startup,
}
ROUNDS_MAX = 50
YARDSTICK_NEEDS = ("fastapi", "asyncpg", "pydantic")


def bench(
    *,
    json: Path | None = None,
    quick: Annotated[bool, Parameter(negative="")] = False,
    only: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    rounds: int | None = None,
    workers: int = 1,
    yardstick: Path = Path("bench/yardstick"),
) -> None:
    """Measure bookings, reads and openings against the database's own limit, on servers of its own.

    Parameters
    ----------
    json
        Write everything to this file as well.
    quick
        Rough figures in under a minute, at a hundredth of the size.
    only
        Only these parts: booking, yardstick, types, rooms, reads, graphql, scale, listing, flash,
        opening, calendars, startup.
    rounds
        How often each measurement is taken, in turn with what it is compared with.
    workers
        Processes of each web server.
    yardstick
        Folder of the ordinary application to compare with.
    """
    # Ended so, too, it leaves no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    effort = QUICK if quick else THOROUGH
    if rounds is not None:
        if not 1 <= rounds <= ROUNDS_MAX:
            raise InvalidInput(f"Rounds are 1 to {ROUNDS_MAX}.")
        effort = replace(effort, rounds=rounds)
    report = measure(effort, chosen_parts(only), workers=workers, yardstick=yardstick)
    if json is not None:
        json.write_text(json_format.dumps(report, indent=2, ensure_ascii=False) + "\n")


def chosen_parts(only: Sequence[str]) -> Sequence[str]:
    """Return the parts to measure. Raises InvalidInput for unknown names."""
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise InvalidInput(f"No part is called {unknown[0]}; parts are {', '.join(PARTS)}.")
    return only or tuple(PARTS)


def measure(
    effort: Effort, parts: Sequence[str], *, workers: int, yardstick: Path
) -> dict[str, Any]:
    """Measure these parts, print the tables, return the report."""
    record = Record()
    folder = Path(tempfile.mkdtemp(prefix="clinic-bench-"))
    try:
        with running_backends(folder / "data", postgres_settings()) as servers:
            database = describe_database(servers.superuser_url)
            run = Bench(
                servers,
                folder,
                effort,
                record,
                datetime.now(UTC),
                yardstick.absolute() if _can_run(yardstick) else None,
                workers,
            )
            for name in parts:
                _measure_part(name, run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    by_part = ratios_of(effort.small, effort.large)
    ratios = {name: of for found in by_part.values() for name, of in found.items()}
    part_of = {name: part for part, found in by_part.items() for name in found}
    print_table(FIGURE_COLUMNS, figure_rows(record))
    print()
    print_table(RATIO_COLUMNS, ratio_rows(record, ratios, part_of))
    conditions = {
        "rounds": effort.rounds,
        "quick": effort.is_quick,
        "parts": list(parts),
        "workers": workers,
        "postgresql": database,
    }
    return summary(record, ratios, part_of, machine=describe_machine(), conditions=conditions)


def postgres_settings() -> dict[str, str]:
    """Return settings for a quarter of the machine's memory, as is usual, and without checkpoints
    during every measurement; commits are as safe as ever."""
    return {
        "shared_buffers": f"{memory_mb() // 4}MB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "30min",
        "max_connections": "200",
    }


def _measure_part(name: str, run: Bench) -> None:
    """Measure one part; an error is reported, and costs only this part's figures."""
    started = time.perf_counter()
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    if run.effort.is_quick and name == "scale":
        run.record.skip("first_open_10m", "--quick measures smaller sizes, under their own names")
    try:
        PARTS[name](run)
    except Exception as error:  # noqa: BLE001 - reported instead of a figure
        reason = f"{type(error).__name__}: {error}".strip()
        run.record.skip(name, reason)
        print(f"not measured: {reason}", file=sys.stderr)
    else:
        print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def _can_run(yardstick: Path) -> bool:
    return (yardstick / "app.py").exists() and all(find_spec(name) for name in YARDSTICK_NEEDS)

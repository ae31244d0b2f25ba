"""How long starting takes: of the help, the application and a server."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from clinic.devtools.bench.bench import Bench

RUNS_A_ROUND = 5

COMMANDS: Mapping[str, Sequence[str]] = {
    "start_python": ("-c", "pass"),
    "start_help": ("-m", "clinic.entrypoints.cli", "--help"),
    "start_app_import": ("-c", "import clinic.entrypoints.http.app"),
}


def measure_startup(bench: Bench) -> None:
    """Record the time of whole processes, including Python's own start, and that of a server."""
    for _ in range(bench.effort.rounds * RUNS_A_ROUND):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            bench.record.add(name, (time.perf_counter() - started) * 1000, "ms")
    filled = bench.database("10k")
    for _ in range(bench.effort.rounds):
        with bench.full(filled) as server:
            bench.record.add("start_server", server.started_in_s * 1000, "ms")
            bench.record.add("memory_of_app_process", server.memory_mb(), "MB")

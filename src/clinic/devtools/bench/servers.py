"""Starts the servers to measure as separate processes, and measures what they cost."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clinic.bootstrap import CannotStart
from clinic.devtools.bench import load
from clinic.devtools.bench.load import pack
from clinic.settings import PREFIX

if TYPE_CHECKING:
    # In the extra `embedded`, and slow to import.
    import psutil

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.01
CONNECTIONS = 32
LOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, of one process or several."""

    port: int
    process: subprocess.Popen[bytes]
    started_in_s: float

    def cpu_s(self) -> float:
        """Return the processor time that its processes have used so far."""
        total = 0.0
        for process in self._processes():
            used = process.cpu_times()
            total += used.user + used.system
        return total

    def memory_mb(self) -> float:
        """Return the resident memory of its largest process, the one that serves."""
        return float(max(process.memory_info().rss for process in self._processes())) / 2**20

    def _processes(self) -> list["psutil.Process"]:
        import psutil

        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


@contextlib.contextmanager
def running(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, port: int
) -> Iterator[Server]:
    """Run `python ARGUMENTS`; yield once it answers, stop it at the end. Raises CannotStart."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    started = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**kept, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield Server(port, process, time.perf_counter() - started)
    finally:
        _stop(process)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as probe:
            # Any answer will do; a listening socket alone is not a server that has started.
            probe.sendall(b"GET /health/live HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if probe.recv(1):
                return
        time.sleep(POLL_S)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
    raise CannotStart(f"A server to measure did not start: {lines[-1]} (all of it in {log})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True, slots=True)
class LoadRun:
    """What one run of the load client measured, and what it cost the server."""

    elapsed_s: float
    statuses: Mapping[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    server_cpu_s: float = field(default=0.0)

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    def count(self, status: int) -> int:
        return self.statuses.get(str(status), 0)

    def require(self, *allowed: int) -> None:
        """Raise RuntimeError when any other status was answered: fast errors must not count."""
        odd = {status: n for status, n in self.statuses.items() if int(status) not in allowed}
        if odd:
            raise RuntimeError(f"unexpected answers: {odd}")


def run_load(
    server: Server,
    requests: Iterable[bytes],
    folder: Path,
    *,
    duration_s: float = LOAD_TIMEOUT_S,
    connections: int = CONNECTIONS,
    limit: int = 0,
) -> LoadRun:
    """Send the requests, at most `limit`, for up to `duration_s`; return what was measured.

    With a limit, a shorter list of requests is repeated.
    """
    data, spec = folder / "requests.bin", folder / "load.json"
    data.write_bytes(pack(requests))
    spec.write_text(
        json.dumps(
            {
                "requests": str(data),
                "host": HOST,
                "port": server.port,
                "connections": connections,
                "duration_s": duration_s,
                "limit": limit,
            }
        )
    )
    before = server.cpu_s()
    done = subprocess.run(
        [sys.executable, "-I", "-S", load.__file__, str(spec)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LOAD_TIMEOUT_S + READY_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load client failed: {done.stderr.strip()[-500:]}")
    return LoadRun(**json.loads(done.stdout), server_cpu_s=server.cpu_s() - before)

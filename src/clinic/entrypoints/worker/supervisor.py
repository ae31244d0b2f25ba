"""Runs several worker processes, and restarts those that end.

This is a convenience: restarting everything after a crash or a reboot is left to the platform, such
as systemd or Kubernetes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MODULE = "clinic.entrypoints.worker.process"
#: pause before a process is restarted; it doubles while the process ends within STEADY_S
PAUSE_FIRST_S, PAUSE_MAX_S, STEADY_S = 0.5, 30.0, 60.0
#: time to stop, beyond what the processes allow for work in progress
STOP_MARGIN_S = 10.0
POLL_S = 0.1


@dataclass(slots=True)
class _Child:
    number: int
    process: "subprocess.Popen[bytes]"
    started_at: float
    pause_s: float = PAUSE_FIRST_S
    #: when to restart it, once it has ended
    again_at: float | None = None


class Supervisor:
    """Runs `count` worker processes in `roles` (empty: all) until SIGTERM or SIGINT."""

    def __init__(self, *, count: int, roles: Sequence[str], stop_timeout_s: float) -> None:
        self._count = count
        self._roles = roles
        self._stop_timeout_s = stop_timeout_s + STOP_MARGIN_S
        self._stop = threading.Event()

    def run(self) -> int:
        """Wait for a signal, then stop every process; return 0 if all ended in time, else 1."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        now = time.monotonic()
        children = [_Child(number, self._start(number), now) for number in range(self._count)]
        try:
            while not self._stop.wait(POLL_S):
                for child in children:
                    self._tend(child)
        finally:
            clean = self._stop_all(child.process for child in children)
        return 0 if clean else 1

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.again_at is not None:
            if now >= child.again_at:
                child.process = self._start(child.number)
                child.started_at, child.again_at = now, None
        elif (status := child.process.poll()) is not None:
            _close(child.process)
            pause_s = PAUSE_FIRST_S if now - child.started_at > STEADY_S else child.pause_s
            child.again_at, child.pause_s = now + pause_s, min(2 * pause_s, PAUSE_MAX_S)
            message = f"worker {child.number} ended with {status}; starting it again in {pause_s} s"
            print(message, file=sys.stderr, flush=True)  # noqa: T201

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        # One port for the first process; the others take any.
        port = {"CLINIC_WORKER_PORT": "0"} if number > 0 else {}
        return subprocess.Popen(  # noqa: S603 - this program's own module
            [sys.executable, "-m", MODULE, "--supervised", *self._roles],
            stdin=subprocess.PIPE,
            env={**os.environ, **port},
            # Ctrl-C then reaches only this process, which stops the others in an orderly way.
            start_new_session=True,
        )

    def _stop_all(self, processes: Iterable["subprocess.Popen[bytes]"]) -> bool:
        running = list(processes)
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        clean = True
        for process in running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                clean = False
            _close(process)
        return clean


def _close(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()

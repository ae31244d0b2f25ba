"""Keeps worker processes running: restarts what ends, stops all of them in order."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MODULE = "clinic.entrypoints.worker.process"
PAUSE_FIRST_S, PAUSE_MAX_S = 0.5, 30.0
#: a process that lived so long starts anew without a pause
STEADY_S = 60.0
#: beyond what the processes give what they have begun
STOP_MARGIN_S = 10.0
POLL_S = 0.1


@dataclass(slots=True)
class _Place:
    """Where one process belongs, whichever it is at the moment."""

    number: int
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    start_at: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs `count` worker processes in `roles` until it is told to stop."""

    def __init__(
        self,
        *,
        count: int,
        roles: Sequence[str],
        stop_timeout_s: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._places = [_Place(number) for number in range(count)]
        self._roles = roles
        self._stop_timeout_s = stop_timeout_s + STOP_MARGIN_S
        self._environ = dict(os.environ if environ is None else environ)
        self._stop = threading.Event()

    def run(self) -> int:
        """Stay until SIGTERM or SIGINT, then stop every process; return 0 when all ended well."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            while not self._stop.is_set():
                for place in self._places:
                    self._tend(place)
                self._stop.wait(POLL_S)
        finally:
            clean = self._stop_all()
        return 0 if clean else 1

    def _tend(self, place: _Place) -> None:
        now = time.monotonic()
        if place.process is None:
            if now >= place.start_at:
                place.process, place.started_at = self._start(place.number), now
            return
        status = place.process.poll()
        if status is None:
            return
        self._close(place.process)
        lived_s = now - place.started_at
        place.process = None
        place.failures = 0 if lived_s > STEADY_S else place.failures + 1
        pause = min(PAUSE_FIRST_S * 2 ** max(place.failures - 1, 0), PAUSE_MAX_S)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311
        place.start_at = now + pause
        message = f"worker {place.number} ended with {status}; starting it anew in {pause:.1f} s"
        print(message, file=sys.stderr, flush=True)  # noqa: T201

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        environ = dict(self._environ)
        if number > 0:
            # One port for the first process; the others take any.
            environ["CLINIC_WORKER_PORT"] = "0"
        return subprocess.Popen(  # noqa: S603 - this program's own module
            [sys.executable, "-m", MODULE, "--supervised", *self._roles],
            stdin=subprocess.PIPE,
            env=environ,
            # Ctrl-C reaches this process alone, which then stops the others in order.
            start_new_session=True,
        )

    def _stop_all(self) -> bool:
        running = [place.process for place in self._places if place.process is not None]
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
            self._close(process)
        return clean

    @staticmethod
    def _close(process: "subprocess.Popen[bytes]") -> None:
        if process.stdin is not None:
            process.stdin.close()

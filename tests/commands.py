"""Runs `clinic …` in separate processes that have imported everything already.

One process imports the command line once and forks for each command; starting Python each time
would take most of a second. Every command has its own parent, which sends its pid and, once
it has ended, its exit status over the socket that requested it.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

#: what commands import besides their own module
PRELOADED = (
    "clinic.adapters.argon2",
    "clinic.adapters.dramatiq",
    "clinic.adapters.email",
    "clinic.adapters.postgres",
    "clinic.adapters.postgres.checks.consistency",
    "clinic.adapters.postgres.migrations",
    "clinic.adapters.redis",
    "clinic.entrypoints.cli.app",
    "clinic.entrypoints.cli.check",
    "clinic.entrypoints.cli.check_messages",
    "clinic.entrypoints.http.app",
    "clinic.entrypoints.worker.process",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
#: how long a command that is waited for may take
PATIENCE_S = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Running:
    """A started command, with those parts of `subprocess.Popen` that tests use."""

    def __init__(self, answer: socket.socket) -> None:
        self._answer = answer
        self._told = b""
        self._answer.settimeout(PATIENCE_S)
        self.pid = int(self._line())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        try:
            return self.wait(0)
        except TimeoutError:
            return None

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Return the exit status once it has ended, -9 after SIGKILL. Raises TimeoutError."""
        if self.returncode is None:
            self._answer.settimeout(timeout)
            try:
                self.returncode = int(self._line())
            except BlockingIOError:
                raise TimeoutError from None
            self._answer.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        while b"\n" not in self._told:
            data = self._answer.recv(64)
            assert data, "the parent of the command died"
            self._told += data
        line, _, self._told = self._told.partition(b"\n")
        return line


class Commands:
    """The process that forks, until `close`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="clinic-commands-")
        self._address = f"{self._folder.name}/socket"
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """End the process that forks."""
        self._process.terminate()
        self._process.communicate()
        self._folder.cleanup()

    def begin(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path,
        *,
        stdout: Path = Path(os.devnull),
        stderr: Path | None = None,
    ) -> Running:
        """Start `clinic ARGUMENTS` with these CLINIC_ variables and no others.

        Its output is appended to files: both streams to one if `stderr` is missing.
        """
        kept = {name: text for name, text in os.environ.items() if not name.startswith("CLINIC_")}
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(self._address)
        files = [stdout, stderr or stdout]
        for file in files:
            file.touch()
        job = [list(arguments), {**kept, **environ}, str(cwd), *map(str, files)]
        asked.sendall(json.dumps(job).encode() + b"\n")
        return Running(asked)

    def run(self, arguments: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Ran:
        """Run `clinic ARGUMENTS` to its end."""
        [ran] = self.run_together([(arguments, environ)], cwd)
        return ran

    def run_together(
        self, asked: Sequence[tuple[Sequence[str], Mapping[str, str]]], cwd: Path
    ) -> list[Ran]:
        """Run commands at the same time, each with its variables, until all have ended."""
        with TemporaryDirectory(prefix="clinic-commands-") as name:
            folder = Path(name)
            begun = []
            for number, (arguments, environ) in enumerate(asked):
                out, err = folder / f"{number}.out", folder / f"{number}.err"
                begun.append(
                    (self.begin(arguments, environ, cwd, stdout=out, stderr=err), out, err)
                )
            return [
                Ran(running.wait(), out.read_text(), err.read_text()) for running, out, err in begun
            ]


def _serve(address: str) -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    # The kernel reaps the commands' parents.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            asked, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _look_after_one(asked)
            asked.close()


def _look_after_one(asked: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with asked.makefile() as told:
        job = json.loads(told.readline())
    pid = os.fork()
    if pid == 0:
        asked.close()
        _run(*job)
    asked.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    asked.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(arguments: list[str], environ: dict[str, str], cwd: str, stdout: str, stderr: str) -> None:
    from clinic.entrypoints.cli import run

    for number, name in ((1, stdout), (2, stderr)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ.clear()
    os.environ.update(environ)
    # PYTHONTZPATH has been read already.
    zoneinfo.reset_tzpath()
    os.chdir(cwd)
    sys.argv = ["clinic", *arguments]
    # End as Python does: run exit handlers and join threads.
    sys.exit(run(arguments))


if __name__ == "__main__":
    _serve(sys.argv[1])

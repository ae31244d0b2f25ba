"""Runs `clinic …` in processes of their own that need not import everything first.

One process imports the command line once and forks for each command; starting Python anew would
take most of a second each time. The command's output goes to files, its exit status over the
socket on which it was asked for.
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

#: what commands import beside their own module
PRELOADED = (
    "clinic.entrypoints.cli.app",
    "clinic.entrypoints.cli.check",
    "clinic.entrypoints.cli.check_messages",
    "clinic.adapters.argon2",
    "clinic.adapters.dramatiq",
    "clinic.adapters.email",
    "clinic.adapters.postgres",
    "clinic.adapters.postgres.consistency",
    "clinic.adapters.postgres.migrations",
    "clinic.adapters.redis",
)
#: how long a command may take
PATIENCE_S = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Running:
    """A command that was begun."""

    def __init__(self, folder: Path, answer: socket.socket) -> None:
        self._folder = folder
        self._answer = answer

    def ended(self) -> Ran:
        """Wait until it has ended. Raises TimeoutError."""
        with self._answer, self._answer.makefile() as told:
            status = told.readline()
        assert status, "the command's process died"
        printed = [(self._folder / name).read_text() for name in ("stdout", "stderr")]
        return Ran(int(status), *printed)


class Commands:
    """The process that forks, until `close`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="clinic-commands-")
        self._number = 0
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

    def begin(self, arguments: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Running:
        """Begin `clinic ARGUMENTS` with these CLINIC_ variables and no others."""
        self._number += 1
        folder = Path(self._folder.name) / str(self._number)
        folder.mkdir()
        kept = {name: text for name, text in os.environ.items() if not name.startswith("CLINIC_")}
        asked = socket.socket(socket.AF_UNIX)
        asked.settimeout(PATIENCE_S)
        asked.connect(self._address)
        job = [list(arguments), {**kept, **environ}, str(cwd), str(folder)]
        asked.sendall(json.dumps(job).encode() + b"\n")
        return Running(folder, asked)

    def run(self, arguments: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Ran:
        """Run `clinic ARGUMENTS` to its end."""
        return self.begin(arguments, environ, cwd).ended()


def _serve(address: str) -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    # The kernel buries the children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            asked, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(asked)
            asked.close()


def _run(asked: socket.socket) -> None:
    from clinic.entrypoints.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with asked.makefile() as told:
        arguments, environ, cwd, folder = json.loads(told.readline())
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(environ)
    # PYTHONTZPATH has been read already.
    zoneinfo.reset_tzpath()
    os.chdir(cwd)
    sys.argv = ["clinic", *arguments]
    status = 1
    try:
        main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - said as Python says it
        traceback.print_exc()
    sys.stdout.flush()
    asked.sendall(f"{status}\n".encode())
    os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])

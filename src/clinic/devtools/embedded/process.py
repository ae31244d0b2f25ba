"""Starts a server under its watchdog, and ends one that an earlier run left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clinic.devtools.embedded.account import ServerAccount
from clinic.devtools.embedded.errors import StartFailed

if TYPE_CHECKING:
    # In the extra `embedded`, and slow to import.
    import psutil

WATCHDOG = Path(__file__).with_name("watchdog.py")
# Time for the watchdog to end, in addition to the server's own time to stop.
WATCHDOG_GRACE_S = 5.0
LOG_TAIL_BYTES = 4000
LEFTOVER_STOP_S = 15.0
POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """How to run a server: its arguments, working folder, log, identity and way to stop."""

    argv: tuple[str, ...]
    directory: Path
    log: Path
    account: ServerAccount | None
    stop_signal: signal.Signals
    stop_timeout_s: float = 30.0


@dataclass(frozen=True)
class WatchedServer:
    """A running server: its `pid`, and the watchdog that ends it when this process ends."""

    pid: int
    command: ServerCommand
    log_offset: int
    watchdog: subprocess.Popen[bytes]

    def has_ended(self) -> bool:
        """Return whether the server and its watchdog are gone."""
        return self.watchdog.poll() is not None

    def log_text(self) -> str:
        """Return the end of what the server wrote to its log since it was started."""
        with self.command.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self.log_offset, size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """Shut the server down; return when it and its watchdog have ended."""
        assert self.watchdog.stdin is not None
        self.watchdog.stdin.close()
        self.wait()

    def kill9(self) -> None:
        """Kill the server as a power cut would; return when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait()
        assert self.watchdog.stdin is not None
        self.watchdog.stdin.close()

    def wait(self) -> None:
        """Return when the watchdog has ended; kill it if it takes too long."""
        try:
            self.watchdog.wait(self.command.stop_timeout_s + WATCHDOG_GRACE_S)
        except subprocess.TimeoutExpired:
            self.watchdog.kill()
            self.watchdog.wait()
        assert self.watchdog.stdout is not None
        self.watchdog.stdout.close()


def start_server(command: ServerCommand) -> WatchedServer:
    """Return the server, started but perhaps not ready yet. Raises StartFailed."""
    order = {
        "argv": command.argv,
        "directory": str(command.directory),
        # Nothing from the caller's: PG* variables and locales would change what the server does.
        "environment": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        "uid": command.account.uid if command.account else None,
        "gid": command.account.gid if command.account else None,
        "stop_signal": int(command.stop_signal),
        "stop_timeout_s": command.stop_timeout_s,
    }
    with command.log.open("ab") as log:
        log_offset = log.seek(0, os.SEEK_END)
        watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHDOG), json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            # A Ctrl-C in the terminal must not reach the server before its users have ended.
            start_new_session=True,
        )
    assert watchdog.stdin is not None
    assert watchdog.stdout is not None
    try:
        answer = watchdog.stdout.readline()
    except BaseException:
        # It may have started its server already.
        watchdog.stdin.close()
        watchdog.wait()
        watchdog.stdout.close()
        raise
    server = WatchedServer(int(answer or 0), command, log_offset, watchdog)
    if not answer:
        server.stop()
        raise StartFailed(server.log_text())
    return server


def stop_leftover(pid: int | None, directory: Path, stop_signal: signal.Signals) -> None:
    """End the server `pid` of an earlier run, if that process still runs in `directory`.

    A watchdog stops its server by itself; this waits for that, and is needed if the watchdog was
    killed too. The working folder shows whether an unrelated process has got the same pid.
    """
    import psutil

    if pid is None:
        return
    try:
        leftover = psutil.Process(pid)
        for next_signal in (stop_signal, signal.SIGQUIT, signal.SIGKILL):
            if not _runs_in(leftover, directory):
                return
            leftover.send_signal(next_signal)
            deadline = time.monotonic() + LEFTOVER_STOP_S
            while _runs_in(leftover, directory) and time.monotonic() < deadline:
                time.sleep(POLL_S)
    except psutil.Error:
        # It ended meanwhile.
        return


def end_everyone_in(directory: Path) -> None:
    """Kill all processes whose working folder is `directory`, such as a killed program's children.

    Returns when none is found: a process may start another just before it is killed.
    """
    import psutil

    while found := list(_those_in(directory)):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=POLL_S)


def is_anyone_in(directory: Path) -> bool:
    """Return whether any process, such as a killed server's child, works in `directory`."""
    return next(_those_in(directory), None) is not None


def _those_in(directory: Path) -> "Iterator[psutil.Process]":
    import psutil

    return (process for process in psutil.process_iter() if _runs_in(process, directory))


def _runs_in(process: "psutil.Process", directory: Path) -> bool:
    """Return whether `directory` is the process's working folder; never that of a zombie."""
    import psutil

    try:
        return Path(process.cwd()).samefile(directory)
    except (psutil.Error, OSError):
        return False

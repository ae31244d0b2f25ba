"""Runs `clinic serve` for the demo, in a process that ends with the demo, however that ends.

The child runs this module too: it serves, and stops when its standard input closes. The demo holds
the other end, which the system closes even after a kill -9.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from clinic.bootstrap import CannotStart
from clinic.settings import PREFIX, Settings, settings_from_environment

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02


@contextlib.contextmanager
def web_server(settings: Settings, config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the web server that `config` describes; yield once it answers, and stop it at the end.

    Raises CannotStart.
    """
    with log.open("wb") as errors:
        log.chmod(0o600)
        server = subprocess.Popen(
            [sys.executable, "-m", "clinic.devtools.demo.web"],
            stdin=subprocess.PIPE,
            stdout=errors,
            stderr=errors,
            env=environment(os.environ, config),
            # A Ctrl-C must reach only the demo, which stops everything in order.
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(server, settings, log)
        yield server
    finally:
        stop(server)


def check_port(host: str, port: int) -> int:
    """Return `port`, or a free one for 0. Raises CannotStart if another program has it."""
    with socket.socket() as probe:
        # As the server itself does: lingering connections of the last run do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise CannotStart(f"Port {port} is for root; choose one with --port.") from error
        except OSError as error:
            raise CannotStart(f"Port {port} is in use; choose another with --port.") from error
        return int(probe.getsockname()[1])


def environment(environ: Mapping[str, str], config: Path) -> dict[str, str]:
    """Return the environment without the caller's settings, which are not the demo's."""
    kept = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    return {**kept, f"{PREFIX}CONFIG": str(config)}


def _wait_until_it_answers(server: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((settings.host, settings.port)):
            return
        time.sleep(POLL_S)
    lines = log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
    raise CannotStart(f"The web server did not start: {lines[-1]} (all of it in {log})")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop a child that watches its standard input, by force if that takes long."""
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def stop_with_standard_input() -> None:
    """Shut this process down when standard input closes, by force if that takes long."""
    # Not through sys.stdin, whose lock must be free when Python ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    os._exit(1)


def _serve() -> None:
    from clinic.entrypoints.cli.serve import listen

    threading.Thread(target=stop_with_standard_input, daemon=True).start()
    listen(settings_from_environment())


if __name__ == "__main__":
    _serve()

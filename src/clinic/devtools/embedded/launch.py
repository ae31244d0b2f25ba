"""Starts a server: tries its port, waits until it answers, and reports its log if it does not."""

import time
from collections.abc import Callable

from clinic.devtools.embedded.errors import StartFailed
from clinic.devtools.embedded.folder import ServerFolder
from clinic.devtools.embedded.process import ServerCommand, WatchedServer, start_server

ATTEMPTS = 5
# Long, since the server may have to recover from a crash first.
READY_TIMEOUT_S = 120.0
POLL_S = 0.01

PORT_TAKEN = ("Address already in use", "could not create any TCP/IP sockets", "Failed listening")


def launch(
    folder: ServerFolder,
    *,
    command_for: Callable[[int], ServerCommand],
    is_ready: Callable[[WatchedServer], bool],
) -> WatchedServer:
    """Return the server that `command_for(port)` starts, once `is_ready`. Raises StartFailed."""
    port_was_taken = False
    complaint = ""
    for _ in range(ATTEMPTS):
        port = folder.choose_port(avoid_kept=port_was_taken)
        server = start_server(command_for(port))
        folder.write("server.pid", str(server.pid))
        if _wait_until(is_ready, server):
            return server
        complaint = server.log_text()
        port_was_taken = any(sign in complaint for sign in PORT_TAKEN)
        if not port_was_taken:
            break
    raise StartFailed(f"The server in {folder.path} did not start:\n{complaint}")


def _wait_until(is_ready: Callable[[WatchedServer], bool], server: WatchedServer) -> bool:
    """Return True once the server is ready; stop it and return False if it ended or is too late."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    try:
        while time.monotonic() < deadline and not server.has_ended():
            if is_ready(server):
                return True
            time.sleep(POLL_S)
    except BaseException:
        server.stop()
        raise
    server.stop()
    return False

"""Runs one server for as long as the process that started it lives; run by path, not imported.

That process holds the other end of this program's standard input. However it ends, even by
kill -9, the system closes that end, and the server is then shut down. A parent-death signal would
not do: it fires when the *thread* that started the server ends, and only Linux has it.
"""

import json
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Start the server, print its pid or why it did not start, and wait until it has ended."""
    # The order to stop comes only through the pipe, not from a Ctrl-C or a closed terminal.
    # A handler that does nothing, since SIG_IGN would be passed on to the server.
    for unheard in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(unheard, lambda *_: None)
    order = json.loads(sys.argv[1])
    identity = {}
    if order["uid"] is not None:
        identity = {"user": order["uid"], "group": order["gid"], "extra_groups": []}
    try:
        server = subprocess.Popen(
            order["argv"],
            cwd=order["directory"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            **identity,
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"cannot run {order['argv'][0]}: {error}")
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()

    waiter = threading.Thread(target=server.wait, daemon=True)
    waiter.start()
    reader = threading.Thread(target=sys.stdin.buffer.read, daemon=True)
    reader.start()
    while waiter.is_alive() and reader.is_alive():
        reader.join(timeout=POLL_S)
    if waiter.is_alive():
        server.send_signal(order["stop_signal"])
        waiter.join(timeout=order["stop_timeout_s"])
    if waiter.is_alive():
        server.kill()
        waiter.join()


# How late a server's own end may be noticed; the order to stop is noticed at once.
POLL_S = 0.1

if __name__ == "__main__":
    main()

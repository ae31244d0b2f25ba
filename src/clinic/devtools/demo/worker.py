"""Runs `clinic worker` for the demo, in a process that ends with the demo, however that ends.

The child runs this module too: it supervises, and stops when its standard input closes.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from clinic.devtools.demo.web import environment, stop, stop_with_standard_input


@contextlib.contextmanager
def notification_worker(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker that `config` describes, without waiting for it; stop it at the end."""
    with log.open("wb") as output:
        log.chmod(0o600)
        worker = subprocess.Popen(
            [sys.executable, "-m", "clinic.devtools.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(os.environ, config),
            # A Ctrl-C must reach only the demo, which stops everything in order.
            start_new_session=True,
        )
    try:
        yield worker
    finally:
        stop(worker)


def _work() -> None:
    from clinic.entrypoints.worker.supervisor import Supervisor

    threading.Thread(target=stop_with_standard_input, daemon=True).start()
    Supervisor(count=1, roles=(), stop_timeout_s=0.0).run()


if __name__ == "__main__":
    _work()

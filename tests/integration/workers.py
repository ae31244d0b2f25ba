"""Starts `clinic worker` as a process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECRET = "of-these-workers-alone-0123456789"
PATIENCE_S = 60


def start_worker(urls, valkey_url: str, mail_url: str, log: Path, **settings: str):
    """Start one whose words go to `log`; nothing of this process's own settings reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINIC_")}
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "clinic.entrypoints.cli", "worker"],
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={
                **kept,
                "CLINIC_DATABASE_URL": urls.app_url,
                "CLINIC_QUEUE_URL": valkey_url,
                "CLINIC_MAIL_URL": mail_url,
                "CLINIC_WORKER_PORT": "0",
                "CLINIC_SECRET": SECRET,
                **settings,
            },
        )


def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so; fail when it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)

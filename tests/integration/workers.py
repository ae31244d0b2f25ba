"""Starts `clinic worker` as a process."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.commands import Commands, Running

SECRET = "of-these-workers-alone-0123456789"
PATIENCE_S = 60


def start_worker(
    commands: Commands, urls, valkey_url: str, mail_url: str, log: Path, **settings: str
) -> Running:
    """Start one whose output goes to `log`, without this process's own settings."""
    log.unlink(missing_ok=True)
    own = {
        "CLINIC_DATABASE_URL": urls.app_url,
        "CLINIC_QUEUE_URL": valkey_url,
        "CLINIC_MAIL_URL": mail_url,
        "CLINIC_WORKER_PORT": "0",
        "CLINIC_SECRET": SECRET,
    }
    return commands.begin(["worker"], {**own, **settings}, log.parent, stdout=log)


def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail when that takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)

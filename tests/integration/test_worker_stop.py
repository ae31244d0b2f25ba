"""SIGTERM: what is being handed over is finished, nothing else is begun, and an idle worker is gone
at once."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.mail import Mailbox, smtp_server

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing.contracts.outbox import seed_message

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATIENCE_S = 60
#: an idle worker's end, interpreter and all; its shutdown timeout is 25 s
IDLE_STOP_MAX_S = 3.0
SLOW_S = 1.5


@contextmanager
def supervised(
    urls, valkey_url: str, mail_url: str, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `clinic worker` with one thread, ready to work."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINIC_")}
    log = folder / "worker.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "clinic.entrypoints.cli", "worker"],
            stdout=output,
            stderr=output,
            cwd=folder,
            env={
                **kept,
                "CLINIC_DATABASE_URL": urls.app_url,
                "CLINIC_QUEUE_URL": valkey_url,
                "CLINIC_MAIL_URL": mail_url,
                "CLINIC_WORKER_PORT": "0",
                "CLINIC_WORKER_THREADS": "1",
            },
        )
    try:
        until(lambda: re.search("worker ready", log.read_text()) is not None)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> float:
    """Return how long the worker took to end in order."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    return time.monotonic() - began


async def seed(urls, count: int) -> None:
    store = PostgresStore(urls.app_url)
    await store.open()
    world = None
    for place in range(count):
        world = (await seed_message(store, place=place, world=world)).world
    await store.close()


async def test_idle_worker_ends_at_once(postgres_urls, valkey_url, tmp_path) -> None:
    with supervised(postgres_urls, valkey_url, "memory://", tmp_path) as process:
        assert stop(process) < IDLE_STOP_MAX_S


async def test_worker_finishes_what_it_hands_over_and_begins_nothing(
    postgres_urls, valkey_url, tmp_path
) -> None:
    mailbox = Mailbox(slow_s=SLOW_S)
    with (
        smtp_server(mailbox) as port,
        supervised(postgres_urls, valkey_url, f"smtp://127.0.0.1:{port}", tmp_path) as process,
    ):
        await seed(postgres_urls, 3)
        assert mailbox.begun.wait(PATIENCE_S)
        took_s = stop(process)

    assert len(mailbox.ids) == 1
    assert took_s < SLOW_S + IDLE_STOP_MAX_S
    with psycopg.connect(postgres_urls.owner_url) as connection:
        logged = connection.execute("SELECT status, maybe_twice FROM notification").fetchall()
        waiting = connection.execute("SELECT state, attempts FROM notification_outbox").fetchall()
    assert logged == [("SENT", False)]
    assert waiting == [("pending", 0)] * 2

"""SIGTERM: what is being handed over is finished, nothing else is begun, and an idle worker is gone
at once."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from tests.integration.workers import PATIENCE_S, start_worker, until
from tests.mail import Mailbox, smtp_server

from clinic.adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from clinic.adapters.postgres.migrations import migrate
from clinic.adapters.postgres.store import PostgresStore
from clinic.testing.contracts.outbox import seed_message

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

#: an idle worker's end, interpreter and all; its shutdown timeout is 25 s
IDLE_STOP_MAX_S = 6.0
SLOW_S = 1.5
#: how long its servers have been gone when a worker is told to end, and how long that may take
GONE_S, GONE_STOP_MAX_S = 3.0, 15.0


@contextmanager
def supervised(
    urls, valkey_url: str, mail_url: str, folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `clinic worker` with one thread, ready to work."""
    log = folder / "worker.log"
    process = start_worker(urls, valkey_url, mail_url, log, CLINIC_WORKER_THREADS="1")
    try:
        until(lambda: re.search("worker ready", log.read_text()) is not None)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


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


@pytest.mark.parametrize("hang", [False, True], ids=["killed", "hanging"])
def test_worker_whose_servers_are_gone_ends_soon(hang: bool, tmp_path) -> None:
    postgres, valkey = EmbeddedPostgres(tmp_path / "pg"), EmbeddedValkey(tmp_path / "valkey")
    postgres.start()
    valkey.start()
    migrate(postgres.url())
    urls = SimpleNamespace(app_url=postgres.url(role="app"))
    gone = [psutil.Process(server.pid) for server in (postgres, valkey)]
    gone += gone[0].children(recursive=True)
    try:
        with supervised(urls, valkey.url, "memory://", tmp_path) as process:
            for server in gone:
                with suppress(psutil.NoSuchProcess):
                    server.suspend() if hang else server.kill()
            time.sleep(GONE_S)
            assert stop(process) < GONE_STOP_MAX_S
    finally:
        for server in gone:
            with suppress(psutil.NoSuchProcess):
                server.resume()
        valkey.stop()
        postgres.stop()

"""SIGTERM: a worker finishes hand-overs in progress and starts no others; an idle one exits at
once."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from tests.commands import Commands, Running
from tests.integration.workers import PATIENCE_S, start_worker, until
from tests.mail import Mailbox, smtp_server

from clinic.adapters.postgres.migrations import migrate
from clinic.adapters.postgres.store import PostgresStore
from clinic.devtools.embedded import EmbeddedPostgres, EmbeddedValkey
from clinic.testing.contracts.outbox import seed_message

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

#: how long an idle worker may take to end, interpreter included; its shutdown timeout is 25 s
IDLE_STOP_MAX_S = 6.0
SLOW_S = 1.5
#: how long its servers have been hanging when a worker gets SIGTERM, and how long it may then take.
#: A worker notices after some seconds; what matters here is the time before that.
GONE_S, GONE_STOP_MAX_S = 3.0, 15.0


@contextmanager
def supervised(
    commands: Commands, urls, valkey_url: str, mail_url: str, folder: Path, **settings: str
) -> Iterator[Running]:
    """Run a `clinic worker` with one thread, and wait until it is ready."""
    log = folder / "worker.log"
    settings = {"CLINIC_WORKER_THREADS": "1", **settings}
    process = start_worker(commands, urls, valkey_url, mail_url, log, **settings)
    try:
        until(lambda: re.search("worker ready", log.read_text()) is not None)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def stop(process: Running) -> float:
    """Return how long the worker took to shut down cleanly."""
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


async def test_idle_worker_ends_at_once(commands, postgres_urls, valkey_url, tmp_path) -> None:
    with supervised(commands, postgres_urls, valkey_url, "memory://", tmp_path) as process:
        assert stop(process) < IDLE_STOP_MAX_S


async def test_worker_finishes_what_it_hands_over_and_begins_nothing(
    commands, postgres_urls, valkey_url, tmp_path
) -> None:
    mailbox = Mailbox(slow_s=SLOW_S)
    with (
        smtp_server(mailbox) as port,
        supervised(
            commands, postgres_urls, valkey_url, f"smtp://127.0.0.1:{port}", tmp_path
        ) as process,
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


@contextmanager
def servers(folder: Path) -> Iterator[tuple[EmbeddedPostgres, EmbeddedValkey, Callable[..., None]]]:
    """Run a migrated database and a queue, and yield what kills or suspends them."""
    postgres, valkey = EmbeddedPostgres(folder / "pg"), EmbeddedValkey(folder / "valkey")
    postgres.start()
    valkey.start()
    migrate(postgres.url())
    found = [psutil.Process(server.pid) for server in (postgres, valkey)]
    found += found[0].children(recursive=True)

    def lose(*, hang: bool) -> None:
        for server in found:
            with suppress(psutil.NoSuchProcess):
                server.suspend() if hang else server.kill()

    try:
        yield postgres, valkey, lose
    finally:
        for server in found:
            with suppress(psutil.NoSuchProcess):
                server.resume()
        valkey.stop()
        postgres.stop()


@pytest.mark.parametrize("hang", [False, True], ids=["killed", "hanging"])
def test_worker_whose_servers_are_gone_ends_soon(
    commands, hang: bool, tmp_path, memory_path
) -> None:
    with servers(memory_path) as (postgres, valkey, lose):
        urls = SimpleNamespace(app_url=postgres.url(role="app"))
        with supervised(commands, urls, valkey.url, "memory://", tmp_path) as process:
            lose(hang=hang)
            if hang:
                time.sleep(GONE_S)
            else:
                until(lambda: "failed" in (tmp_path / "worker.log").read_text())
            assert stop(process) < GONE_STOP_MAX_S


async def test_worker_whose_servers_go_while_it_sends_ends_soon_after_its_patience(
    commands, tmp_path, memory_path
) -> None:
    """It keeps trying to record that the message was sent, but not beyond the timeout."""
    mailbox = Mailbox(slow_s=SLOW_S)
    with servers(memory_path) as (postgres, valkey, lose), smtp_server(mailbox) as port:
        urls = SimpleNamespace(app_url=postgres.url(role="app"))
        await seed(urls, 2)
        with supervised(
            *(commands, urls, valkey.url, f"smtp://127.0.0.1:{port}", tmp_path),
            CLINIC_SHUTDOWN_TIMEOUT_S="2",
        ) as process:
            assert mailbox.begun.wait(PATIENCE_S)
            lose(hang=False)
            until(lambda: len(mailbox.ids) == 1)
            assert stop(process) < GONE_STOP_MAX_S

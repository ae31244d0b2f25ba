"""`clinic worker` as a process: it delivers, restarts, sets poison aside, leaves no process."""

import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis
from tests.commands import Running
from tests.integration.workers import PATIENCE_S, start_worker, until

from clinic.adapters.postgres.store import PostgresStore
from clinic.testing.builders import World
from clinic.testing.contracts.outbox import seed_message

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@dataclass
class Worker:
    supervisor: Running
    log: Path
    mail: Path

    @property
    def child(self) -> psutil.Process:
        until(lambda: bool(psutil.Process(self.supervisor.pid).children()))
        return psutil.Process(self.supervisor.pid).children()[0]

    def url(self) -> str:
        """Return the health URL of the worker that was started last."""
        until(lambda: "worker ready" in self.log.read_text())
        found: str = re.findall(r"worker ready (http\S+)/metrics", self.log.read_text())[-1]
        return found

    def ask(self, path: str) -> str:
        with urllib.request.urlopen(self.url() + path) as answer:
            text: str = answer.read().decode()
        return text

    def delivered(self) -> int:
        return len(list((self.mail / "new").glob("*.eml")))


@pytest.fixture
def worker(commands, postgres_urls, valkey_url, tmp_path) -> Iterator[Worker]:
    log, mail = tmp_path / "worker.log", tmp_path / "mail"
    supervisor = start_worker(commands, postgres_urls, valkey_url, f"maildir://{mail}", log)
    yield Worker(supervisor, log, mail)
    supervisor.terminate()
    supervisor.wait(PATIENCE_S)


async def seed(url: str, *, place: int = 0, world: World | None = None) -> World:
    store = PostgresStore(url)
    await store.open()
    sent = await seed_message(store, place=place, world=world)
    await store.close()
    return sent.world


async def test_worker_delivers_is_restarted_and_ends_in_order(worker, postgres_urls) -> None:
    world = await seed(postgres_urls.app_url)
    until(lambda: worker.delivered() == 1)

    assert worker.ask("/health/live") == "alive\n"
    assert worker.ask("/health/ready") == "ready\n"
    assert 'clinic_notifications_total{result="sent"} 1.0' in worker.ask("/metrics")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        worker.ask("/elsewhere")

    first = worker.child
    first.kill()
    await seed(postgres_urls.app_url, place=1, world=world)
    until(lambda: worker.delivered() == 2)
    second = worker.child
    assert second.pid != first.pid

    worker.supervisor.send_signal(signal.SIGTERM)
    assert worker.supervisor.wait(PATIENCE_S) == 0
    assert not second.is_running()


async def test_worker_ends_with_a_supervisor_that_is_killed(worker, postgres_urls) -> None:
    worker.url()
    child = worker.child

    worker.supervisor.kill()

    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_poison_is_set_aside_and_stops_nobody(worker, postgres_urls, valkey_url) -> None:
    worker.url()
    with redis.Redis.from_url(valkey_url) as client:
        with client.pipeline() as pipe:
            pipe.hset("clinic:dramatiq:notifications.msgs", "poison", b"\xff no message")
            # Twice, as after `recover`, which treats a job without a time as lost.
            pipe.rpush("clinic:dramatiq:notifications", "poison", "poison")
            pipe.zadd("clinic:scheduled", {'"no job': 0})
            pipe.execute()

        await seed(postgres_urls.app_url)
        until(lambda: worker.delivered() == 1)

        until(lambda: client.llen("clinic:poison") == 2)
        until(lambda: client.hlen("clinic:dramatiq:notifications.msgs") == 0)

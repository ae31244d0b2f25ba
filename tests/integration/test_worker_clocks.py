"""A worker whose machine's clock jumps, and queues whose clocks are wrong: no message goes out
early by the database's clock, and none is lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_urlsafe
from uuid import uuid4

import psycopg
import pytest
import redis
import time_machine

from clinic.adapters.dramatiq.queue import spelt
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.postgres.store import PostgresStore
from clinic.bootstrap import WorkerServices, build_worker
from clinic.domain.messaging.deliveries import Outcome
from clinic.domain.notifications import EMAIL
from clinic.entrypoints.worker import process
from clinic.entrypoints.worker.process import Worker
from clinic.settings import Settings
from clinic.testing.contracts.outbox import publish, seed_message
from clinic.usecases.messaging.relay_outbox import sweep_outbox

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOUR = timedelta(hours=1)
PATIENCE_S, PAUSE_S = 30.0, 0.02
#: shorter than the hours that clocks jump by
USEFUL = timedelta(minutes=20)


@pytest.fixture
async def parts(postgres_urls, valkey_url) -> AsyncIterator[WorkerServices]:
    built = build_worker(
        Settings(
            database_url=postgres_urls.app_url,
            queue_url=valkey_url,
            secret=token_urlsafe(48),
            worker_port=0,
            worker_threads=2,
            shutdown_timeout_s=5,
        )
    )
    await built.store.open()
    yield built
    await built.queue.stop(timeout_s=5)
    await built.close()


@pytest.fixture
def mail(parts) -> MemoryNotifier:
    notifier = parts.delivery.notifiers[EMAIL]
    assert isinstance(notifier, MemoryNotifier)
    return notifier


class Running:
    """A worker in this process; leaving the block ends it."""

    def __init__(self, services: WorkerServices) -> None:
        self._worker = Worker(services)

    async def __aenter__(self) -> Worker:
        await self._worker.start()
        self._task = asyncio.create_task(self._worker.run())
        return self._worker

    async def __aexit__(self, *_: object) -> None:
        self._worker.request_stop()
        await self._task


async def until(condition) -> None:
    for _ in range(int(PATIENCE_S / PAUSE_S)):
        if condition():
            return
        await asyncio.sleep(PAUSE_S)
    pytest.fail("it did not come to pass")


async def seed_short_lived(urls, *, due: timedelta) -> None:
    """Seed a message that expires in less time than the clocks jump by."""
    store = PostgresStore(urls.app_url)
    await store.open()
    await seed_message(store, due=due)
    await store.close()
    execute(urls, "UPDATE notification_outbox SET expires_at = scheduled_for + %s", USEFUL)


def execute(urls, statement: str, *parameters: object) -> None:
    with psycopg.connect(urls.owner_url, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def outcomes(urls) -> list[tuple[str, bool]]:
    with psycopg.connect(urls.owner_url) as connection:
        rows = connection.execute("SELECT status, maybe_twice FROM notification").fetchall()
    return [(row[0], row[1]) for row in rows]


def sent_early(urls) -> bool:
    """Say whether a message went out before its time, by the database's clock."""
    with psycopg.connect(urls.owner_url) as connection:
        early = connection.execute("SELECT FROM notification WHERE finished_at < scheduled_for")
    return early.rowcount > 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(seconds=0.3)], ids=str)
async def test_worker_whose_clock_jumps_sends_on_time(parts, mail, postgres_urls, jump) -> None:
    with time_machine.travel(datetime.now(UTC), tick=True) as machine:
        async with Running(parts):
            await seed_short_lived(postgres_urls, due=timedelta(seconds=2))
            machine.shift(jump)
            await until(lambda: len(mail.sent) == 1)

    assert outcomes(postgres_urls) == [(Outcome.SENT.value, False)]
    assert not sent_early(postgres_urls)


async def test_message_is_too_late_by_the_database_s_clock(parts, mail, postgres_urls) -> None:
    await seed_short_lived(postgres_urls, due=-USEFUL * 1.5)
    with time_machine.travel(datetime.now(UTC) - HOUR, tick=True):
        async with Running(parts):
            await until(lambda: outcomes(postgres_urls))

    assert mail.sent == []
    assert outcomes(postgres_urls) == [(Outcome.FAILED.value, False)]


async def test_queue_whose_clock_is_fast_is_told_to_wait(parts, mail, postgres_urls, valkey_url):
    await seed_short_lived(postgres_urls, due=timedelta(seconds=2))
    async with Running(parts) as worker:
        await until(lambda: scheduled(valkey_url))
        # The effect of a queue clock that is an hour ahead.
        move(valkey_url, -HOUR)
        await until(lambda: len(mail.sent) == 1)
        asked = worker.metrics.registry.get_sample_value(
            "clinic_notifications_total", {"result": "skipped"}
        )

    assert not sent_early(postgres_urls)
    # Tried too early once, and not repeatedly until it was time.
    assert asked is not None
    assert asked <= 3


async def test_queue_whose_clock_is_slow_is_told_that_it_is_time(
    parts, mail, postgres_urls, valkey_url, monkeypatch
):
    hurried = partial(sweep_outbox, overdue=timedelta(seconds=0.5))
    monkeypatch.setattr(process, "sweep_outbox", hurried)
    await seed_short_lived(postgres_urls, due=timedelta(seconds=2))
    async with Running(parts):
        await until(lambda: scheduled(valkey_url))
        move(valkey_url, HOUR)
        await until(lambda: len(mail.sent) == 1)

    assert outcomes(postgres_urls) == [(Outcome.SENT.value, False)]


def scheduled(valkey_url: str) -> list[tuple[bytes, float]]:
    """Return the waiting messages, once the worker's initial resync is over."""
    with redis.Redis.from_url(valkey_url) as client:
        if not client.exists("clinic:synced"):
            return []
        found: list[tuple[bytes, float]] = client.zrange("clinic:scheduled", 0, -1, withscores=True)
    return found


def move(valkey_url: str, by: timedelta) -> None:
    """Shift the times of all messages waiting in the queue."""
    with redis.Redis.from_url(valkey_url) as client:
        for key, at_ms in scheduled(valkey_url):
            client.zadd("clinic:scheduled", {key: at_ms + by.total_seconds() * 1000})


async def test_message_published_before_the_database_s_clock_was_set_back_is_rescued(
    parts, postgres_urls
):
    sent = await seed_message(parts.store)
    await publish(parts.store)
    execute(postgres_urls, "UPDATE notification_outbox SET published_at = now() + %s", HOUR)

    found = await parts.store.outbox.rescue(overdue=timedelta(seconds=5), limit=10)

    assert [job.message_id for job in found] == [sent.message.id]


async def test_job_begun_before_the_queue_s_clock_was_set_back_is_recovered(parts, valkey_url):
    ahead_ms = int((datetime.now(UTC) + HOUR).timestamp() * 1000)
    job = spelt(uuid4(), uuid4())
    with redis.Redis.from_url(valkey_url) as client:
        body = f'{{"message_timestamp":{ahead_ms}}}'
        client.hset("clinic:dramatiq:notifications.msgs", job, body)

    assert await parts.queue.recover() == 1
    assert await parts.queue.recover() == 0
    assert (await parts.queue.counts()).ready == 1


async def test_old_message_that_is_no_job_is_set_aside_by_the_sweep(parts, valkey_url):
    with redis.Redis.from_url(valkey_url) as client:
        client.hset("clinic:dramatiq:notifications.msgs", "no job", b"\xff no message")

        assert await parts.queue.recover() == 1
        assert await parts.queue.recover() == 0
        assert client.lrange("clinic:poison", 0, -1) == [b"\xff no message"]

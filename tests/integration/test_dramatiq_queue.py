"""Promoters that die between two steps, several at once, and messages of the previous release."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis

from clinic.adapters.dramatiq import DramatiqQueue
from clinic.adapters.dramatiq import broker as broker_module
from clinic.adapters.dramatiq import queue as queue_module
from clinic.adapters.dramatiq.queue import READY_MAX, spelt
from clinic.ports.job_queue import Job, QueueUnavailable
from clinic.testing.contracts.job_queue import a_job

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATIENCE_S, PAUSE_S = 30.0, 0.02
BODIES, READY = "clinic:dramatiq:notifications.msgs", "clinic:dramatiq:notifications"


@pytest.fixture
async def queues(valkey_url) -> AsyncIterator[list[DramatiqQueue]]:
    """Four processes' view of one queue."""
    found = [DramatiqQueue(valkey_url) for _ in range(4)]
    yield found
    for queue in found:
        await queue.stop(timeout_s=5)


@pytest.fixture
def client(valkey_url) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def short_lease(monkeypatch) -> None:
    monkeypatch.setattr(queue_module, "PROMOTE_LEASE_MS", 50)


def die_after(monkeypatch, queue: DramatiqQueue, count: int) -> None:
    """Let the queue's process enqueue so many jobs, and no more."""
    enqueue, left = queue._broker.enqueue, [None] * count

    def enqueue_or_die(message: Any) -> Any:
        if not left:
            raise redis.ConnectionError("killed")
        left.pop()
        return enqueue(message)

    monkeypatch.setattr(queue._broker, "enqueue", enqueue_or_die)


async def work_on_all(queue: DramatiqQueue, jobs: list[Job]) -> list[UUID]:
    """Work on what is ready until every job is done, and return what was done."""
    done: list[UUID] = []

    async def handle(_: UUID, message_id: UUID) -> None:
        done.append(message_id)

    wanted = {job.message_id for job in jobs}
    await queue.start(handle, threads=4)
    for _ in range(int(PATIENCE_S / PAUSE_S)):
        await queue.promote(limit=100)
        if wanted <= set(done) and (await queue.counts()).running == 0:
            return done
        await asyncio.sleep(PAUSE_S)
    pytest.fail(f"{len(wanted - set(done))} jobs were lost")


@pytest.mark.parametrize("count", [0, 1, 5, 9])
async def test_promoter_that_dies_at_any_job_loses_none(
    queues, client, short_lease, monkeypatch, count: int
) -> None:
    jobs = [a_job() for _ in range(10)]
    await queues[0].schedule(jobs)
    die_after(monkeypatch, queues[0], count)

    with pytest.raises(QueueUnavailable):
        await queues[0].promote(limit=10)

    assert (await queues[1].counts()).scheduled == 10
    done = await work_on_all(queues[1], jobs)
    assert len(done) >= 10
    # Those that were ready already are looked at again a second later.
    give_up_s = time.monotonic() + PATIENCE_S
    while client.zcard("clinic:scheduled") and time.monotonic() < give_up_s:
        await queues[1].promote(limit=10)
        await asyncio.sleep(PAUSE_S)
    assert client.zcard("clinic:scheduled") == 0


async def test_promoter_that_dies_before_the_last_step_makes_nothing_ready_twice(
    queues, short_lease, monkeypatch
) -> None:
    jobs = [a_job() for _ in range(10)]
    await queues[0].schedule(jobs)

    def die(**_: Any) -> None:
        raise redis.ConnectionError("killed")

    monkeypatch.setattr(queues[0], "_end_promotion", die)
    with pytest.raises(QueueUnavailable):
        await queues[0].promote(limit=10)
    await asyncio.sleep(0.1)  # The lease is over: time is what is tested.

    assert await queues[1].promote(limit=10) == 0
    counts = await queues[1].counts()
    assert (counts.scheduled, counts.ready) == (10, 10)


async def test_leased_jobs_belong_to_one_promoter_and_are_not_taken_for_lost(
    queues, monkeypatch
) -> None:
    jobs = [a_job() for _ in range(10)]
    await queues[0].schedule(jobs)
    die_after(monkeypatch, queues[0], 0)
    with pytest.raises(QueueUnavailable):
        await queues[0].promote(limit=4)

    assert await queues[1].hasten(jobs) == 0
    assert await queues[1].promote(limit=10) == 6


async def test_several_promoters_keep_to_the_bound_and_make_each_job_ready_once(queues) -> None:
    await queues[0].schedule([a_job() for _ in range(3000)])

    promoted = await asyncio.gather(*(queue.promote(limit=1000) for queue in queues))

    assert sum(promoted) == (await queues[0].counts()).ready <= READY_MAX
    # Jobs are counted twice between two steps, so that the first round may stop early.
    await queues[0].promote(limit=1000)
    counts = await queues[0].counts()
    assert counts.ready == READY_MAX
    assert counts.scheduled == 3000 - READY_MAX
    assert counts.running == 0


async def test_job_that_gets_a_new_time_while_it_is_promoted_keeps_it(
    queues, client, monkeypatch
) -> None:
    """As by a worker that has already failed at it, before its promoter removes it."""
    job = a_job()
    key = spelt(job.clinic_id, job.message_id)
    await queues[0].schedule([job])
    end = queues[0]._end_promotion

    def postponed_first(**arguments: Any) -> None:
        client.zadd("clinic:scheduled", {key: 4_000_000_000_000})
        end(**arguments)

    monkeypatch.setattr(queues[0], "_end_promotion", postponed_first)

    assert await queues[0].promote(limit=10) == 1
    assert client.zscore("clinic:scheduled", key) == 4_000_000_000_000


async def test_lease_from_before_the_clock_was_set_back_holds_nothing_up(queues, client) -> None:
    job = a_job()
    await queues[0].schedule([job])
    key = spelt(job.clinic_id, job.message_id)
    client.zadd("clinic:promoting", {key: 4_000_000_000_000})

    assert await queues[0].promote(limit=10) == 1


async def test_stranded_job_is_made_ready_by_the_queue_s_clock(queues, client) -> None:
    job = a_job()
    await queues[0].schedule([job])
    await queues[0].promote(limit=10)
    key = spelt(job.clinic_id, job.message_id)
    client.delete(READY)
    assert await queues[0].recover() == 0
    body = json.loads(client.hget(BODIES, key) or b"")
    body["message_timestamp"] -= timedelta(minutes=5) / timedelta(milliseconds=1)
    client.hset(BODIES, key, json.dumps(body, separators=(",", ":")))

    assert await queues[0].recover() == 1
    assert await queues[0].recover() == 0
    assert await work_on_all(queues[0], [job]) == [job.message_id]


async def test_message_of_the_previous_release_is_worked_on(queues, client) -> None:
    """That release wrote messages itself; one may be ready, and another one stranded."""
    jobs = [a_job(), a_job(), a_job()]
    for job, age_ms in zip(jobs, (0, 0, 300_000), strict=True):
        key = spelt(job.clinic_id, job.message_id)
        made_ms = int(job.due_at.timestamp() * 1000) - age_ms
        body = (
            f'{{"queue_name":"notifications","actor_name":"deliver","args":["{key}"],"kwargs":{{}},'
            f'"options":{{"redis_message_id":"{key}"}},"message_id":"{key}",'
            f'"message_timestamp":{made_ms}}}'
        )
        client.hset(BODIES, key, body)
    assert await queues[0].recover() == 1
    for job in jobs[:2]:
        client.rpush(READY, spelt(job.clinic_id, job.message_id))
    # What is ready is not made ready twice, whoever did it.
    await queues[0].schedule(jobs[:1])
    assert await queues[0].promote(limit=10) == 0

    done = await work_on_all(queues[0], jobs[1:])
    assert set(done) == {job.message_id for job in jobs}


async def test_message_has_the_form_that_the_previous_release_reads(queues, client) -> None:
    job = a_job()
    key = spelt(job.clinic_id, job.message_id)
    await queues[0].schedule([job])
    await queues[0].promote(limit=10)

    body = client.hget(BODIES, key) or b""
    message = json.loads(body)
    assert (message["args"], message["actor_name"]) == ([key], "deliver")
    assert message["options"]["redis_message_id"] == key
    assert f'"message_timestamp":{message["message_timestamp"]}'.encode() in body


async def test_fetched_messages_are_given_back_when_a_worker_stops(queues, client) -> None:
    begun, released = asyncio.Event(), asyncio.Event()

    async def handle(*_: UUID) -> None:
        begun.set()
        await released.wait()

    await queues[0].schedule([a_job() for _ in range(10)])
    await queues[0].promote(limit=10)
    await queues[0].start(handle, threads=1)
    await asyncio.wait_for(begun.wait(), PATIENCE_S)

    stopping = asyncio.create_task(queues[0].stop(timeout_s=5))
    await asyncio.sleep(PAUSE_S)
    released.set()
    await stopping

    counts = await queues[1].counts()
    assert (counts.ready, counts.running) == (9, 0)


async def test_worker_whose_connections_are_killed_goes_on_within_its_pause(
    queues, client, monkeypatch
) -> None:
    """Dramatiq alone would start a new consumer after 3 s."""
    monkeypatch.setattr(broker_module, "RECONNECT_S", 0.05)
    done = asyncio.Event()

    async def handle(*_: UUID) -> None:
        done.set()

    await queues[0].start(handle, threads=1)
    for _ in range(3):
        killed = 0
        while not killed:  # Its consumer connects in a thread.
            killed = client.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(PAUSE_S)
        done.clear()
        began = time.monotonic()
        await queues[1].schedule([a_job()])
        assert await queues[1].promote(limit=1) == 1
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        assert time.monotonic() - began < 2.5
        assert queues[0].is_working()


async def test_refused_fetch_neither_ends_a_consumer_nor_strands_what_it_fetched(
    queues, monkeypatch
) -> None:
    """An error that says nothing of the connection, as of a server that is busy with a script."""
    jobs = [a_job() for _ in range(8)]
    client = queues[0]._broker.client
    execute, refusals = client.execute_command, [None] * 20

    def refuse_some(*arguments: Any, **options: Any) -> Any:
        if refusals and "fetch" in arguments:
            refusals.pop()
            raise redis.ResponseError("BUSY")
        return execute(*arguments, **options)

    monkeypatch.setattr(client, "execute_command", refuse_some)
    monkeypatch.setattr(broker_module, "RECONNECT_S", 0.01)
    await queues[1].schedule(jobs)
    await queues[1].promote(limit=10)

    began = time.monotonic()
    assert len(await work_on_all(queues[0], jobs)) == len(jobs)
    assert not refusals
    # Dramatiq alone would pause for 3 s after each.
    assert time.monotonic() - began < 3 * 20 / 2

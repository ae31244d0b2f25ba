"""The job queue on Redis or Valkey.

A job is the 32 bytes of its key, in base64. It waits in a sorted set by due time, is enqueued in
Dramatiq when due, and Dramatiq's threads run it in the worker's event loop.
"""

import asyncio
import logging
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from uuid import UUID, uuid4

import dramatiq
import redis.asyncio
from dramatiq import Message, Worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from clinic.adapters.dramatiq.broker import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, Broker
from clinic.adapters.dramatiq.scripts import load
from clinic.ports.job_queue import Handler, Job, JobQueue, QueueCounts, QueueUnavailable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

QUEUE = "notifications"
ACTOR = "deliver"
#: no more jobs are made ready while this many are, so that few wait in a list without a due time
READY_MAX = 2000
#: how many jobs are leased and enqueued together; a promoter that is killed delays up to this many
PROMOTE_TOGETHER = 100
#: how long a promoter may take for them before another one enqueues them too
PROMOTE_LEASE_MS = 2000
#: how long after it was enqueued a job counts as lost
STRANDED_MS = 90_000
#: how long a resync that makes no progress counts as running
RESYNC_TTL_S = 30
WORKER_TIMEOUT_MS = 200


def _reaching(
    method: Callable[Concatenate["DramatiqQueue", P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["DramatiqQueue", P], Coroutine[Any, Any, R]]:
    """Make `method` raise QueueUnavailable for the client's errors."""

    @wraps(method)
    async def reaching(self: "DramatiqQueue", *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(self, *args, **kwargs)
        except (RedisError, OSError, TimeoutError) as error:
            raise QueueUnavailable(type(error).__name__) from error

    return cast("Callable[Concatenate[DramatiqQueue, P], Coroutine[Any, Any, R]]", reaching)


class DramatiqQueue(JobQueue):
    """Jobs in one Redis; `namespace` keeps several clinics' services apart."""

    def __init__(self, url: str, *, namespace: str = "clinic") -> None:
        self._url = url
        self._client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 1),
            decode_responses=True,
        )
        self._scheduled = f"{namespace}:scheduled"
        self._poison = f"{namespace}:poison"
        self._syncing = f"{namespace}:syncing"
        self._synced = f"{namespace}:synced"
        self._promoting = f"{namespace}:promoting"
        self._broker = Broker(url, namespace=f"{namespace}:dramatiq", poison_key=self._poison)
        self._ready = f"{namespace}:dramatiq:{QUEUE}"
        self._bodies = f"{self._ready}.msgs"
        self._take_due = self._client.register_script(load("take_due"))
        self._end_promotion = self._broker.client.register_script(load("end_promotion"))
        self._postpone = self._client.register_script(load("postpone"))
        self._hasten = self._client.register_script(load("hasten"))
        self._find_stranded = self._client.register_script(load("find_stranded"))
        self._end_resync = self._client.register_script(load("end_resync"))
        #: one for this object's lifetime, so that it can resume a resync that it did not finish
        self._resync_token = uuid4().hex
        self._resync_run: str | None = None
        self._worker: Worker | None = None

    @_reaching
    async def schedule(self, jobs: Sequence[Job]) -> None:
        async with self._client.pipeline(transaction=False) as pipe:
            for start in range(0, len(jobs), 1000):
                chunk = jobs[start : start + 1000]
                times = {
                    spelt(job.clinic_id, job.message_id): int(job.due_at.timestamp() * 1000)
                    for job in chunk
                }
                pipe.zadd(self._scheduled, times)
            if self._resync_run is not None:
                pipe.expire(self._syncing, RESYNC_TTL_S)
            await pipe.execute()

    @_reaching
    async def promote(self, *, limit: int) -> int:
        promoted = 0
        while promoted < limit:
            count = min(limit - promoted, PROMOTE_TOGETHER)
            keys = [self._scheduled, self._ready, self._bodies, self._poison, self._promoting]
            args = [count, READY_MAX, PROMOTE_LEASE_MS]
            now_ms, *taken = await self._take_due(keys=keys, args=args)
            if taken:
                # Run both steps in one thread: a cancellation would otherwise skip the second.
                await asyncio.to_thread(self._enqueue_taken, taken, int(now_ms))
            promoted += len(taken) // 2
            if len(taken) // 2 < count:
                break
        return promoted

    def _enqueue_taken(self, taken: Sequence[str], now_ms: int) -> None:
        """Enqueue jobs that alternate with their scores, then remove them from the sorted set."""
        for key in taken[::2]:
            self._enqueue(key, now_ms)
        self._end_promotion(keys=[self._scheduled, self._promoting], args=taken)

    def _enqueue(self, key: str, now_ms: int) -> None:
        message = Message[None](
            queue_name=QUEUE,
            actor_name=ACTOR,
            args=(key,),
            kwargs={},
            options={},
            message_id=key,
            # By the queue's clock, which also decides when a job is stranded.
            message_timestamp=now_ms,
        )
        self._broker.enqueue(message)

    @_reaching
    async def recover(self) -> int:
        keys = [self._ready, self._bodies, self._poison]
        now_ms, set_aside, *stranded = await self._find_stranded(keys=keys, args=[STRANDED_MS])
        for key in stranded:
            await asyncio.to_thread(self._enqueue, key, int(now_ms))
        return int(set_aside) + len(stranded)

    @_reaching
    async def postpone(self, clinic_id: UUID, message_id: UUID, *, wait: timedelta) -> None:
        wait_ms = max(math.ceil(wait.total_seconds() * 1000), 0)
        await self._postpone(keys=[self._scheduled], args=[wait_ms, spelt(clinic_id, message_id)])

    @_reaching
    async def hasten(self, jobs: Sequence[Job]) -> int:
        hastened = 0
        for start in range(0, len(jobs), 1000):
            keys = [spelt(job.clinic_id, job.message_id) for job in jobs[start : start + 1000]]
            hastened += int(await self._hasten(keys=[self._scheduled, self._bodies], args=keys))
        return hastened

    @_reaching
    async def begin_resync(self) -> str | None:
        run_id = str((await self._client.info("server"))["run_id"])
        if await self._client.get(self._synced) == run_id:
            return None
        token = self._resync_token
        begun = await self._client.set(self._syncing, token, nx=True, ex=RESYNC_TTL_S)
        if not begun and await self._client.get(self._syncing) != token:
            return None
        self._resync_run = run_id
        return token

    @_reaching
    async def end_resync(self, token: str) -> bool:
        run_id, self._resync_run = self._resync_run, None
        keys = [self._syncing, self._synced]
        return bool(await self._end_resync(keys=keys, args=[token, run_id or ""]))

    @_reaching
    async def counts(self) -> QueueCounts:
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zcard(self._scheduled)
            pipe.llen(self._ready)
            pipe.hlen(self._bodies)
            pipe.llen(self._poison)
            scheduled, ready, bodies, poison = await pipe.execute()
        return QueueCounts(scheduled, ready, max(bodies - ready, 0), poison)

    async def start(self, handler: Handler, *, threads: int) -> None:
        loop = asyncio.get_running_loop()
        broker = self._broker

        def deliver(key: str) -> None:
            try:
                clinic_id, message_id = read(key)
            except ValueError:
                broker.client.lpush(self._poison, str(key))
                return
            asyncio.run_coroutine_threadsafe(_run(handler, clinic_id, message_id), loop).result()

        # Without the Retries middleware Dramatiq retries nothing: max_retries is 0.
        dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=QUEUE)(deliver)
        worker = Worker(broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=threads)
        await asyncio.to_thread(worker.start)
        self._worker = worker

    async def stop(self, *, timeout_s: float) -> None:
        worker, self._worker = self._worker, None
        self._broker.stop_retrying()
        if worker is not None:
            # In a thread: jobs that have begun need this loop to finish.
            await asyncio.to_thread(worker.stop, int(timeout_s * 1000))
        self._broker.client.close()
        await self._client.aclose()

    def is_working(self) -> bool:
        worker = self._worker
        if worker is None:
            return False
        return all(thread.is_alive() for thread in [*worker.workers, *worker.consumers.values()])


async def _run(handler: Handler, clinic_id: UUID, message_id: UUID) -> None:
    await handler(clinic_id, message_id)


def spelt(clinic_id: UUID, message_id: UUID) -> str:
    """Return a job's key as stored in Redis: 43 characters."""
    raw = clinic_id.bytes + message_id.bytes
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(key: str) -> tuple[UUID, UUID]:
    """Return the clinic's and the message's id from a job's key. Raises ValueError."""
    raw = urlsafe_b64decode(key + "=")
    if len(raw) != 32:
        raise ValueError(f"{len(raw)} bytes are no job")
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])

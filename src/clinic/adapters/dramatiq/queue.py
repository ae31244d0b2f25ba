"""The job queue on Redis or Valkey.

A job is the 32 bytes of its key, in base64. It waits in a sorted set by its time, is moved into
dramatiq's list when due, and is worked on by dramatiq's threads in the worker's event loop.
"""

import asyncio
import json
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
from dramatiq import worker as dramatiq_worker
from dramatiq.worker import Worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from clinic.adapters.dramatiq.broker import CONNECT_TIMEOUT_S, SOCKET_TIMEOUT_S, Broker
from clinic.adapters.dramatiq.scripts import END_RESYNC, HASTEN, POSTPONE, PROMOTE, RECOVER
from clinic.ports.job_queue import Handler, Job, JobQueue, QueueCounts, QueueUnavailable

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

QUEUE = "notifications"
ACTOR = "deliver"
#: nothing more is made ready while this much is, so that no job waits in a list without its time
READY_MAX = 2000
#: how long a job may have been ready or begun before it is taken for lost
STRANDED_MS = 90_000
#: how long a resync that says nothing is taken to be running
RESYNC_TTL_S = 30
WORKER_TIMEOUT_MS = 200
#: how soon a consumer is started anew that lost Redis; dramatiq's own 3 s are lateness
RESTART_S = 0.5


def _reaching(
    method: Callable[Concatenate["DramatiqQueue", P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate["DramatiqQueue", P], Coroutine[Any, Any, R]]:
    """Let `method` raise QueueUnavailable where the client's errors come up."""

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
        self._dramatiq = f"{namespace}:dramatiq"
        self._ready = f"{self._dramatiq}:{QUEUE}"
        self._bodies = f"{self._ready}.msgs"
        self._promote = self._client.register_script(PROMOTE)
        self._postpone = self._client.register_script(POSTPONE)
        self._hasten = self._client.register_script(HASTEN)
        self._recover = self._client.register_script(RECOVER)
        self._end_resync = self._client.register_script(END_RESYNC)
        #: one for this object's life, so that it can take up a resync that it broke off
        self._resync_token = uuid4().hex
        self._resync_run: str | None = None
        self._body_parts = _body_parts()
        self._worker: Worker | None = None
        self._broker: Broker | None = None

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
        keys = [self._scheduled, self._ready, self._bodies, self._poison]
        promoted = await self._promote(keys=keys, args=[limit, READY_MAX, *self._body_parts])
        return int(promoted)

    @_reaching
    async def recover(self) -> int:
        return int(await self._recover(keys=[self._ready, self._bodies], args=[STRANDED_MS]))

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
        broker = Broker(self._url, namespace=self._dramatiq, poison_key=self._poison)

        def deliver(key: str) -> None:
            try:
                clinic_id, message_id = read(key)
            except ValueError:
                broker.client.lpush(self._poison, str(key))
                return
            asyncio.run_coroutine_threadsafe(_run(handler, clinic_id, message_id), loop).result()

        # Without the Retries middleware nothing is ever tried twice from here: max_retries is 0.
        dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=QUEUE)(deliver)
        dramatiq_worker.CONSUMER_RESTART_DELAY_SECS = RESTART_S
        worker = Worker(broker, worker_timeout=WORKER_TIMEOUT_MS, worker_threads=threads)
        await asyncio.to_thread(worker.start)
        self._broker, self._worker = broker, worker

    async def stop(self, *, timeout_s: float) -> None:
        worker, self._worker = self._worker, None
        if self._broker is not None:
            self._broker.stop_retrying()
        if worker is not None:
            # In a thread: what has begun needs this loop in order to end.
            await asyncio.to_thread(worker.stop, int(timeout_s * 1000))
        if self._broker is not None:
            self._broker.client.close()
            self._broker = None
        await self._client.aclose()

    def is_working(self) -> bool:
        worker = self._worker
        if worker is None:
            return False
        return all(thread.is_alive() for thread in [*worker.workers, *worker.consumers.values()])


async def _run(handler: Handler, clinic_id: UUID, message_id: UUID) -> None:
    await handler(clinic_id, message_id)


def spelt(clinic_id: UUID, message_id: UUID) -> str:
    """Return a job's key as Redis holds it: 43 characters."""
    raw = clinic_id.bytes + message_id.bytes
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(key: str) -> tuple[UUID, UUID]:
    """Return clinic and message of a job's key. Raises ValueError."""
    raw = urlsafe_b64decode(key + "=")
    if len(raw) != 32:
        raise ValueError(f"{len(raw)} bytes are no job")
    return UUID(bytes=raw[:16]), UUID(bytes=raw[16:])


def _body_parts() -> tuple[str, str, str, str]:
    """Return what stands around a job's key, three times, and its time in dramatiq's message."""
    body = json.dumps(
        {
            "queue_name": QUEUE,
            "actor_name": ACTOR,
            "args": ["@"],
            "kwargs": {},
            "options": {"redis_message_id": "@"},
            "message_id": "@",
            "message_timestamp": 0,
        },
        separators=(",", ":"),
    )
    head, first, second, tail = body.split("@")
    return head, first, second, tail.removesuffix("0}")

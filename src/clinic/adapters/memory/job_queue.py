"""The job queue in memory: as strict as the real one, and able to lose its jobs for a test."""

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from clinic.ports.clock import Clock
from clinic.ports.job_queue import Handler, Job, JobQueue, QueueCounts, QueueUnavailable

READY_MAX = 2000
LOOK_AGAIN = timedelta(seconds=1)
PAUSE_S = 0.005

JobKey = tuple[UUID, UUID]


class MemoryQueue(JobQueue):
    """Jobs in one process, due by `clock`. `forget` loses them, as a Redis without a disk does;
    `away` makes every call fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[JobKey, datetime] = {}
        self._line: list[tuple[datetime, int, JobKey]] = []
        self._numbers = count()
        self._ready: deque[JobKey] = deque()
        self._running: set[JobKey] = set()
        self._synced = False
        self._syncing: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.away = False

    def forget(self) -> None:
        """Lose every job that has not started."""
        self._due.clear()
        self._line.clear()
        self._ready.clear()
        self._synced, self._syncing = False, None

    async def schedule(self, jobs: Sequence[Job]) -> None:
        self._reach()
        for job in jobs:
            self._put((job.clinic_id, job.message_id), job.due_at)

    async def promote(self, *, limit: int) -> int:
        self._reach()
        now, promoted = self._clock.now(), 0
        looked_at = 0
        while self._line and looked_at < limit and len(self._ready) < READY_MAX:
            due, _, key = self._line[0]
            if due > now:
                break
            heapq.heappop(self._line)
            if self._due.get(key) != due:
                continue
            looked_at += 1
            del self._due[key]
            if key in self._running or key in self._ready:
                self._put(key, now + LOOK_AGAIN)
                continue
            self._ready.append(key)
            promoted += 1
        return promoted

    async def recover(self) -> int:
        self._reach()
        return 0

    async def postpone(self, clinic_id: UUID, message_id: UUID, *, wait: timedelta) -> None:
        self._reach()
        self._put((clinic_id, message_id), self._clock.now() + wait)

    async def hasten(self, jobs: Sequence[Job]) -> int:
        self._reach()
        now, hastened = self._clock.now(), 0
        for job in jobs:
            key = (job.clinic_id, job.message_id)
            begun = key in self._running or key in self._ready
            if begun or (key in self._due and self._due[key] <= now):
                continue
            self._put(key, now)
            hastened += 1
        return hastened

    async def begin_resync(self) -> str | None:
        self._reach()
        if self._synced or self._syncing is not None:
            return None
        self._syncing = str(next(self._numbers))
        return self._syncing

    async def end_resync(self, token: str) -> bool:
        self._reach()
        if self._syncing != token:
            return False
        self._synced, self._syncing = True, None
        return True

    async def counts(self) -> QueueCounts:
        self._reach()
        return QueueCounts(len(self._due), len(self._ready), len(self._running), 0)

    async def start(self, handler: Handler, *, threads: int) -> None:
        self._stopping = False
        self._tasks = [asyncio.create_task(self._work(handler)) for _ in range(threads)]

    async def stop(self, *, timeout_s: float) -> None:
        self._stopping = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
        self._tasks = []

    def is_working(self) -> bool:
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def run_ready(self, handler: Handler) -> int:
        """Run every ready job in this task, one after the other, and return how many ran."""
        done = 0
        while self._ready:
            await self._run(self._ready.popleft(), handler)
            done += 1
        return done

    async def _work(self, handler: Handler) -> None:
        while not self._stopping:
            if self._ready:
                await self._run(self._ready.popleft(), handler)
            else:
                await asyncio.sleep(PAUSE_S)

    async def _run(self, key: JobKey, handler: Handler) -> None:
        self._running.add(key)
        try:
            await handler(*key)
        except Exception:  # noqa: BLE001, S110 - the port says that a failed job is over
            pass
        finally:
            self._running.discard(key)

    def _put(self, key: JobKey, due: datetime) -> None:
        self._due[key] = due
        heapq.heappush(self._line, (due, next(self._numbers), key))

    def _reach(self) -> None:
        if self.away:
            raise QueueUnavailable("told to be away")

"""The contract of JobQueue: keep time, give each job to one worker, and report lost jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from clinic.ports.job_queue import Job, JobQueue
from clinic.testing.contracts.contract import Contract

PATIENCE_S, PAUSE_S = 10.0, 0.01
Lose = Callable[[], Awaitable[None]]


def a_job(*, due: timedelta = timedelta(0)) -> Job:
    """Return a job due `due` from now."""
    return Job(uuid4(), uuid4(), datetime.now(UTC) + due)


class JobQueueContract(Contract, contract=True):
    """Needs fixtures `queue`, which is empty, and `lose`, which makes it lose all its jobs."""

    async def test_promote_takes_what_is_due(self, queue: JobQueue) -> None:
        await queue.schedule([a_job(), a_job(due=timedelta(hours=1)), a_job(due=-timedelta(1))])

        promoted = await queue.promote(limit=10)

        counts = await queue.counts()
        assert promoted == 2
        assert (counts.scheduled, counts.ready) == (1, 2)

    async def test_promote_stops_at_the_limit(self, queue: JobQueue) -> None:
        await queue.schedule([a_job() for _ in range(5)])

        assert await queue.promote(limit=3) == 3
        assert await queue.promote(limit=3) == 2

    async def test_schedule_twice_is_one_job_at_the_later_word(self, queue: JobQueue) -> None:
        job = a_job()
        await queue.schedule([job])

        await queue.schedule([replace(job, due_at=job.due_at + timedelta(1))])

        assert (await queue.counts()).scheduled == 1
        assert await queue.promote(limit=10) == 0

    async def test_job_that_is_ready_is_not_made_ready_twice(self, queue: JobQueue) -> None:
        job = a_job()
        await queue.schedule([job])
        await queue.promote(limit=10)

        await queue.schedule([job])

        assert await queue.promote(limit=10) == 0
        assert (await queue.counts()).ready == 1

    async def test_hasten_brings_what_is_unknown_or_held_for_later(self, queue: JobQueue) -> None:
        later, ready, unknown = a_job(due=timedelta(hours=1)), a_job(), a_job()
        await queue.schedule([later, ready])
        await queue.promote(limit=10)

        assert await queue.hasten([later, ready, unknown]) == 2

        assert await queue.promote(limit=10) == 2
        counts = await queue.counts()
        assert (counts.scheduled, counts.ready) == (0, 3)

    async def test_hasten_leaves_what_is_due_in_its_place(self, queue: JobQueue) -> None:
        first, second = a_job(due=-timedelta(hours=2)), a_job(due=-timedelta(hours=1))
        await queue.schedule([first, second])

        assert await queue.hasten([first]) == 0

        assert await queue.promote(limit=1) == 1
        assert await queue.hasten([first, second]) == 0

    async def test_postpone_lets_a_job_wait_by_the_queue_s_clock(self, queue: JobQueue) -> None:
        long, short, none = a_job(), a_job(), a_job()

        await queue.postpone(long.clinic_id, long.message_id, wait=timedelta(hours=1))
        await queue.postpone(short.clinic_id, short.message_id, wait=timedelta(seconds=0.2))
        await queue.postpone(none.clinic_id, none.message_id, wait=timedelta(0))

        assert await queue.promote(limit=10) == 1
        # A real wait, since the queue has its own clock.
        await asyncio.sleep(0.25)
        assert await queue.promote(limit=10) == 1
        assert (await queue.counts()).scheduled == 1

    async def test_resync_is_asked_for_once(self, queue: JobQueue) -> None:
        token = await queue.begin_resync()

        assert token is not None
        assert await queue.end_resync(token)
        assert await queue.begin_resync() is None

    async def test_resync_is_asked_for_after_a_loss(self, queue: JobQueue, lose: Lose) -> None:
        token = await queue.begin_resync()
        assert token is not None
        await queue.end_resync(token)
        await queue.schedule([a_job(due=timedelta(hours=1))])

        await lose()

        assert (await queue.counts()).scheduled == 0
        assert await queue.begin_resync() is not None

    async def test_resync_that_meets_a_loss_does_not_count(
        self, queue: JobQueue, lose: Lose
    ) -> None:
        token = await queue.begin_resync()
        assert token is not None

        await lose()

        assert not await queue.end_resync(token)
        assert await queue.begin_resync() is not None

    async def test_worker_does_each_job_once_in_this_loop(self, queue: JobQueue) -> None:
        done: list[UUID] = []
        loop = asyncio.get_running_loop()

        async def handle(_: UUID, message_id: UUID) -> None:
            assert asyncio.get_running_loop() is loop
            done.append(message_id)

        jobs = [a_job() for _ in range(20)]
        await queue.schedule(jobs)
        await queue.start(handle, threads=4)
        assert queue.is_working()
        await queue.promote(limit=100)

        await self._until(lambda: len(done) >= 20)
        await queue.stop(timeout_s=5)

        assert sorted(done) == sorted(job.message_id for job in jobs)

    async def test_job_that_raises_is_over(self, queue: JobQueue) -> None:
        tried: list[UUID] = []

        async def handle(_: UUID, message_id: UUID) -> None:
            tried.append(message_id)
            raise ValueError("broken")

        await queue.schedule([a_job()])
        await queue.start(handle, threads=1)
        await queue.promote(limit=10)

        await self._until(lambda: len(tried) == 1)
        while (counts := await queue.counts()).running:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)
        await queue.stop(timeout_s=5)

        assert (len(tried), counts.ready, counts.scheduled) == (1, 0, 0)

    async def test_stop_lets_what_has_begun_end(self, queue: JobQueue) -> None:
        begun, released, ended = asyncio.Event(), asyncio.Event(), []

        async def handle(_: UUID, message_id: UUID) -> None:
            begun.set()
            await released.wait()
            ended.append(message_id)

        await queue.schedule([a_job()])
        await queue.start(handle, threads=1)
        await queue.promote(limit=10)
        await asyncio.wait_for(begun.wait(), PATIENCE_S)

        stopping = asyncio.create_task(queue.stop(timeout_s=5))
        await asyncio.sleep(PAUSE_S)
        assert not stopping.done()
        released.set()
        await stopping

        assert len(ended) == 1

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE_S / PAUSE_S)):
            if condition():
                return
            await asyncio.sleep(PAUSE_S)

"""Tell the queue what waits in the outbox, and put right what got lost on the way."""

from dataclasses import dataclass
from datetime import timedelta

from clinic.ports.job_queue import JobQueue
from clinic.ports.outbox import Outbox

BATCH = 5000
#: how late a message must be before it is taken for lost
OVERDUE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a sweep found; in a healthy system all of it is 0."""

    #: due, and the queue knew nothing of it, or held it for later
    overdue: int
    #: begun by a worker that died
    stranded: int
    #: dead letters that nobody looked at before they expired
    expired: int


async def relay_outbox(*, outbox: Outbox, queue: JobQueue, batches_max: int = 100) -> int:
    """Schedule every message not yet handed to the queue, and return how many there were.

    Raises QueueUnavailable, TemporaryFailure; what was not handed over then is so the next time.
    """
    total = 0
    for _ in range(batches_max):
        count = await outbox.publish(queue.schedule, limit=BATCH)
        total += count
        if count < BATCH:
            break
    return total


async def resync_queue(*, outbox: Outbox, queue: JobQueue) -> int | None:
    """Schedule everything anew if the queue may have lost jobs; return how many, None if not.

    Raises QueueUnavailable, TemporaryFailure.
    """
    token = await queue.begin_resync()
    if token is None:
        return None
    total, after = 0, None
    while True:
        jobs = await outbox.published(after=after, limit=2 * BATCH)
        if not jobs:
            break
        await queue.schedule(jobs)
        total, after = total + len(jobs), jobs[-1]
    await queue.end_resync(token)
    return total


async def sweep_outbox(*, outbox: Outbox, queue: JobQueue, overdue: timedelta = OVERDUE) -> Rescued:
    """Schedule messages that should have gone and that nobody works on.

    Raises QueueUnavailable, TemporaryFailure.
    """
    stranded = await queue.recover()
    late = await outbox.rescue(overdue=overdue, limit=BATCH)
    # Those in a long line are late too, but not lost. Those that the queue holds for later are: its
    # clock is behind the database's.
    lost = await queue.hasten(late) if late else 0
    expired = await outbox.drop_expired(limit=BATCH)
    return Rescued(lost, stranded, expired)

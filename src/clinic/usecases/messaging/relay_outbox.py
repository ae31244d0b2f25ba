"""Hand the outbox's messages to the queue, and find those that were lost on the way."""

from dataclasses import dataclass
from datetime import timedelta

from clinic.ports.job_queue import JobQueue
from clinic.ports.outbox import Outbox

BATCH = 5000
#: how late a message must be to count as lost
OVERDUE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a sweep found; in a healthy system all of it is 0."""

    #: due, but unknown to the queue or scheduled there for later
    overdue: int
    #: begun by a worker that died
    stranded: int
    #: dead letters that expired before an administrator retried or dropped them
    expired: int


async def relay_outbox(*, outbox: Outbox, queue: JobQueue, batches_max: int = 100) -> int:
    """Schedule every message not yet handed to the queue, and return how many there were.

    Raises QueueUnavailable, TemporaryFailure; the next call hands over the remaining messages.
    """
    total = 0
    for _ in range(batches_max):
        count = await outbox.publish(queue.schedule, limit=BATCH)
        total += count
        if count < BATCH:
            break
    return total


async def resync_queue(*, outbox: Outbox, queue: JobQueue) -> int | None:
    """Schedule everything again if the queue may have lost jobs; return how many, None if not.

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
    """Schedule messages that are overdue and that no worker has.

    Raises QueueUnavailable, TemporaryFailure.
    """
    stranded = await queue.recover()
    late = await outbox.rescue(overdue=overdue, limit=BATCH)
    # Messages that wait in a long queue are late too, but not lost. Those that the queue holds for
    # later are: its clock is behind the database's.
    lost = await queue.hasten(late) if late else 0
    expired = await outbox.drop_expired(limit=BATCH)
    return Rescued(lost, stranded, expired)

"""The queue, outside the database, of messages that become due, and the workers on it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Job:
    """A message's key, and when it is due. Nothing else of it leaves the database."""

    clinic_id: UUID
    message_id: UUID
    due_at: datetime


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs are in each state."""

    scheduled: int
    ready: int
    running: int
    #: not readable as jobs, kept for inspection
    poison: int


#: does the job; an error it raises is counted and ends the job, since the outbox does the retries
Handler = Callable[[UUID, UUID], Awaitable[None]]


class QueueUnavailable(Exception):
    """The queue cannot be reached; the caller must repeat the request."""


class JobQueue(Protocol):
    """A queue that may lose all its jobs, and reports it.

    Raises QueueUnavailable when it cannot be reached.
    """

    async def schedule(self, jobs: Sequence[Job]) -> None:
        """Schedule the jobs to become ready when due; one already scheduled gets the new time.

        A job that is scheduled twice runs once, unless it has begun.
        """
        ...

    async def promote(self, *, limit: int) -> int:
        """Make up to `limit` due jobs ready, earliest first; return how many.

        Promotes nothing, and returns 0, while the ready list is full. A job that is still ready
        is put off by a second.
        """
        ...

    async def recover(self) -> int:
        """Make jobs ready again that began long ago and never ended; return how many."""
        ...

    async def postpone(self, clinic_id: UUID, message_id: UUID, *, wait: timedelta) -> None:
        """Schedule the job to become ready after `wait`, by the queue's own clock."""
        ...

    async def hasten(self, jobs: Sequence[Job]) -> int:
        """Make due now those of `jobs` that are not yet due here, ready or begun; return how many.
        The caller's clock decides that they are due, not the queue's."""
        ...

    async def begin_resync(self) -> str | None:
        """Return a token if the queue may have lost jobs since the last complete resync, and no
        other caller is resyncing it."""
        ...

    async def end_resync(self, token: str) -> bool:
        """Record a complete resync; return False if the queue lost jobs again meanwhile."""
        ...

    async def counts(self) -> QueueCounts: ...

    async def start(self, handler: Handler, *, threads: int) -> None:
        """Work on jobs as they become ready, up to `threads` at a time, each in this event loop."""
        ...

    async def stop(self, *, timeout_s: float) -> None:
        """Finish jobs that have begun, return those only fetched to the queue, and close."""
        ...

    def is_working(self) -> bool:
        """Return whether everything that `start` started is still running."""
        ...

"""Messages that wait for their time outside the database, and who works on them when it comes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Job:
    """A message by its key, and when it is due. Nothing else of it leaves the database."""

    clinic_id: UUID
    message_id: UUID
    due_at: datetime


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs are where."""

    scheduled: int
    ready: int
    running: int
    #: not readable as jobs, kept for somebody to look at
    poison: int


#: does the job; whatever it raises is counted and the job is over, since retries are the outbox's
Handler = Callable[[UUID, UUID], Awaitable[None]]


class QueueUnavailable(Exception):
    """The queue cannot be reached; the caller must repeat the request."""


class JobQueue(Protocol):
    """A queue that may lose everything it holds, and says so.

    Raises QueueUnavailable when it cannot be reached.
    """

    async def schedule(self, jobs: Sequence[Job]) -> None:
        """Let the jobs be ready at their time; one that is scheduled gets its new time.

        A job being scheduled twice runs once, unless it has begun.
        """
        ...

    async def promote(self, *, limit: int) -> int:
        """Make up to `limit` jobs ready whose time has come, earliest first; return how many.

        Promotes nothing, and returns 0, while the ready list is full. A job that is already ready
        waits a second.
        """
        ...

    async def recover(self) -> int:
        """Make jobs ready again that were begun long ago and never ended; return how many."""
        ...

    async def postpone(self, clinic_id: UUID, message_id: UUID, *, wait: timedelta) -> None:
        """Let the job be ready once `wait` has passed, by the queue's own clock."""
        ...

    async def hasten(self, jobs: Sequence[Job]) -> int:
        """Let those of `jobs` be ready next that are neither due here nor ready nor begun; return
        how many. Whatever the queue's own clock says, it is their time."""
        ...

    async def begin_resync(self) -> str | None:
        """Return a token when the queue may have lost jobs since the last complete resync and
        nobody else is telling it everything anew."""
        ...

    async def end_resync(self, token: str) -> bool:
        """Take note that everything was told; False when the queue lost jobs again meanwhile."""
        ...

    async def counts(self) -> QueueCounts: ...

    async def start(self, handler: Handler, *, threads: int) -> None:
        """Work on jobs as they become ready, up to `threads` at a time, each in this loop."""
        ...

    async def stop(self, *, timeout_s: float) -> None:
        """Finish what has begun, give back what was only fetched, and close."""
        ...

    def is_working(self) -> bool:
        """Say whether everything that `start` started still runs."""
        ...

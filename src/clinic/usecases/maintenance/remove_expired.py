"""Remove expired rows: stored answers, and sessions that have ended."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from clinic.domain.idempotency import REAPED_AFTER
from clinic.domain.people.sessions import KEPT_AFTER_END
from clinic.usecases.context import AnonymousContext
from clinic.usecases.maintenance.service import Resources, RowCounts, Service

#: most rows in one transaction, and most rows of each kind in one run
BATCH, LIMIT = 500, 20_000


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of each kind were removed."""

    answers: int
    sessions: int


async def remove_expired(context: AnonymousContext, *, limit: int = LIMIT) -> Removed:
    """Remove answers older than REAPED_AFTER and sessions that ended longer than KEPT_AFTER_END
    ago, at most `limit` of each; return how many.

    Safe to run concurrently. Raises TemporaryFailure; rows removed by then stay removed.
    """
    store, now = context.store, context.clock.now()
    return Removed(
        answers=await _in_batches(store.answers.remove_old, now - REAPED_AFTER, limit),
        sessions=await _in_batches(store.sessions.remove_ended, now - KEPT_AFTER_END, limit),
    )


async def _in_batches(remove: Callable[..., Awaitable[int]], before: datetime, limit: int) -> int:
    total = 0
    while total < limit:
        size = min(BATCH, limit - total)
        count = await remove(before, limit=size)
        total += count
        if count < size:
            break
    return total


async def remove_expired_rows(resources: Resources) -> RowCounts:
    """Remove up to LIMIT rows of each kind. Raises TemporaryFailure."""
    removed = await remove_expired(resources.context)
    return {"answers": removed.answers, "sessions": removed.sessions}


REMOVE_EXPIRED = Service(
    "remove-expired",
    "Remove stored answers after 72 hours, and sessions 30 days after they ended.",
    timedelta(minutes=1),
    remove_expired_rows,
)

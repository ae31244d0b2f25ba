"""Remove stored answers and ended sessions once they have been kept for long enough."""

from datetime import timedelta

from clinic.usecases.maintenance.remove_expired import remove_expired
from clinic.usecases.maintenance.service import Resources, Rows, Service


async def remove_expired_rows(resources: Resources) -> Rows:
    """Remove up to remove_expired.LIMIT rows of each kind. Raises TemporaryFailure."""
    removed = await remove_expired(
        answers=resources.store.answers, sessions=resources.store.sessions, clock=resources.clock
    )
    return {"answers": removed.answers, "sessions": removed.sessions}


REMOVE_EXPIRED = Service(
    "remove-expired",
    "Remove stored answers after 72 hours, and sessions 30 days after they ended.",
    timedelta(minutes=1),
    remove_expired_rows,
)

"""`clinic cleanup`: remove what is kept for a while only."""

from clinic.entrypoints.cli.session import open_services
from clinic.usecases.remove_expired import LIMIT, remove_expired


async def cleanup(*, limit: int = LIMIT) -> None:
    """Remove stored answers older than 72 hours, and sessions that ended 30 days ago.

    `clinic worker` does the same every minute.

    Parameters
    ----------
    limit
        Remove at most so many of each.
    """
    async with open_services() as services:
        removed = await remove_expired(
            answers=services.store.answers,
            sessions=services.store.sessions,
            clock=services.clock,
            limit=limit,
        )
    print(f"Removed {removed.answers} answers and {removed.sessions} sessions.")

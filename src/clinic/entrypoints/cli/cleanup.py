"""`clinic cleanup`: remove expired rows."""

from clinic.entrypoints.cli.session import open_services
from clinic.usecases.maintenance.remove_expired import LIMIT, remove_expired
from clinic.usecases.people.erase_user import finish_erasures


async def cleanup(*, limit: int = LIMIT) -> None:
    """Remove stored answers older than 72 hours and sessions that ended 30 days ago, and finish
    erasures of patients.

    `clinic worker` does the same continuously.

    Parameters
    ----------
    limit
        How many of each to remove at most.
    """
    async with open_services() as services:
        context = services.anonymous()
        removed = await remove_expired(context, limit=limit)
        finished = await finish_erasures(context, cache=services.cache)
    print(
        f"Removed {removed.answers} answers and {removed.sessions} sessions;"
        f" finished {finished} erasures."
    )

"""Finish erasures of patients: data written during them, and copies in the cache."""

from datetime import timedelta

from clinic.usecases.maintenance.service import Resources, RowCounts, Service
from clinic.usecases.people.erase_user import finish_erasures


async def finish_all_erasures(resources: Resources) -> RowCounts:
    """Finish up to erase_user.LIMIT erasures, each in a transaction. Raises TemporaryFailure."""
    finished = await finish_erasures(resources.context, cache=resources.cache)
    return {"erasures": finished}


FINISH_ERASURES = Service(
    "finish-erasures",
    "Erase data written while a patient was being erased, and copies in Valkey.",
    timedelta(seconds=10),
    finish_all_erasures,
)

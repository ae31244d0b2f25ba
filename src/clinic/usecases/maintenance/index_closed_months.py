"""Complete the indexes of the trails' closed months, so that the change feed skips them."""

from datetime import timedelta

from clinic.usecases.maintenance.service import Resources, RowCounts, Service


async def index_closed_months(resources: Resources) -> RowCounts:
    """Complete the indexes; there is work once a month.

    Raises TransactionAborted, TemporaryFailure.
    """
    return {"index_ranges": await resources.context.store.partitions.index_closed_months()}


INDEX_CLOSED_MONTHS = Service(
    "index-closed-months",
    "Complete the indexes of the audit trail's past months.",
    timedelta(hours=6),
    index_closed_months,
)

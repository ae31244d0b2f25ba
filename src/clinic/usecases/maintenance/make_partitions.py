"""Make the monthly partitions of the trails and of the log of messages ahead of time."""

from datetime import timedelta

from clinic.usecases.maintenance.service import Resources, RowCounts, Service

#: partitions in one run, the nearest months first, each in a transaction of its own
PARTITIONS_MAX = 6


async def make_partitions(resources: Resources) -> RowCounts:
    """Make up to PARTITIONS_MAX partitions that are missing; drop none.

    Raises TransactionAborted, TemporaryFailure.
    """
    made = 0
    while made < PARTITIONS_MAX and await resources.context.store.partitions.make_next():
        made += 1
    return {"partitions": made}


MAKE_PARTITIONS = Service(
    "make-partitions",
    "Make the monthly partitions of the next two years.",
    timedelta(hours=1),
    make_partitions,
)

"""Create the monthly partitions of the trails and of the message log ahead of time."""

from datetime import timedelta

from clinic.usecases.maintenance.service import Resources, RowCounts, Service

#: partitions in one run, the nearest months first, each in its own transaction
PARTITIONS_MAX = 6


async def make_partitions(resources: Resources) -> RowCounts:
    """Create up to PARTITIONS_MAX missing partitions; drop none.

    Raises TransactionAborted, TemporaryFailure.
    """
    made = 0
    while made < PARTITIONS_MAX and await resources.context.store.partitions.make_next():
        made += 1
    return {"partitions": made}


MAKE_PARTITIONS = Service(
    "make-partitions",
    "Create the monthly partitions of the next two years.",
    timedelta(hours=1),
    make_partitions,
)

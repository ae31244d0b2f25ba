"""Run a service when it is due: one worker at a time, under a lease that expires when it dies."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.ports.maintenance import MaintenanceBook, MaintenanceHistory, ServiceRecord, Turn
from clinic.usecases.maintenance.service import DatabaseClock, Resources, RowCounts, Service

#: how long other workers wait after one has died, and how often a live one renews its lease
LEASE, RENEW_EVERY_S = timedelta(seconds=60), 15.0
#: a run that takes longer has failed
RUN_MAX_S = 1800.0
#: how soon after a failure a service is due again, unless its period is shorter
RETRY = timedelta(minutes=1)
#: how long returning a turn may take while the worker stops
GIVE_BACK_MAX_S = 1.0
#: the least time after which a service is overdue, however often it runs
OVERDUE_MIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that succeeded."""

    rows: RowCounts
    duration_s: float


async def run_service(
    service: Service, resources: Resources, *, only_when_due: bool = True
) -> Ran | None:
    """Run the service and return the result; None when it is not due or is running elsewhere.

    `only_when_due=False` runs it unless it is running elsewhere. Raises what the service raises,
    after counting the failure; TemporaryFailure also when another worker took the run over or it
    took longer than RUN_MAX_S.
    """
    context, book = resources.context, resources.context.store.maintenance
    period = service.period if only_when_due else timedelta()
    turn = await book.claim(
        service.name,
        token=context.new_id(),
        period=period,
        retry=min(RETRY, period),
        lease=LEASE,
    )
    if turn is None:
        return None
    began_s = time.monotonic()
    try:
        async with _leased(book, turn):
            timed = replace(context, clock=DatabaseClock(turn.began_at))
            rows = await service.run(replace(resources, context=timed))
    except asyncio.CancelledError:
        with suppress(ClinicError, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_MAX_S):
                await book.give_back(turn)
        raise
    except Exception:
        # If that fails too, the lease runs out.
        with suppress(ClinicError):
            await book.fail(turn)
        raise
    ran = Ran(rows, time.monotonic() - began_s)
    await book.succeed(turn, duration_ms=round(ran.duration_s * 1000), row_count=sum(rows.values()))
    return ran


@asynccontextmanager
async def _leased(book: MaintenanceBook, turn: Turn) -> AsyncIterator[None]:
    """Renew the lease while the block runs.

    Raises TemporaryFailure when the lease is lost or the block takes too long, after cancelling it.
    """
    limit = asyncio.timeout(RUN_MAX_S)

    async def renew() -> None:
        is_ours = True
        while is_ours:
            await asyncio.sleep(RENEW_EVERY_S)
            # A database that cannot be reached stops the service itself soon enough.
            with suppress(TemporaryFailure):
                is_ours = await book.renew(turn, lease=LEASE)
        limit.reschedule(asyncio.get_running_loop().time())

    try:
        async with limit:
            renewing = asyncio.create_task(renew())
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TemporaryFailure(
            f"{turn.service} took too long, or another worker took it over."
        ) from error


def is_running(record: ServiceRecord, now: datetime) -> bool:
    """Return whether a run is in progress at `now`, by the database's clock."""
    return record.lease_until is not None and record.lease_until > now


def overdue_since(service: Service, history: MaintenanceHistory) -> datetime | None:
    """Return when the service last succeeded, if that is longer ago than twice its period and than
    OVERDUE_MIN; None when it is on time.

    A service that never succeeded is measured from when the first clinic was added.
    """
    record = history.records.get(service.name)
    since = (record.succeeded_at if record else None) or history.in_use_since
    allowed = max(2 * service.period, OVERDUE_MIN)
    return since if since is not None and history.now - since > allowed else None

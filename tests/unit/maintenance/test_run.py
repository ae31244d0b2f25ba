"""A service runs under a lease, which it completes, releases or loses."""

import asyncio
from datetime import timedelta

import pytest

from clinic.adapters.memory.maintenance import MemoryMaintenanceBook
from clinic.bootstrap import in_memory
from clinic.domain.errors import TemporaryFailure
from clinic.ports.maintenance import MaintenanceHistory, ServiceRecord
from clinic.testing import FixedClock
from clinic.testing.builders import NOW
from clinic.usecases.maintenance import run as running
from clinic.usecases.maintenance.run import overdue_since, run_service
from clinic.usecases.maintenance.service import DatabaseClock, Service

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
def resources():
    services = in_memory(clock=FixedClock(NOW - timedelta(days=400)))
    book = services.store.maintenance
    assert isinstance(book, MemoryMaintenanceBook)
    book.now = lambda: NOW
    return services.resources


def service_of(work, *, period=HOUR):
    return Service("tidy", "Tidy up.", period, work)


async def record_of(resources):
    return (await resources.context.store.maintenance.history()).records["tidy"]


async def test_service_is_given_the_databases_time(resources):
    times = []

    async def work(given):
        times.append(given.context.clock.now())
        return {"things": 2, "others": 1}

    ran = await run_service(service_of(work), resources)

    assert ran is not None
    assert ran.rows == {"things": 2, "others": 1}
    assert timedelta() <= times[0] - NOW < timedelta(seconds=30)
    assert (await record_of(resources)).row_count == 3


def test_time_goes_on_though_nobody_sets_the_clock():
    elapsed_s = [100.0]
    clock = DatabaseClock(NOW, lambda: elapsed_s[0])

    elapsed_s[0] += 90

    assert clock.now() == NOW + timedelta(seconds=90)


async def test_service_that_is_not_due_runs_only_when_asked(resources):
    async def work(_):
        return {}

    service = service_of(work)

    assert await run_service(service, resources) is not None
    assert await run_service(service, resources) is None
    assert await run_service(service, resources, only_when_due=False) is not None


async def test_two_at_once_run_it_once_even_when_asked(resources):
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def work(_):
        begun.set()
        await may_end.wait()
        return {}

    first = asyncio.create_task(run_service(service_of(work), resources))
    await begun.wait()
    assert await run_service(service_of(work), resources, only_when_due=False) is None
    may_end.set()
    assert await first is not None


async def test_failure_is_raised_and_counted(resources):
    async def work(_):
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        await run_service(service_of(work), resources)

    record = await record_of(resources)
    assert (record.failures, record.succeeded_at, record.lease_until) == (1, None, None)


async def test_service_that_is_stopped_gives_its_turn_back(resources):
    begun = asyncio.Event()

    async def work(_):
        begun.set()
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(run_service(service_of(work), resources))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    record = await record_of(resources)
    assert (record.started_at, record.lease_until, record.failures) == (None, None, 0)


async def test_service_whose_lease_went_to_another_worker_is_stopped(resources, monkeypatch):
    monkeypatch.setattr(running, "RENEW_EVERY_S", 0.0)
    stopped = []

    async def work(given):
        book = given.context.store.maintenance
        book.now = lambda: NOW + 2 * running.LEASE
        token = given.context.new_id()
        assert await book.claim("tidy", token=token, period=HOUR, retry=HOUR, lease=running.LEASE)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise
        return {}

    with pytest.raises(TemporaryFailure, match="another worker"):
        await run_service(service_of(work), resources)

    assert stopped == [True]
    record = await record_of(resources)
    # The new holder's run is untouched.
    assert (record.failures, record.lease_until) == (0, NOW + 3 * running.LEASE)


async def test_service_that_takes_too_long_has_failed(resources, monkeypatch):
    monkeypatch.setattr(running, "RUN_MAX_S", 0.01)

    async def work(_):
        await asyncio.Event().wait()
        return {}

    with pytest.raises(TemporaryFailure, match="too long"):
        await run_service(service_of(work), resources)

    assert (await record_of(resources)).failures == 1


async def work_of_no_account(_):
    return {}


@pytest.mark.parametrize(
    ("period", "age", "is_overdue"),
    [
        (HOUR, 2 * HOUR, False),
        (HOUR, 2 * HOUR + timedelta(seconds=1), True),
        # A service with a short period misses a few runs when a worker is restarted.
        (timedelta(seconds=10), timedelta(minutes=10), False),
        (timedelta(seconds=10), timedelta(minutes=11), True),
    ],
)
@pytest.mark.parametrize("has_run", [True, False])
def test_service_is_overdue_after_twice_its_period(period, age, is_overdue, has_run):
    records = {"tidy": ServiceRecord(NOW, None, NOW - age, 1, 1)} if has_run else {}
    in_use_since = NOW - timedelta(days=900) if has_run else NOW - age
    history = MaintenanceHistory(NOW, in_use_since, records)

    found = overdue_since(service_of(work_of_no_account, period=period), history)

    assert found == (NOW - age if is_overdue else None)


def test_nothing_is_overdue_where_there_is_no_clinic():
    service = service_of(work_of_no_account)

    assert overdue_since(service, MaintenanceHistory(NOW)) is None

"""A worker's loops, whatever the libraries beneath them do."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest
from prometheus_client import generate_latest

from clinic.bootstrap import WorkerServices, in_memory
from clinic.entrypoints.worker import process
from clinic.entrypoints.worker.process import Worker, end
from clinic.usecases.maintenance.run import Ran
from clinic.usecases.maintenance.service import RowCounts, Service

pytestmark = pytest.mark.anyio


async def test_round_that_swallows_a_cancellation_does_not_keep_the_worker():
    worker = Worker(services=cast("WorkerServices", None))
    begun = asyncio.Event()

    async def deaf_once() -> bool:
        if begun.is_set():
            await asyncio.sleep(60)
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return True
        return True

    loop = asyncio.create_task(worker._loop("deaf", deaf_once, 0.0))
    await begun.wait()
    worker.request_stop()
    loop.cancel()

    ended, running = await asyncio.wait({loop}, timeout=1)
    loop.cancel()
    assert loop in ended
    assert not running


async def test_loop_that_swallows_several_cancellations_does_not_keep_the_worker(monkeypatch):
    monkeypatch.setattr(process, "CANCELLATION_S", 0.01)
    worker = Worker(services=cast("WorkerServices", None))
    begun = asyncio.Event()

    async def deaf() -> bool:
        begun.set()
        for _ in range(3):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
        return True

    worker._tasks = [asyncio.create_task(worker._loop("deaf", deaf, 0.0))]
    await begun.wait()
    worker.request_stop()

    async with asyncio.timeout(5):
        await end(worker._tasks)
    assert worker._tasks[0].done()


async def test_failing_service_is_logged_and_counted_and_stops_no_other(monkeypatch, caplog):
    """Given a service that fails in an unexpected way, and another one
    When the worker runs them
    Then the other one runs, and metrics, record and log show the failure."""
    services = in_memory()
    personal = "Ada Lovett"

    async def fail(_) -> RowCounts:
        raise KeyError(personal)

    async def tidy(_) -> RowCounts:
        return {"things": 3}

    hour = timedelta(hours=1)
    both = [Service("failing", "Fail.", hour, fail), Service("tidying", "Tidy.", hour, tidy)]
    worker = Worker(services=cast("WorkerServices", services))
    tidied = asyncio.Event()
    maintained = worker.metrics.maintained

    def note(service: str, ran: Ran) -> None:
        maintained(service, ran)
        tidied.set()

    monkeypatch.setattr(worker.metrics, "maintained", note)
    monkeypatch.setattr(process, "ASK_MAX_S", 0.001)
    monkeypatch.setattr(process, "ASK_MIN_S", 0.001)
    loops = [
        asyncio.create_task(worker._loop(*worker._maintenance_loop(service))) for service in both
    ]
    async with asyncio.timeout(5):
        await tidied.wait()
    worker.request_stop()
    await end(loops)

    worker.metrics.history(await services.store.maintenance.history())
    told = told_by(worker)
    assert 'clinic_maintenance_failures_total{service="failing"} 1.0' in told
    assert 'clinic_worker_failures_total{loop="failing"} 1.0' in told
    assert 'clinic_maintenance_rows_total{service="tidying",what="things"} 3.0' in told
    assert 'clinic_maintenance_duration_seconds_count{service="tidying"} 1.0' in told
    assert 'clinic_maintenance_last_success_timestamp_seconds{service="tidying"}' in told
    assert 'last_success_timestamp_seconds{service="failing"}' not in told
    assert "failing broke: KeyError" in caplog.text
    assert personal not in caplog.text


async def test_services_leave_connections_to_messages(monkeypatch):
    services = in_memory()
    worker = Worker(services=cast("WorkerServices", services))
    running = most = 0

    async def busy(_) -> RowCounts:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return {}

    hour = timedelta(hours=1)
    rounds = [
        worker._maintenance_loop(Service(f"busy-{number}", "", hour, busy))[1]
        for number in range(6)
    ]
    await asyncio.gather(*(each() for each in rounds))

    assert most == process.SERVICES_AT_ONCE


def told_by(worker: Worker) -> str:
    return generate_latest(worker.metrics.registry).decode()

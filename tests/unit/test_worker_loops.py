"""A worker's loops, whatever the libraries under them do."""

import asyncio
from typing import cast

import pytest

from clinic.bootstrap import WorkerServices
from clinic.entrypoints.worker import process
from clinic.entrypoints.worker.process import Worker, end

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

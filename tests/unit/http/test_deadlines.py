"""The timer that all requests share."""

import asyncio

import pytest

from clinic.entrypoints.http.kernel.deadlines import Deadlines, TooLate

pytestmark = pytest.mark.anyio


async def test_what_is_done_in_time_comes_back():
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await Deadlines(5).run(work()) == "done"


async def test_what_takes_too_long_is_ended_and_nothing_else():
    deadlines = Deadlines(0.1)
    ended = []

    async def work(name: str, lasts_s: float) -> str:
        try:
            await asyncio.sleep(lasts_s)
        except asyncio.CancelledError:
            ended.append(name)
            raise
        return name

    async def patient(name: str, lasts_s: float) -> str:
        try:
            return await deadlines.run(work(name, lasts_s))
        except TooLate:
            # The task can continue normally.
            await asyncio.sleep(0)
            return f"{name} too late"

    answers = await asyncio.gather(patient("slow", 60), patient("quick", 0.0), patient("stuck", 60))

    assert [*answers] == ["slow too late", "quick", "stuck too late"]
    assert ended == ["slow", "stuck"]


async def test_a_task_cancelled_by_others_is_not_late():
    deadlines = Deadlines(60)
    task = asyncio.create_task(deadlines.run(asyncio.sleep(60)))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_task_both_late_and_cancelled_stays_cancelled():
    deadlines = Deadlines(0.05)

    async def lingering() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            task.cancel()
            raise

    task = asyncio.create_task(deadlines.run(lingering()))

    with pytest.raises(asyncio.CancelledError):
        await task


def test_deadlines_hold_in_one_loop_after_another() -> None:
    """Given an application whose first loop ended while a look was planned
    When it runs in another loop
    Then work that takes too long is still cancelled."""
    deadlines = Deadlines(0.05)

    async def short() -> None:
        await deadlines.run(asyncio.sleep(0))

    async def long() -> None:
        await deadlines.run(asyncio.sleep(5))

    asyncio.run(short())
    with pytest.raises(TooLate):
        asyncio.run(long())

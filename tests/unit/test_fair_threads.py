"""Threads whose queue is shared fairly."""

import asyncio
import threading

import pytest

from clinic.adapters.argon2.fair_threads import FairThreads
from clinic.domain.errors import TemporaryFailure

PLACES = 4


class Crowd:
    """Work that occupies the only thread until released, and records its order."""

    def __init__(self) -> None:
        self.threads = FairThreads(1, PLACES, name="test")
        self.done: list[str] = []
        self.go_on = threading.Event()

    async def come(self, *names: str) -> list[asyncio.Task[str]]:
        """Start callers in this order; a caller's source is the letter of its name."""
        tasks = []
        for name in names:
            work = self._work_of(name)
            tasks.append(asyncio.create_task(self.threads.run(work, name[0]), name=name))
            await asyncio.sleep(0)
        return tasks

    def _work_of(self, name: str):
        def work() -> str:
            assert self.go_on.wait(10)
            self.done.append(name)
            return name

        return work

    async def outcomes(self, tasks: list[asyncio.Task[str]]) -> list[str]:
        self.go_on.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return [one if isinstance(one, str) else type(one).__name__ for one in found]


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


async def test_sources_take_turns(crowd):
    tasks = await crowd.come("a1", "a2", "a3", "b1", "c1")

    await crowd.outcomes(tasks)

    assert crowd.done == ["a1", "a2", "b1", "c1", "a3"]


async def test_a_source_with_most_places_gives_one_to_a_newcomer(crowd):
    tasks = await crowd.come("a0", "a1", "a2", "a3", "a4", "b1")

    outcomes = await crowd.outcomes(tasks)

    assert outcomes == ["a0", "a1", "a2", "a3", "TemporaryFailure", "b1"]


async def test_a_source_that_asks_without_end_refuses_nobody_but_itself(crowd):
    tasks = await crowd.come("a0", "a1", "b1", "a2", "a3", "a4", "a5", "b2", "a6")

    outcomes = await crowd.outcomes(tasks)

    assert outcomes[:4] == ["a0", "a1", "b1", "a2"]
    assert outcomes[7] == "b2"
    assert outcomes.count("TemporaryFailure") == 4


async def test_where_all_have_as_many_a_newcomer_is_refused(crowd):
    tasks = await crowd.come("a0", "a1", "b1", "c1", "d1")

    with pytest.raises(TemporaryFailure):
        await crowd.threads.run(lambda: "e", "e")

    assert await crowd.outcomes(tasks) == ["a0", "a1", "b1", "c1", "d1"]


async def test_who_gives_up_leaves_the_place_to_others_and_keeps_no_thread(crowd):
    tasks = await crowd.come("a0", "a1", "a2", "a3", "a4")
    for task in tasks[1:4]:
        task.cancel()
    await asyncio.sleep(0)

    more = await crowd.come("a5", "a6")
    outcomes = await crowd.outcomes([tasks[0], tasks[4], *more])

    assert outcomes == ["a0", "a4", "a5", "a6"]
    assert await crowd.threads.run(lambda: "free", "z") == "free"


async def test_a_thread_is_busy_until_its_work_ends_whoever_gave_up(crowd):
    (first,) = await crowd.come("a0")
    first.cancel()
    await asyncio.sleep(0)

    tasks = await crowd.come("b1")
    await asyncio.sleep(0.01)
    waited = not tasks[0].done() and crowd.done == []

    assert waited
    assert await crowd.outcomes(tasks) == ["b1"]
    assert crowd.done == ["a0", "b1"]


async def test_work_that_raises_frees_its_thread(crowd):
    crowd.go_on.set()

    def broken() -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await crowd.threads.run(broken, "a")

    assert await crowd.threads.run(lambda: "free", "a") == "free"

"""Reads of many callers in one statement."""

import asyncio

import pytest

from clinic.adapters.postgres.engine.batching import BATCH_MAX, IN_FLIGHT_MAX, Batcher
from clinic.adapters.postgres.engine.prepared_statements import Row
from clinic.domain.errors import TemporaryFailure

pytestmark = pytest.mark.anyio


class Database:
    """Loads (n,) for each n once `go` is set; odd ones beyond 100 have no row."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def fetch(self, _statement, parameters):
        (numbers,) = parameters
        self.asked.append(list(numbers))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return [(place, n) for place, n in enumerate(numbers, 1) if n < 100 or n % 2 == 0]


def _load(batcher: Batcher, *numbers: int) -> list[asyncio.Task[Row | None]]:
    return [asyncio.create_task(batcher.load((number,))) for number in numbers]


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _keep_busy(batcher: Batcher) -> list[asyncio.Task[Row | None]]:
    """Load until the maximum number of statements is in flight."""
    calls = []
    for number in range(IN_FLIGHT_MAX):
        calls += _load(batcher, number)
        await _settle()
    return calls


async def test_each_caller_gets_their_own_row() -> None:
    database = Database()
    database.go.set()
    calls = _load(Batcher(database.fetch, "…"), *range(98, 104))

    assert await asyncio.gather(*calls) == [(98,), (99,), (100,), None, (102,), None]


async def test_a_call_made_during_a_statement_goes_with_a_later_one() -> None:
    """Otherwise it would read only what was committed before the call."""
    database = Database()
    batcher = Batcher(database.fetch, "…")
    first = await _keep_busy(batcher)
    later = _load(batcher, 7, 8, 9)
    await _settle()
    before = [list(each) for each in database.asked]

    database.go.set()
    await asyncio.gather(*first, *later)

    assert before == [[number] for number in range(IN_FLIGHT_MAX)]
    assert database.asked[IN_FLIGHT_MAX:] == [[7, 8, 9]]


async def test_batches_are_bounded() -> None:
    database = Database()
    database.go.set()
    calls = _load(Batcher(database.fetch, "…"), *range(BATCH_MAX * 3))

    await asyncio.gather(*calls)

    assert max(map(len, database.asked)) <= BATCH_MAX
    assert sum(map(len, database.asked)) == BATCH_MAX * 3


async def test_a_failure_reaches_every_caller_of_the_batch_and_no_later_one() -> None:
    database = Database()
    database.error = TemporaryFailure()
    database.go.set()
    batcher = Batcher(database.fetch, "…")

    failed = await asyncio.gather(*_load(batcher, 1, 2, 3), return_exceptions=True)
    database.error = None
    later = await batcher.load((4,))

    assert [type(each) for each in failed] == [TemporaryFailure] * 3
    assert later == (4,)


async def test_a_caller_that_gives_up_cancels_no_other() -> None:
    database = Database()
    batcher = Batcher(database.fetch, "…")
    busy = await _keep_busy(batcher)
    gives_up, stays = _load(batcher, 8, 9)
    await _settle()

    gives_up.cancel()
    await _settle()
    database.go.set()

    assert await stays == (9,)
    await asyncio.gather(*busy)
    assert all(8 not in each for each in database.asked)


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_made_just_when_a_statement_ends_is_answered(turns: int) -> None:
    database = Database()
    batcher = Batcher(database.fetch, "…")
    first = await _keep_busy(batcher)

    database.go.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    answered, waiting = await asyncio.wait(_load(batcher, 7), timeout=1)

    assert not waiting
    assert [await each for each in answered] == [(7,)]
    await asyncio.gather(*first)

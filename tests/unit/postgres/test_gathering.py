"""Questions of many callers as one statement."""

import asyncio

import pytest

from clinic.adapters.postgres.gathering import TOGETHER_MAX, UNDER_WAY_MAX, Gathering
from clinic.adapters.postgres.hot_connection import Row
from clinic.domain.errors import TemporaryFailure

pytestmark = pytest.mark.anyio


class Database:
    """Answers each question n with (n,), when it is told to; odd ones beyond 100 have no row."""

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


def _ask(gathering: Gathering, *numbers: int) -> list[asyncio.Task[Row | None]]:
    return [asyncio.create_task(gathering.ask((number,))) for number in numbers]


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _keep_busy(gathering: Gathering) -> list[asyncio.Task[Row | None]]:
    """Ask so that as many statements are under way as may be."""
    asked = []
    for number in range(UNDER_WAY_MAX):
        asked += _ask(gathering, number)
        await _settle()
    return asked


async def test_each_caller_gets_the_row_of_their_own_question() -> None:
    database = Database()
    database.go.set()
    asked = _ask(Gathering(database.fetch, "…"), *range(98, 104))

    assert await asyncio.gather(*asked) == [(98,), (99,), (100,), None, (102,), None]


async def test_a_question_asked_during_a_statement_goes_with_a_later_one() -> None:
    """Or it would be told what was committed before it was asked."""
    database = Database()
    gathering = Gathering(database.fetch, "…")
    first = await _keep_busy(gathering)
    later = _ask(gathering, 7, 8, 9)
    await _settle()
    before = [list(each) for each in database.asked]

    database.go.set()
    await asyncio.gather(*first, *later)

    assert before == [[number] for number in range(UNDER_WAY_MAX)]
    assert database.asked[UNDER_WAY_MAX:] == [[7, 8, 9]]


async def test_no_more_go_together_than_the_bound() -> None:
    database = Database()
    database.go.set()
    asked = _ask(Gathering(database.fetch, "…"), *range(TOGETHER_MAX * 3))

    await asyncio.gather(*asked)

    assert max(map(len, database.asked)) <= TOGETHER_MAX
    assert sum(map(len, database.asked)) == TOGETHER_MAX * 3


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_later() -> None:
    database = Database()
    database.error = TemporaryFailure()
    database.go.set()
    gathering = Gathering(database.fetch, "…")

    failed = await asyncio.gather(*_ask(gathering, 1, 2, 3), return_exceptions=True)
    database.error = None
    later = await gathering.ask((4,))

    assert [type(each) for each in failed] == [TemporaryFailure] * 3
    assert later == (4,)


async def test_who_gives_up_takes_nobody_along() -> None:
    database = Database()
    gathering = Gathering(database.fetch, "…")
    busy = await _keep_busy(gathering)
    gives_up, stays = _ask(gathering, 8, 9)
    await _settle()

    gives_up.cancel()
    await _settle()
    database.go.set()

    assert await stays == (9,)
    await asyncio.gather(*busy)
    assert all(8 not in each for each in database.asked)


@pytest.mark.parametrize("turns", range(12))
async def test_a_question_asked_just_when_a_statement_ends_is_answered(turns: int) -> None:
    database = Database()
    gathering = Gathering(database.fetch, "…")
    first = await _keep_busy(gathering)

    database.go.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    answered, waiting = await asyncio.wait(_ask(gathering, 7), timeout=1)

    assert not waiting
    assert [await each for each in answered] == [(7,)]
    await asyncio.gather(*first)

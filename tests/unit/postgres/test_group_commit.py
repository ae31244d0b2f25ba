"""Bookings that arrive while others are being written; here they are numbers."""

import asyncio
from typing import Any

import pytest

from clinic.adapters.postgres.engine.group_commit import (
    BATCH_MAX,
    IN_FLIGHT_MAX,
    STALL_S,
    GroupCommit,
)
from clinic.domain.errors import OutcomeUnknown, PatientBusy, SlotTaken, TemporaryFailure

pytestmark = pytest.mark.anyio

BUSY = list(range(IN_FLIGHT_MAX))


class Database:
    """Writes once `go` is set, except bookings whose slots are taken."""

    def __init__(self) -> None:
        self.alone: list[int] = []
        self.together: list[list[int]] = []
        self.taken: set[int] = set()
        self.error: BaseException | None = None
        self.go = asyncio.Event()
        self.commits = GroupCommit(self._write_one, self._write_many)

    async def _write_one(self, booking: Any) -> None:
        self.alone.append(booking)
        await self.go.wait()
        if booking in self.taken:
            raise SlotTaken()

    async def _write_many(self, bookings: Any) -> set[int]:
        self.together.append(list(bookings))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {number for number, each in enumerate(bookings, 1) if each not in self.taken}

    async def start(self, *bookings: Any) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.commits.write(each)) for each in bookings]
        await _settle()
        return tasks


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _outcomes(tasks: list[asyncio.Task[None]]) -> list[type[BaseException] | None]:
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=5)
    return [None if each is None else type(each) for each in ended]


async def test_a_booking_that_need_not_wait_is_written_alone() -> None:
    database = Database()
    tasks = await database.start(*BUSY)
    database.go.set()

    assert await _outcomes(tasks) == [None] * IN_FLIGHT_MAX
    assert (database.alone, database.together) == (BUSY, [])


async def test_bookings_that_arrive_meanwhile_share_a_statement() -> None:
    database = Database()
    tasks = await database.start(*BUSY, 7, 8, 9)
    before = list(database.together)
    database.go.set()

    assert await _outcomes(tasks) == [None] * len(tasks)
    assert (before, database.together) == ([], [[7, 8, 9]])
    assert database.alone == BUSY


async def test_batches_are_bounded() -> None:
    database = Database()
    many = range(100, 100 + 3 * BATCH_MAX)
    tasks = await database.start(*BUSY, *many)
    database.go.set()

    assert await _outcomes(tasks) == [None] * len(tasks)
    assert max(map(len, database.together)) == BATCH_MAX
    assert [each for group in database.together for each in group] == list(many)


async def test_statements_in_flight_are_bounded() -> None:
    database = Database()
    await database.start(*BUSY, *range(100, 100 + 3 * BATCH_MAX))

    assert (len(database.alone), database.together) == (IN_FLIGHT_MAX, [])


async def test_a_booking_left_out_of_a_batch_is_written_alone_and_gets_its_own_error() -> None:
    database = Database()
    database.taken = {8}
    tasks = await database.start(*BUSY, 7, 8, 9)
    database.go.set()

    assert await _outcomes(tasks[-3:]) == [None, SlotTaken, None]
    assert database.alone == [*BUSY, 8]


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (PatientBusy(), []),
        (ValueError("Ada Adams"), [("ERROR", "bookings could not go together: ValueError None")]),
    ],
)
async def test_when_a_batch_fails_each_booking_is_written_alone(
    error: Exception, logged: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """An internal error is logged, but only its type; otherwise it would go unnoticed."""
    database = Database()
    database.error = error
    tasks = await database.start(*BUSY, 7, 8, 9)
    database.go.set()

    assert await _outcomes(tasks[-3:]) == [None, None, None]
    assert database.alone == [*BUSY, 7, 8, 9]
    assert [(record.levelname, record.message) for record in caplog.records] == logged
    assert "Ada" not in caplog.text


@pytest.mark.parametrize("error", [OutcomeUnknown(), TemporaryFailure()])
async def test_an_outage_reaches_every_booking_of_the_batch(
    error: Exception,
) -> None:
    """They may have been written: a retry would find their own slots taken."""
    database = Database()
    database.error = error
    tasks = await database.start(*BUSY, 7, 8, 9)
    database.go.set()

    assert await _outcomes(tasks[-3:]) == [type(error)] * 3
    assert database.alone == BUSY


async def test_a_booking_whose_caller_gave_up_waiting_is_not_written() -> None:
    database = Database()
    tasks = await database.start(*BUSY, 7, 8)
    tasks[-2].cancel()
    await _settle()
    database.go.set()

    assert await _outcomes(tasks[-2:]) == [asyncio.CancelledError, None]
    assert database.together == [[8]]


async def test_a_caller_that_gives_up_during_the_statement_cancels_no_other() -> None:
    database = Database()
    busy = await database.start(*BUSY)
    later = await database.start(7, 8)
    await asyncio.sleep(3 * STALL_S)
    assert database.together == [[7, 8]]

    later[0].cancel()
    await _settle()
    database.go.set()

    assert await _outcomes(later) == [asyncio.CancelledError, None]
    assert await _outcomes(busy) == [None] * IN_FLIGHT_MAX


async def test_bookings_do_not_wait_for_a_statement_that_is_held_up() -> None:
    database = Database()
    await database.start(*BUSY, 7, 8)
    at_once = list(database.together)

    await asyncio.sleep(3 * STALL_S)

    assert (at_once, database.together) == ([], [[7, 8]])


async def test_a_statement_that_was_held_up_ends_its_turn_once() -> None:
    """Otherwise more and more statements would be in flight."""
    database = Database()
    held_up = await database.start(*BUSY, 7, 8)
    database.commits._end(next(iter(database.commits._turns)))
    await database.start(9)
    before = list(database.together)

    held_up[0].cancel()
    await _settle()

    assert (before, database.together) == ([[7, 8]], [[7, 8]])
    assert len(database.commits._turns) == IN_FLIGHT_MAX


@pytest.mark.parametrize("turns", range(12))
async def test_a_booking_that_arrives_just_when_a_statement_ends_is_written(turns: int) -> None:
    database = Database()
    tasks = await database.start(*BUSY, 7)
    database.go.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks += await database.start(8)

    assert await _outcomes(tasks) == [None] * len(tasks)

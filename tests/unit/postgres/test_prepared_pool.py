"""Lending prepared connections: in order, bounded, and each to one caller at a time."""

import asyncio
from typing import Any, cast

import pytest
from psycopg_pool import PoolTimeout

from clinic.adapters.postgres.engine.prepared_pool import PreparedPool

pytestmark = pytest.mark.anyio


class Connection:
    """Up until it is marked stale."""

    def __init__(self) -> None:
        self.closed = False
        self.stale = False

    def is_stale(self) -> bool:
        return self.closed or self.stale

    async def close(self) -> None:
        self.closed = True


class Opener:
    """Opens connections and takes back broken ones."""

    def __init__(self, *, away: int = 0) -> None:
        self.opened = 0
        #: how often opening fails before it succeeds
        self.away = away
        self.returned: list[Connection] = []

    async def open(self) -> None: ...

    async def getconn(self, _timeout_s: float) -> Connection:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise PoolTimeout
        self.opened += 1
        return Connection()

    async def putconn(self, connection: Connection) -> None:
        self.returned.append(connection)

    async def close(self) -> None: ...


def a_pool(opener: Opener, *, size: int = 1, timeout_s: float = 5) -> PreparedPool:
    return PreparedPool(cast(Any, opener), size=size, timeout_s=timeout_s)


async def test_connection_given_back_is_lent_again() -> None:
    opener = Opener()
    pool = a_pool(opener, size=2)

    for _ in range(5):
        await pool.release(await pool.acquire())

    assert opener.opened == 1


async def test_server_that_is_away_is_looked_for_again_while_somebody_waits() -> None:
    opener = Opener(away=3)

    await a_pool(opener).acquire()

    assert (opener.away, opener.opened) == (0, 1)


async def test_opening_waits_for_a_server_that_is_still_starting() -> None:
    opener = Opener(away=3)
    pool = a_pool(opener)

    await pool.open(5)
    await pool.acquire()

    assert (opener.away, opener.opened) == (0, 1)


async def test_who_waits_too_long_for_a_server_is_sent_away_and_the_next_may_try() -> None:
    opener = Opener(away=10_000_000)
    pool = a_pool(opener, timeout_s=0.02)
    with pytest.raises(PoolTimeout):
        await pool.acquire()

    opener.away = 0
    await pool.acquire()

    assert opener.opened == 1


async def test_who_finds_none_waits_first_come_first() -> None:
    pool = a_pool(Opener())
    lent = await pool.acquire()
    served: list[int] = []

    async def use(number: int) -> None:
        connection = await pool.acquire()
        served.append(number)
        await asyncio.sleep(0)
        await pool.release(connection)

    users = [asyncio.create_task(use(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert served == []
    await pool.release(lent)
    await asyncio.gather(*users)

    assert served == [0, 1, 2, 3]


async def test_never_more_are_lent_than_there_may_be() -> None:
    opener, in_use, most = Opener(), 0, 0
    pool = a_pool(opener, size=3)

    async def use() -> None:
        nonlocal in_use, most
        connection = await pool.acquire()
        in_use += 1
        most = max(most, in_use)
        await asyncio.sleep(0)
        in_use -= 1
        await pool.release(connection)

    await asyncio.gather(*(use() for _ in range(50)))

    assert (most, opener.opened) == (3, 3)


async def test_waiting_too_long_is_told_and_leaves_the_queue() -> None:
    pool = a_pool(Opener(), timeout_s=0.01)
    lent = await pool.acquire()

    with pytest.raises(PoolTimeout):
        await pool.acquire()
    await pool.release(lent)

    assert await pool.acquire() is lent


async def test_waiter_that_is_cancelled_passes_its_turn_on() -> None:
    pool = a_pool(Opener())
    lent = await pool.acquire()
    gone, next_one = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)

    # It gets its turn in the moment in which it is cancelled.
    await pool.release(lent)
    gone.cancel()

    assert await next_one is lent
    assert gone.cancelled()


async def test_stale_connection_is_replaced() -> None:
    opener = Opener()
    pool = a_pool(opener)
    first: Any = await pool.acquire()
    await pool.release(first)
    first.stale = True

    second = await pool.acquire()

    assert second is not first
    assert (opener.returned, first.closed) == ([first], True)


async def test_connection_that_broke_while_lent_is_not_kept() -> None:
    opener = Opener()
    pool = a_pool(opener)
    broken = await pool.acquire()
    await broken.close()
    await pool.release(broken)

    assert await pool.acquire() is not broken


async def test_connection_that_comes_back_to_a_closed_pool_is_closed() -> None:
    opener = Opener()
    pool = a_pool(opener)
    lent: Any = await pool.acquire()

    await pool.close()
    await pool.release(lent)

    assert (lent.closed, opener.returned) == (True, [lent])

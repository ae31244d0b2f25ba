"""PostgreSQL responses that are delayed, cut or reset at each of their bytes.

Whatever happens, each request ends, no other caller of the process waits, and the pool goes on.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psutil
import psycopg
import pytest
import uvloop
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.byte_proxy import HOLD_S, ByteProxy, spoil

from clinic.adapters.postgres.engine.connections import ConnectionLimits, prepared_pool
from clinic.adapters.postgres.engine.prepared_pool import PreparedPool
from clinic.adapters.postgres.engine.prepared_statements import PreparedConnection
from clinic.devtools.embedded import EmbeddedPostgres

POOL_SIZE = 16
#: far more than any of it takes; a hanging request takes forever
SOON_S = 20.0
#: how long requests may take after a server is back
BACK_S = 5.0
#: a held response that blocks the loop blocks it for HOLD_S each time; a busy machine may block
#: it as long, but less often
STOPPED_S, ATTEMPTS = 0.6 * HOLD_S, 4

Ask = Callable[[PreparedConnection, str], Awaitable[Any]]
Loop = Callable[[], asyncio.AbstractEventLoop]


async def prepare(connection: PreparedConnection, mark: str) -> Any:
    """Prepare a separate statement, whose text contains the mark."""
    return await connection.fetch(f"SELECT 7 /* {mark} */", ())


async def rows(connection: PreparedConnection, mark: str) -> Any:
    return await connection.fetch("SELECT length($1::text) - length($1::text) + 7", (mark,))


async def error(connection: PreparedConnection, mark: str) -> Any:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.fetch("SELECT 7 / (length($1::text) - length($1::text))", (mark,))
    return [(7,)]


async def length(connection: PreparedConnection, text: str) -> Any:
    return await connection.fetch("SELECT length($1::text)", (text,))


ANSWERS = pytest.mark.parametrize("ask", [prepare, rows, error])
RIGHT = [(7,)]
#: of a parameter
LARGE = 20_000_000
#: of a test; uvloop swallows what pytest-timeout raises in it
BOUND_S = 60


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on either kind of loop, for a bounded time."""

    async def bounded(main: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(BOUND_S):
            await main

    def run_on(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded(main))

    return run_on


@pytest.fixture(scope="module")
def proxy(module_postgres_urls) -> Iterator[ByteProxy]:
    server = conninfo_to_dict(module_postgres_urls.app_url)
    with ByteProxy(str(server["host"]), int(server["port"] or 5432)) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def url(proxy: ByteProxy, module_postgres_urls) -> str:
    """The database behind the proxy."""
    server = conninfo_to_dict(module_postgres_urls.app_url)
    return make_conninfo("", **{**server, "host": "127.0.0.1", "port": str(proxy.port)})


@asynccontextmanager
async def open_pool(url: str, size: int = POOL_SIZE) -> AsyncIterator[PreparedPool]:
    pool = prepared_pool(url, size, ConnectionLimits(pool_timeout_s=SOON_S))
    await pool.open(SOON_S)
    try:
        yield pool
    finally:
        await pool.close()


async def on(pool: PreparedPool, ask: Ask, mark: str = "") -> Any:
    """Return the result on a connection of the pool, or the error of a lost connection."""
    connection = await pool.acquire()
    try:
        return await ask(connection, mark)
    except psycopg.OperationalError as error:
        return error
    finally:
        await pool.release(connection)


async def length_of(pool: PreparedPool, proxy: ByteProxy, ask: Ask) -> int:
    """Return how many bytes this response has."""
    measured = asyncio.create_task(on(pool, ask, spoil("measure")))
    length = int(await asyncio.to_thread(proxy.told))
    assert await measured == RIGHT
    return length


async def warmed_up(pool: PreparedPool, ask: Ask) -> None:
    """Open every connection, with this statement prepared."""
    taken = await asyncio.gather(*(pool.acquire() for _ in range(POOL_SIZE)))
    for connection in taken:
        assert await ask(connection, "") == RIGHT
        await pool.release(connection)


@contextmanager
def watched() -> Iterator[list[float]]:
    """Yield a list, whose last item is afterwards the longest pause of the loop."""
    longest = [0.0]

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest[0] = max(longest[0], now - last)
            last = now

    heart = asyncio.create_task(beat())
    yield longest
    heart.cancel()


@ANSWERS
def test_answer_held_back_at_any_byte_holds_up_nobody_else(run, proxy, url, ask) -> None:
    async def main() -> None:
        async with asyncio.timeout(SOON_S), open_pool(url) as pool:
            size = await length_of(pool, proxy, ask)
            await warmed_up(pool, ask)
            stops = []
            for _ in range(ATTEMPTS):
                with watched() as longest:
                    marks = [spoil("hold", offset) for offset in range(size)]
                    assert await asyncio.gather(*(on(pool, ask, m) for m in marks)) == (
                        [RIGHT] * size
                    )
                stops += longest
                if stops[-1] < STOPPED_S:
                    break
            assert min(stops) < STOPPED_S

    run(main())


@ANSWERS
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_connection_lost_at_any_byte_ends_the_request(run, proxy, url, ask, kind) -> None:
    async def main() -> None:
        async with asyncio.timeout(SOON_S), open_pool(url) as pool:
            size = await length_of(pool, proxy, ask)

            # First with the whole response lost, then with more and more of it received.
            marks = [spoil(kind, offset) for offset in range(size + 1)]
            *lost, whole = await asyncio.gather(*(on(pool, ask, mark) for mark in marks))

            assert Counter(map(type, lost)) == {psycopg.OperationalError: size}
            assert whole == RIGHT or isinstance(whole, psycopg.OperationalError)
            # If the whole response arrived, the loss may be noticed only at the next use.
            used = await asyncio.gather(*(on(pool, ask) for _ in range(POOL_SIZE)))
            assert sum(answer != RIGHT for answer in used) <= 1
            await warmed_up(pool, ask)

    run(main())


@pytest.mark.parametrize("offset", [0, 5])
def test_notice_and_reset_that_come_together_end_the_request(run, url, offset: int) -> None:
    """Both have arrived when the loop polls next."""

    async def main() -> None:
        async with asyncio.timeout(SOON_S), open_pool(url, 1) as pool:
            assert await on(pool, rows) == RIGHT
            asked = asyncio.create_task(on(pool, rows, spoil("notice", offset)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(HOLD_S)  # noqa: ASYNC251 - the loop is busy meanwhile

            assert isinstance(await asked, psycopg.OperationalError)
            assert await on(pool, rows) == RIGHT

    run(main())


@pytest.mark.parametrize("kind", ["cut", "reset", "notice"])
@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "idle"])
def test_held_connection_that_ends_with_its_answer_fails_the_next_statement(
    run, proxy, url, kind, is_busy
) -> None:
    """The loop sees response and end together, or the end while no request is waiting."""

    async def main() -> None:
        async with asyncio.timeout(SOON_S):
            connection = await PreparedConnection.connect(url, autocommit=True)
            assert await rows(connection, "") == RIGHT
            measured = asyncio.create_task(rows(connection, spoil("measure")))
            length = int(await asyncio.to_thread(proxy.told))
            await measured

            asked = asyncio.create_task(rows(connection, spoil(kind, length)))
            await asyncio.sleep(0)
            if is_busy:
                time.sleep(HOLD_S)  # noqa: ASYNC251
            await asyncio.wait((asked,))
            await asyncio.sleep(HOLD_S)

            assert asked.exception() is None or isinstance(
                asked.exception(), psycopg.OperationalError
            )
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError):
                    await rows(connection, "")
            await connection.close()

    run(main())


def test_parameter_larger_than_every_buffer_arrives(run, url) -> None:
    async def main() -> None:
        async with asyncio.timeout(SOON_S), open_pool(url, 2) as pool:
            assert await on(pool, length, "x" * LARGE) == [(LARGE,)]
            assert await on(pool, length) == [(0,)]

    run(main())


@pytest.mark.parametrize("kind", ["refuse", "stall"])
def test_connection_lost_while_a_parameter_is_sent_ends_the_request(run, url, kind) -> None:
    async def main() -> None:
        async with asyncio.timeout(SOON_S), open_pool(url, 1) as pool:
            assert await on(pool, length) == [(0,)]
            asked = asyncio.create_task(on(pool, length, spoil(kind) + "x" * LARGE))
            if kind == "stall":
                # Long enough to fill every buffer; then the caller gives up.
                await asyncio.sleep(HOLD_S)
                asked.cancel()
            await asyncio.wait((asked,))

            assert asked.cancelled() or isinstance(asked.result(), psycopg.OperationalError)
            assert asked.cancelled() == (kind == "stall")
            assert await on(pool, length) == [(0,)]

    run(main())


@pytest.mark.slow
def test_requests_end_soon_after_a_server_that_stopped_at_once_is_back(memory_path) -> None:
    """Each connection gets a notice and is reset, since its statement has not been read yet."""
    server = EmbeddedPostgres(memory_path / "postgres", {"fsync": "off"})
    server.start()

    async def main() -> None:
        async with open_pool(server.url()) as pool:
            await warmed_up(pool, rows)
            postmaster = psutil.Process(server.pid)
            backends = [each for each in postmaster.children() if "clinic" in each.cmdline()[0]]
            assert len(backends) >= POOL_SIZE
            for backend in backends:
                backend.suspend()
            callers = [asyncio.create_task(on(pool, rows)) for _ in range(3 * POOL_SIZE)]
            await asyncio.sleep(HOLD_S)

            # While this loop is busy, so that it sees everything together.
            postmaster.send_signal(signal.SIGQUIT)
            time.sleep(HOLD_S)  # noqa: ASYNC251
            for backend in backends:
                backend.resume()
            psutil.wait_procs([postmaster, *backends], SOON_S)
            await asyncio.to_thread(server.kill9)
            await asyncio.to_thread(server.start)

            async with asyncio.timeout(BACK_S):
                answers = await asyncio.gather(*callers)
            lost = [isinstance(answer, psycopg.OperationalError) for answer in answers]
            assert lost == [True] * POOL_SIZE + [False] * 2 * POOL_SIZE
            assert await on(pool, rows) == RIGHT

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    finally:
        server.stop()

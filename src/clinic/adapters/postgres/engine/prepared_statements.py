"""A connection that runs prepared statements with as little Python code as possible.

psycopg's cursors convert parameters and drive the connection through generators, which costs three
times as much as a short statement itself. Here libpq sends the statement through psycopg's binding,
the event loop reports when the answer arrives, and psycopg's loaders read the rows
(docs/performance.md has the figures).
"""

import asyncio
import select
from binascii import hexlify
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter, call
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

Row = tuple[Any, ...]
#: a function that writes each parameter, and the parameters' formats
Plan = tuple[list[Callable[[Any], bytes | None]], list[int]]

_TEXT, _BINARY = int(pq.Format.TEXT), int(pq.Format.BINARY)
_json = msgspec.json.Encoder().encode
_zone_of = attrgetter("tzinfo")
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


#: how often a connection is read before other tasks get a turn
READS_MAX = 16


class PreparedConnection(psycopg.AsyncConnection[Row]):
    """A connection in autocommit; a statement is prepared on its first use and stays prepared.

    It runs one statement at a time: the pool lends a connection to one caller.
    """

    def __init__(self, pgconn: "pq.abc.PGconn", row_factory: Any = psycopg.rows.tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._names: dict[str, bytes] = {}
        #: the loop that watches the socket, and the future of the caller that waits for an answer
        self._watching: asyncio.AbstractEventLoop | None = None
        self._answered: asyncio.Future[pq.abc.PGresult] | None = None
        #: the last result of an answer that is not complete yet
        self._last: pq.abc.PGresult | None = None
        self._socket = -1
        self._poll: select.poll | None = None
        #: whether the socket was polled since the last answer
        self._looked_at = False
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._transformer: abc.Transformer | None = None

    def is_stale(self) -> bool:
        """Return whether the server has ended this idle connection, without a round trip.

        All that a server sends on an idle connection is that it ends, so polling the socket is
        enough.
        """
        if self.pgconn.status != pq.ConnStatus.OK or self._has_more():
            return True
        self._looked_at = True
        return False

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a statement with placeholders like $1. Raises psycopg.Error."""
        result = await self._run(query, parameters)
        if self._transformer is None:
            self._transformer = Transformer(self)
        self._transformer.set_pgresult(result)
        rows: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
        return rows

    async def _run(self, query: str, parameters: Sequence[object]) -> "pq.abc.PGresult":
        name = self._names.get(query)
        if name is None:
            name = f"statement_{len(self._names)}".encode()
            self.pgconn.send_prepare(name, query.encode())
            await self._answer()
            self._names[query] = name
        # PostgreSQL infers each parameter's type from the statement. How to write parameters of
        # these Python types is looked up once.
        kinds = (query, *map(type, parameters))
        plan = self._plans.get(kinds)
        if plan is None:
            plan = self._plans[kinds] = _plan(parameters)
        writers, formats = plan
        values = list(map(call, writers, parameters))
        self.pgconn.send_query_prepared(name, values, formats, result_format=_BINARY)
        return await self._answer()

    async def close(self) -> None:
        self._unwatch()
        await super().close()

    async def wait(self, *args: Any, **options: Any) -> Any:
        # psycopg watches the socket itself.
        self._unwatch()
        return await super().wait(*args, **options)

    async def _answer(self) -> "pq.abc.PGresult":
        """Return the result of what was sent. Raises psycopg.Error."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[pq.abc.PGresult] = loop.create_future()
        self._answered, self._last = answered, None
        try:
            if self._watching is None:
                self._watch(loop)
            if self.pgconn.flush():
                await self._send_rest(loop)
            # libuv reports a reset connection only once: if the reset arrived together with the
            # last answer, libuv reports nothing more about this socket.
            if not self._looked_at and self._has_more():
                self._read()
            self._looked_at = False
            result = await answered
        except BaseException:
            # The answer may still arrive, and no other caller may read it as its own.
            self._unwatch()
            self.pgconn.finish()
            raise
        finally:
            self._answered = self._last = None
        if result.status not in _DONE:
            raise error_from_result(result, encoding="utf-8")
        return result

    async def _send_rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what did not fit into the socket's buffer, as with a very large parameter.

        The server may need its output read first. Raises psycopg.OperationalError.
        """
        # libpq closes the socket of a lost connection, which must not be watched then.
        self._unwatch()
        while True:
            ready = asyncio.Event()
            loop.add_reader(self._socket, ready.set)
            loop.add_writer(self._socket, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(self._socket)
                loop.remove_writer(self._socket)
            self.pgconn.consume_input()
            if not self.pgconn.flush():
                break
        self._watch(loop)
        # The loop does not report again what was read meanwhile.
        self._read()

    def _read(self) -> None:
        """Read what has arrived, and answer the caller once it is complete; never wait."""
        answered, pgconn = self._answered, self.pgconn
        if answered is None or answered.done():
            # No caller waits: most likely the connection has ended. `is_stale` or the next
            # statement will notice.
            self._unwatch()
            return
        try:
            pgconn.consume_input()
            if not self._is_complete():
                return
            if self._last is None or pgconn.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("the connection was lost within an answer")
            answered.set_result(self._last)
        except psycopg.Error as error:
            answered.set_exception(error)
        if pgconn.status != pq.ConnStatus.OK:
            # libpq has closed the socket, and the next socket opened may get its number.
            self._unwatch()

    def _is_complete(self) -> bool:
        """Read what is available, and return whether the answer is complete."""
        pgconn = self.pgconn
        reads = 0
        while True:
            if not pgconn.is_busy():
                # Without the check above, this call would block the whole process.
                result = pgconn.get_result()
                if result is None:
                    return True
                self._last = result
            elif not self._has_more():
                return False
            elif reads == READS_MAX:
                # Let other tasks run.
                asyncio.get_running_loop().call_soon(self._read)
                return False
            else:
                # libuv reports an error only once, together with the data before it.
                pgconn.consume_input()
                reads += 1

    def _has_more(self) -> bool:
        """Return whether the socket is readable, which it also is once the server has closed it."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.pgconn.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        # Permanently: starting to watch for each statement would cost two system calls.
        self._socket = self.pgconn.socket
        loop.add_reader(self._socket, self._read)
        self._watching = loop

    def _unwatch(self) -> None:
        """Stop watching the socket; call this before it is closed and its number is reused."""
        if self._watching is not None:
            self._watching.remove_reader(self._socket)
            self._watching = None


def _plan(parameters: Sequence[object]) -> Plan:
    """Return how to write parameters of these types, and in which of the two formats."""
    return (
        [_writer(type(parameter)) for parameter in parameters],
        [_BINARY if type(parameter) in (UUID, bytes) else _TEXT for parameter in parameters],
    )


def _writer(kind: type) -> Callable[[Any], bytes | None]:
    for known, write in _WRITERS.items():
        if issubclass(kind, known):
            return write
    return _other


def _string(parameter: str) -> bytes:
    if "\0" in parameter:
        # libpq would cut the text off at the NUL.
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return parameter.encode()


def _instant(parameter: datetime) -> bytes:
    if parameter.tzinfo is UTC:
        return _json(parameter)[1:-1]
    return parameter.isoformat().encode()


def _list(parameter: list[Any]) -> bytes:
    """Return an array literal, written in C where JSON's syntax equals PostgreSQL's."""
    kinds = {*map(type, parameter)}
    if kinds == {bytes}:
        return b'{"\\\\x%s"}' % b'","\\\\x'.join(map(hexlify, parameter))
    if all(map(_is_known_to_json, kinds)) and (datetime not in kinds or _are_in_utc(parameter)):
        written = _json(parameter)
        if _is_array(written):
            return b"{%s}" % written[1:-1]
    return b"{%s}" % b",".join([_ITEMS.get(type(item), _quoted)(item) for item in parameter])


@lru_cache
def _is_known_to_json(kind: type) -> bool:
    return kind in (NoneType, str, int, UUID, datetime) or issubclass(kind, StrEnum)


def _is_array(written: bytes) -> bool:
    """Return whether PostgreSQL, where a backslash escapes any character, reads the same."""
    # Not `in`, which first tries bytes as a number and formats an error message that it is none.
    return written.find(b"\\") < 0 or written.replace(b'\\"', b"").find(b"\\") < 0


def _are_in_utc(instants: list[Any]) -> bool:
    # JSON writes any other offset in whole minutes only.
    return {*map(_zone_of, filter(None, instants))} == {UTC}


def _quoted_string(item: str) -> bytes:
    written = _string(item)
    if "\\" in item or '"' in item:
        written = written.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"%s"' % written


def _quoted(item: object) -> bytes:
    return _quoted_string(str(item))


def _other(parameter: object) -> bytes:
    return str(parameter).encode()


#: writers of an array's items by type. Ids are written without hyphens, which PostgreSQL accepts:
#: the hyphens would cost three times as much as all the rest.
_ITEMS: Mapping[type, Callable[[Any], bytes]] = {
    NoneType: lambda item: b"NULL",
    str: _quoted_string,
    UUID: lambda item: b"%032x" % item.int,
    int: lambda item: b"%d" % item,
    datetime: lambda item: item.isoformat().encode(),
    bytes: lambda item: b'"\\\\x%s"' % item.hex().encode(),
}
_WRITERS: Mapping[type, Callable[[Any], bytes | None]] = {
    NoneType: lambda parameter: None,
    bytes: lambda parameter: parameter,
    UUID: lambda parameter: parameter.int.to_bytes(16),
    str: _string,
    datetime: _instant,
    list: _list,
}

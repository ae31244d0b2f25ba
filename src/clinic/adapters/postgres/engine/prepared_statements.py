"""A connection that runs prepared statements with as little Python around them as can be.

psycopg's cursors convert parameters and drive the connection through generators, which costs three
times what a short statement itself does. Here libpq, through psycopg's own binding, sends the
statement, the event loop says when the answer is there, and psycopg's loaders read the rows
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
#: what writes each parameter, and its format
Plan = tuple[list[Callable[[Any], bytes | None]], list[int]]

_TEXT, _BINARY = int(pq.Format.TEXT), int(pq.Format.BINARY)
_json = msgspec.json.Encoder().encode
_zone_of = attrgetter("tzinfo")
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


#: how often a connection is read before others have their turn
READS_MAX = 16


class PreparedConnection(psycopg.AsyncConnection[Row]):
    """A connection in autocommit; a statement is prepared on its first use and stays prepared.

    One statement at a time: the pool gives a connection to one caller.
    """

    def __init__(self, pgconn: "pq.abc.PGconn", row_factory: Any = psycopg.rows.tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._names: dict[str, bytes] = {}
        #: the loop that tells when something can be read, and who waits for it
        self._watching: asyncio.AbstractEventLoop | None = None
        self._answered: asyncio.Future[pq.abc.PGresult] | None = None
        #: the last result of an answer that has not come to its end
        self._last: pq.abc.PGresult | None = None
        self._socket = -1
        self._poll: select.poll | None = None
        #: whether the socket was looked at since the last answer
        self._looked_at = False
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._transformer: abc.Transformer | None = None

    def is_stale(self) -> bool:
        """Say whether the server has ended this idle connection, without asking it.

        Nothing comes from the server on an idle connection but the word that it is over, so a look
        at the socket replaces a round trip.
        """
        if self.pgconn.status != pq.ConnStatus.OK or self._has_more():
            return True
        self._looked_at = True
        return False

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a statement in PostgreSQL's own words ($1). Raises psycopg.Error."""
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
        # PostgreSQL knows each parameter's type from the statement. How the parameters of these
        # Python types are written is looked up once.
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
        # psycopg watches the socket in its own way.
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
            # libuv reports once that a connection was reset: if that came together with the last
            # answer, it never says another word about this socket.
            if not self._looked_at and self._has_more():
                self._read()
            self._looked_at = False
            result = await answered
        except BaseException:
            # What was in flight may still arrive: no other caller may read it as its answer.
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

        The server may want to be read first. Raises psycopg.OperationalError.
        """
        # libpq closes the socket of a lost connection, which nobody may be watching then.
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
        # What was read meanwhile is not reported again.
        self._read()

    def _read(self) -> None:
        """Take in what has come, and answer the caller once it is complete; never waits."""
        answered, pgconn = self._answered, self.pgconn
        if answered is None or answered.done():
            # Nobody has asked anything: most likely the end of the connection. It is not looked at
            # here; `is_stale` or the next statement will see it.
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
            # libpq has closed the socket, and the next one opened gets its number.
            self._unwatch()

    def _is_complete(self) -> bool:
        """Say whether the answer has come to its end, reading on until there is nothing more."""
        pgconn = self.pgconn
        reads = 0
        while True:
            if not pgconn.is_busy():
                # Without the check above this would block the whole process.
                result = pgconn.get_result()
                if result is None:
                    return True
                self._last = result
            elif not self._has_more():
                return False
            elif reads == READS_MAX:
                # Let the others have their turn.
                asyncio.get_running_loop().call_soon(self._read)
                return False
            else:
                # libuv reports an error once, together with what came before it.
                pgconn.consume_input()
                reads += 1

    def _has_more(self) -> bool:
        """Say whether the socket has something to read, its end included."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.pgconn.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        # For good, since watching for each statement costs two system calls.
        self._socket = self.pgconn.socket
        loop.add_reader(self._socket, self._read)
        self._watching = loop

    def _unwatch(self) -> None:
        """Leave the socket alone; before it is closed, since another may get its number then."""
        if self._watching is not None:
            self._watching.remove_reader(self._socket)
            self._watching = None


def _plan(parameters: Sequence[object]) -> Plan:
    """Return how parameters of these types are written, and in which of the two formats."""
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
        # libpq would take what is before it for the whole.
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return parameter.encode()


def _instant(parameter: datetime) -> bytes:
    if parameter.tzinfo is UTC:
        return _json(parameter)[1:-1]
    return parameter.isoformat().encode()


def _list(parameter: list[Any]) -> bytes:
    """Return an array: written in C where JSON's words and PostgreSQL's are the same."""
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
    """Say whether PostgreSQL, to which a backslash means the next character, reads the same."""
    # find, since `in` first takes bytes for a number, and words the error that it is none.
    return written.find(b"\\") < 0 or written.replace(b'\\"', b"").find(b"\\") < 0


def _are_in_utc(instants: list[Any]) -> bool:
    # Of any other offset JSON would have whole minutes only.
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


#: items of an array by their types. PostgreSQL reads ids without hyphens, too, which cost
#: three times as much to write as all the rest.
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

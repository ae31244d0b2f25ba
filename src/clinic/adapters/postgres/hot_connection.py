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


class HotConnection(psycopg.AsyncConnection[Row]):
    """A connection in autocommit; a statement is prepared on its first use and stays prepared.

    One statement at a time: the pool gives a connection to one caller.
    """

    def __init__(self, pgconn: "pq.abc.PGconn", row_factory: Any = psycopg.rows.tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._names: dict[str, bytes] = {}
        #: the loop that tells when something can be read, and who waits for it
        self._watching: asyncio.AbstractEventLoop | None = None
        self._answered: asyncio.Future[pq.abc.PGresult] | None = None
        self._socket = -1
        self._watched: select.poll | None = None
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._transformer: abc.Transformer | None = None

    def is_stale(self) -> bool:
        """Say whether the server has ended this idle connection, without asking it.

        Nothing comes from the server on an idle connection but the word that it is over, so a look
        at the socket replaces a round trip.
        """
        if self.pgconn.status != pq.ConnStatus.OK:
            return True
        if self._watched is None:
            self._watched = select.poll()
            self._watched.register(self.pgconn.socket, select.POLLIN)
        return bool(self._watched.poll(0))

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
            name = f"hot_{len(self._names)}".encode()
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
        if self._watching is None:
            # For good, since watching anew costs two system calls for each statement.
            self._socket = self.pgconn.socket
            loop.add_reader(self._socket, self._read)
            self._watching = loop
        answered: asyncio.Future[pq.abc.PGresult] = loop.create_future()
        self._answered = answered
        try:
            while self.pgconn.flush():
                # The socket's buffer is full, which only a very large parameter does.
                await _until_writable(loop, self.pgconn.socket)
            result = await answered
        except BaseException:
            # Whatever was under way may still come: nobody else may read it as their answer.
            self._unwatch()
            self.pgconn.finish()
            raise
        finally:
            self._answered = None
        if result.status not in _DONE:
            raise error_from_result(result, encoding="utf-8")
        return result

    def _read(self) -> None:
        answered, pgconn = self._answered, self.pgconn
        if answered is None:
            # Nobody has asked anything: this is the end of the connection, as `is_stale` will see.
            self._unwatch()
            return
        if answered.done():
            return
        try:
            pgconn.consume_input()
            if pgconn.is_busy():
                return
            last = result = pgconn.get_result()
            while result is not None:
                last = result
                result = pgconn.get_result()
        except psycopg.Error as error:
            answered.set_exception(error)
        else:
            if last is None:
                answered.set_exception(psycopg.OperationalError("the server sent no answer"))
            else:
                answered.set_result(last)
        if pgconn.status != pq.ConnStatus.OK:
            # libpq has closed the socket, and the next one opened gets its number.
            self._unwatch()

    def _unwatch(self) -> None:
        """Leave the socket alone; before it is closed, since another may get its number then."""
        if self._watching is not None:
            self._watching.remove_reader(self._socket)
            self._watching = None


async def _until_writable(loop: asyncio.AbstractEventLoop, socket: int) -> None:
    writable = asyncio.Event()
    loop.add_writer(socket, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(socket)


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

"""A connection that runs prepared statements with as little Python around them as can be.

psycopg's cursors convert parameters and drive the connection through generators, which costs three
times what a short statement itself does. Here libpq, through psycopg's own binding, sends the
statement, the event loop says when the answer is there, and psycopg's loaders read the rows
(docs/performance.md has the figures).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

Row = tuple[Any, ...]

_TEXT, _BINARY = int(pq.Format.TEXT), int(pq.Format.BINARY)
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class HotConnection(psycopg.AsyncConnection[Row]):
    """A connection in autocommit; a statement is prepared on its first use and stays prepared.

    One statement at a time: the pool gives a connection to one caller.
    """

    def __init__(self, pgconn: "pq.abc.PGconn", row_factory: Any = psycopg.rows.tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self._names: dict[str, bytes] = {}
        self._transformer: abc.Transformer | None = None

    async def fetch(self, query: str, parameters: Sequence[object]) -> list[Row]:
        """Return the rows of a statement in PostgreSQL's own words ($1). Raises psycopg.Error."""
        result = await self._run(query, parameters)
        if self._transformer is None:
            self._transformer = Transformer(self)
        self._transformer.set_pgresult(result)
        rows: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
        return rows

    async def count(self, query: str, parameters: Sequence[object]) -> int:
        """Return how many rows a statement gave. Raises psycopg.Error."""
        return (await self._run(query, parameters)).ntuples

    async def _run(self, query: str, parameters: Sequence[object]) -> "pq.abc.PGresult":
        name = self._names.get(query)
        if name is None:
            name = f"hot_{len(self._names)}".encode()
            self.pgconn.send_prepare(name, query.encode())
            await self._answer()
            self._names[query] = name
        values, formats = [], []
        for parameter in parameters:
            # PostgreSQL knows each parameter's type from the statement.
            if parameter is None or isinstance(parameter, bytes):
                values.append(parameter)
                formats.append(_BINARY)
            elif isinstance(parameter, UUID):
                values.append(parameter.bytes)
                formats.append(_BINARY)
            else:
                values.append(_text(parameter))
                formats.append(_TEXT)
        self.pgconn.send_query_prepared(name, values, formats, result_format=_BINARY)
        return await self._answer()

    async def _answer(self) -> "pq.abc.PGresult":
        """Return the result of what was sent. Raises psycopg.Error."""
        pgconn, loop = self.pgconn, asyncio.get_running_loop()
        socket = pgconn.socket
        answered: asyncio.Future[pq.abc.PGresult] = loop.create_future()

        def read() -> None:
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
                return
            if last is None:
                answered.set_exception(psycopg.OperationalError("the server sent no answer"))
            else:
                answered.set_result(last)

        loop.add_reader(socket, read)
        try:
            while pgconn.flush():
                # The socket's buffer is full, which only a very large parameter does.
                await _until_writable(loop, socket)
            result = await answered
        except BaseException:
            # Whatever was under way may still come: nobody else may read it as their answer.
            loop.remove_reader(socket)
            pgconn.finish()
            raise
        loop.remove_reader(socket)
        if result.status not in _DONE:
            raise error_from_result(result, encoding="utf-8")
        return result


async def _until_writable(loop: asyncio.AbstractEventLoop, socket: int) -> None:
    writable = asyncio.Event()
    loop.add_writer(socket, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(socket)


def _text(parameter: object) -> bytes:
    """Return PostgreSQL's text of a parameter. Raises psycopg.DataError for a NUL character."""
    if isinstance(parameter, str):
        if "\0" in parameter:
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return parameter.encode()
    if isinstance(parameter, datetime):
        return parameter.isoformat().encode()
    if isinstance(parameter, list):
        return b"{" + b",".join([b'"%s"' % _escaped(each) for each in parameter]) + b"}"
    return str(parameter).encode()


def _escaped(item: object) -> bytes:
    return _text(str(item)).replace(b"\\", b"\\\\").replace(b'"', b'\\"')

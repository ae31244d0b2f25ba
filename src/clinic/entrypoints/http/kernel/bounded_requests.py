"""Limits on bytes, headers, time and connections, enforced while a request is still arriving.

uvicorn's parser accepts anything. A refusal here costs a few comparisons: nothing beyond a limit is
read, kept or parsed.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from clinic.entrypoints.http.kernel.coalescing_protocol import CoalescingProtocol
from clinic.entrypoints.http.kernel.connections import Connections, ServerLimits
from clinic.entrypoints.http.kernel.early_refusals import (
    ADDRESS_TOO_LONG,
    HEADERS_TOO_LARGE,
    HEADERS_TOO_SLOW,
    MALFORMED,
    TOO_MANY_CONNECTIONS,
)

#: bytes that a chunk's size and line ends may take per byte in it: clients send single bytes, too
CHUNK_OVERHEAD_MAX = 8

# What the next byte belongs to: nothing that has begun; a head, or blank lines before it; the body
# of a request that the application has. Numbers, since members of an enum take longer to look up.
_IDLE, _HEAD, _BODY = range(3)
# Bound here, since super() would search each class for them on every request.
_on_headers_complete = HttpToolsProtocol.on_headers_complete
_on_body = HttpToolsProtocol.on_body
_on_response_complete = HttpToolsProtocol.on_response_complete


class Protocols:
    """Makes the protocol of each connection of a process; pickled into each worker process."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._connections: Connections | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "BoundedRequests":
        if self._connections is None:
            self._connections = Connections(self._limits)
        return BoundedRequests(self._connections, config, server_state, app_state, _loop)


class _Refused(Exception):
    """Ends the parsing of a head that is complete and too large."""


class BoundedRequests(CoalescingProtocol):
    """One connection. Requests that arrived before a refused one are answered first."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = connections
        self._limits = connections.limits
        self._phase = _HEAD
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        #: bytes of the head so far, if it arrives in several parts
        self._head_bytes = 0
        #: whether `_head_bytes` covers the whole head so far
        self._is_counted = True
        #: bytes since the head: all of them, and those of the body
        self._fed_bytes = 0
        self._body_bytes = 0
        #: nothing more is read: the request was refused, or there are too many connections
        self._is_over = False
        self._is_busy = False
        self._refusal: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._bounds.admit(self, self.client[0] if self.client else None):
            self._bounds.expect(self, self._limits.head_timeout_s)
        elif self._bounds.may_tell():
            # Refuse after it has sent a request: closing a connection with unread data resets it.
            self._is_busy = True
            self._bounds.expect(self, self._limits.linger_s)
        else:
            self._is_over = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._bounds.release(self, was_told=self._is_busy)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._discard(len(data))
        elif self._is_busy:
            self._end_with(TOO_MANY_CONNECTIONS)
        elif self._head_bytes or len(data) > self._limits.head_max_bytes:
            self._feed_in_parts(data)
        else:
            self._feed(data)

    def on_headers_complete(self) -> None:
        limits = self._limits
        if len(self.url) > limits.url_max_bytes:
            self._refusal = ADDRESS_TOO_LONG
        elif len(self.headers) > limits.headers_max or not (
            self._is_counted or self._size() <= limits.head_max_bytes
        ):
            self._refusal = HEADERS_TOO_LARGE
        elif len(self.pipeline) < limits.pipelined_max:
            _on_headers_complete(self)
            # Collect trailers separately: they have not passed the checks of headers.
            self.headers = []
            self._fed_bytes = self._body_bytes = 0
            return
        raise _Refused

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        _on_body(self, body)

    def on_response_complete(self) -> None:
        if self._is_over and not self.pipeline:
            self.transport.close()
        _on_response_complete(self)
        if (
            self._phase == _BODY
            and self.cycle.response_complete
            and not self.transport.is_closing()
        ):
            self._fed_bytes = 0
            self._bounds.expect(self, self._limits.drain_s)

    def on_closing(self) -> None:
        """Give the client a limited time to receive what was written."""
        self._bounds.expect(self, self._limits.write_timeout_s)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bounds.expect(self, self._limits.write_timeout_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._bounds.forget(self)

    def overdue(self) -> None:
        """End what took too long: a head, the rest of a body, or the client reading an answer."""
        if self.transport.is_closing() or self._is_over or self.flow.write_paused:
            self.transport.abort()
        elif self._is_busy:
            self._end_with(TOO_MANY_CONNECTIONS)
        elif self._phase == _HEAD and (self._has_begun() or self._is_answering()):
            self._refuse(HEADERS_TOO_SLOW)
        else:
            self.transport.close()

    # --- incoming data

    def _feed_in_parts(self, data: bytes) -> None:
        """Feed no more of a head than is allowed, however much arrived at once."""
        while data and not self._is_over:
            room = self._limits.head_max_bytes - self._head_bytes
            if room <= 0:
                self._refuse(self._too_large())
                return
            self._feed(data[:room])
            data = data[room:]
        if data:
            self._discard(len(data))

    def _feed(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        before: Any = self.cycle
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
            return
        except httptools.HttpParserUpgrade:
            # What follows may be the request's body, which the parser would take for a request.
            self._is_over = True
            self.cycle.keep_alive = False
            return
        # None at first, despite uvicorn's annotation; so is the scope.
        cycle: Any = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            self._in_head(len(data), is_whole=cycle is before and self._phase != _BODY)
        elif cycle.more_body:
            self._in_body(len(data))
        elif cycle is before and self._phase != _BODY:
            # Blank lines.
            self._in_head(len(data), is_whole=True)
        elif self._phase != _IDLE:
            self._phase = _IDLE
            self._head_bytes, self._is_counted = 0, True
            self._bounds.forget(self)

    def _in_head(self, length: int, *, is_whole: bool) -> None:
        """Count `length` more bytes of a head that is not complete.

        Unless the part `is_whole` of it, a previous request ended somewhere in the part: then the
        head is measured once it is complete, and is no larger than two parts until then.
        """
        is_new = self._phase != _HEAD or not is_whole
        if is_new or not self._bounds.is_expected(self):
            self._bounds.expect(self, self._limits.head_timeout_s)
        self._phase = _HEAD
        self._is_counted = is_whole and (is_new or self._is_counted)
        self._head_bytes = self._head_bytes + length if is_whole else 0
        if self._has_begun() and len(self.url) > self._limits.url_max_bytes:
            self._refuse(ADDRESS_TOO_LONG)
        elif len(self.headers) > self._limits.headers_max:
            self._refuse(HEADERS_TOO_LARGE)

    def _in_body(self, length: int) -> None:
        """Count `length` more bytes of a request whose head is complete."""
        limits, cycle = self._limits, self.cycle
        if self._phase != _BODY:
            # From here on, the application limits the time.
            self._phase = _BODY
            self._head_bytes, self._is_counted = 0, True
            self._bounds.forget(self)
            return
        self._fed_bytes += length
        if cycle.response_complete:
            if self._fed_bytes > limits.drain_max_bytes:
                self.transport.abort()
            elif not self._bounds.is_expected(self):
                self._bounds.expect(self, limits.drain_s)
        elif (
            self._fed_bytes > limits.head_max_bytes + CHUNK_OVERHEAD_MAX * self._body_bytes
            or len(self.headers) > limits.headers_max
        ):
            self._refuse(HEADERS_TOO_LARGE)

    def _discard(self, length: int) -> None:
        self._fed_bytes += length
        if self._fed_bytes > self._limits.linger_max_bytes and not self._is_answering():
            self.transport.abort()

    # --- the end

    def _refuse(self, refusal: bytes) -> None:
        """Refuse what is arriving, answer earlier requests first, and then end the connection."""
        cycle: Any = self.cycle
        is_of_body = cycle is not None and cycle.scope is self.scope and cycle.more_body
        self._fed_bytes = 0
        self._is_over = True
        if is_of_body and self.pipeline:
            # The request waits for another one, and has done nothing yet.
            self.pipeline.popleft()
        elif is_of_body and cycle.response_complete:
            self.transport.close()
        elif is_of_body and not cycle.response_started:
            cycle.disconnected = True
            cycle.message_event.set()
            self._end_with(refusal)
        elif not self._is_answering():
            self._end_with(refusal)

    def _end_with(self, response: bytes) -> None:
        """Send the response, and leave the client a moment to read it."""
        self._is_over = True
        self._fed_bytes = 0
        if self.transport.is_closing():
            return
        self.transport.write(response)
        self.transport.write_eof()
        self._bounds.expect(self, self._limits.linger_s)

    def _size(self) -> int:
        """Return the size of the head in bytes, give or take a few spaces."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _has_begun(self) -> bool:
        """Return whether a head has begun but is not complete."""
        last: Any = self.cycle
        begun: Any = self.scope
        return bool(begun) and (last is None or last.scope is not begun)

    def _is_answering(self) -> bool:
        last: Any = self.cycle
        return bool(last) and not last.response_complete and not last.disconnected

    def _too_large(self) -> bytes:
        in_url = self._has_begun() and not self.headers
        too_long = in_url and len(self.url) > self._limits.url_max_bytes
        return ADDRESS_TOO_LONG if too_long else HEADERS_TOO_LARGE

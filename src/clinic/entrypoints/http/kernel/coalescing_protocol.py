"""Sends responses in one piece: uvicorn writes head and body in two system calls."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _Joining(asyncio.Transport):
    """A transport that holds each write until the next one, or until the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, on_closing: Callable[[], None]) -> None:
        super().__init__()
        self._on_closing = on_closing
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._kept = b""
        # The inner transport's own methods, since they are called for each request.
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.set_protocol = transport.set_protocol  # type: ignore[method-assign]

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if self._kept:
            data, self._kept = self._kept + data, b""
            self._transport.write(data)
        elif data:
            self._kept = data
            self._loop.call_soon(self._send)

    def close(self) -> None:
        self._on_closing()
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._kept = b""
        self._transport.abort()

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def _send(self) -> None:
        kept, self._kept = self._kept, b""
        # The client may be gone by the loop's next turn.
        if kept and not self._transport.is_closing():
            self._transport.write(kept)


class CoalescingProtocol(HttpToolsProtocol):
    """uvicorn's own protocol over a `_Joining` transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joining(transport, self.on_closing))

    def on_closing(self) -> None:
        """Called when this side closes the connection; written data may still be unsent."""

"""Responses that leave in one piece: uvicorn writes head and body apart, in two system calls."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _Joining:
    """A transport that keeps what is written for what follows it, or for the loop's next turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._kept = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._kept:
            data, self._kept = self._kept + data, b""
            self._transport.write(data)
        elif data:
            self._kept = data
            self._loop.call_soon(self._send)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        kept, self._kept = self._kept, b""
        # Whoever asked may have gone before the loop's next turn.
        if kept and not self._transport.is_closing():
            self._transport.write(kept)


class WholeResponses(HttpToolsProtocol):
    """uvicorn's own protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]

"""Metrics and health of a worker over HTTP, on this machine only."""

import asyncio
from collections.abc import Awaitable, Callable

from clinic.entrypoints.worker.metrics import Metrics

HOST = "127.0.0.1"
REQUEST_MAX_BYTES = 8192
TIMEOUT_S = 5.0

Ready = Callable[[], Awaitable[str | None]]


async def serve_status(port: int, metrics: Metrics, ready: Ready) -> asyncio.Server:
    """Return a server of /metrics, /health/live and /health/ready at `port`; 0 takes any.

    `ready` returns what is wrong, or None.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                request = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await _answer(request, metrics, ready)
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, HOST, port, limit=REQUEST_MAX_BYTES)


async def _answer(request: bytes, metrics: Metrics, ready: Ready) -> tuple[str, str, bytes]:
    method, _, rest = request.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return "405 Method Not Allowed", "text/plain", b"GET only\n"
    if path == b"/metrics":
        return "200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics.text()
    if path == b"/health/live":
        return "200 OK", "text/plain", b"alive\n"
    if path == b"/health/ready":
        wrong = await ready()
        if wrong is None:
            return "200 OK", "text/plain", b"ready\n"
        return "503 Service Unavailable", "text/plain", f"{wrong}\n".encode()
    return "404 Not Found", "text/plain", b"/metrics, /health/live, /health/ready\n"

"""Metrics and health of a worker over HTTP, on this machine only.

uvicorn serves them in the worker's own event loop, so that liveness fails if the loop hangs.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from prometheus_client import make_asgi_app

from clinic.entrypoints.worker.metrics import Metrics

HOST = "127.0.0.1"
HEAD_MAX_BYTES = 8192
#: how long requests in progress may take at shutdown
STOP_TIMEOUT_S = 1

#: returns what is wrong, or None
Ready = Callable[[], Awaitable[str | None]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class StatusServer:
    """Serves /metrics, /health/live and /health/ready from `start` to `stop`."""

    def __init__(self, metrics: Metrics, ready: Ready) -> None:
        self._metrics = make_asgi_app(metrics.registry)
        self._ready = ready
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="h11",
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = _Server(config)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self, port: int) -> None:
        """Listen on `port`, or any free one if it is 0. Raises OSError when it is taken."""
        self._socket = socket.create_server((HOST, port))
        self._serving = asyncio.create_task(self._server.serve([self._socket]), name="status")

    async def stop(self) -> None:
        """Stop listening, and finish the requests in progress within STOP_TIMEOUT_S."""
        self._server.should_exit = True
        await self._serving

    async def _answer(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send
    ) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, "GET only\n", (b"allow", b"GET, HEAD"))
        elif scope["path"] == "/metrics":
            await self._metrics(scope, receive, send)
        elif scope["path"] == "/health/live":
            await _send(send, 200, "alive\n")
        elif scope["path"] == "/health/ready":
            wrong = await self._ready()
            await _send(send, 200 if wrong is None else 503, f"{wrong or 'ready'}\n")
        else:
            await _send(send, 404, "/metrics, /health/live, /health/ready\n")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the worker, which stops this server last."""
        yield


async def _send(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = text.encode()
    every = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})

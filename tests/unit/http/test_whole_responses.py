"""What the server's protocol writes, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from clinic.entrypoints.http.kernel.coalescing_protocol import CoalescingProtocol

pytestmark = pytest.mark.anyio

App = Callable[[Any, Any, Any], Awaitable[None]]


class Transport(asyncio.Transport):
    """Records what reaches the socket, and the order of writing and closing."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed_after = len(self.written)

    def is_closing(self) -> bool:
        return self.closed_after is not None

    def resume_reading(self) -> None:
        """As sockets do."""


def answering(status: int, *parts: bytes, pause: bool = False) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = str(sum(map(len, parts))).encode()
        headers = [] if status == 304 else [(b"content-length", length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for place, part in enumerate(parts, 1):
            if pause:
                await asyncio.sleep(0.01)
            more = place < len(parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


def connected(app: App) -> tuple[CoalescingProtocol, Transport]:
    config = Config(app, http=CoalescingProtocol, lifespan="off", log_config=None)
    config.load()
    protocol = CoalescingProtocol(config=config, server_state=ServerState(), app_state={})
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def written(app: App, request: bytes) -> Transport:
    answered = asyncio.Event()

    async def telling(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        answered.set()

    protocol, transport = connected(telling)
    protocol.data_received(request)
    async with asyncio.timeout(5):
        await answered.wait()
    await asyncio.sleep(0)
    if protocol.timeout_keep_alive_task is not None:
        protocol.timeout_keep_alive_task.cancel()
    return transport


def get(method: bytes = b"GET", more: bytes = b"") -> bytes:
    return method + b" / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"


async def test_head_and_body_are_one_write() -> None:
    transport = await written(answering(200, b"hello"), get())

    [whole] = transport.written
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("status", "method", "body"), [(304, b"GET", b""), (200, b"HEAD", b""), (200, b"GET", b"")]
)
async def test_head_alone_is_sent_too(status: int, method: bytes, body: bytes) -> None:
    transport = await written(answering(status, body), get(method))

    [head] = transport.written
    assert head.endswith(b"\r\n\r\n")


async def test_head_does_not_wait_for_a_body_that_takes_its_time() -> None:
    transport = await written(answering(200, b"first", b"second", pause=True), get())

    head, *body = transport.written
    assert head.endswith(b"\r\n\r\n")
    assert body == [b"first", b"second"]


async def test_what_was_written_is_sent_before_the_connection_is_closed() -> None:
    transport = await written(answering(200, b"bye"), get(more=b"Connection: close\r\n"))

    assert b"".join(transport.written).endswith(b"bye")
    assert transport.closed_after == len(transport.written)


async def test_nothing_is_written_once_the_client_has_gone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": []})
        # In the same turn of the loop, before the head has been sent.
        transport.closed_after = 0
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
        answered.set()

    answered = asyncio.Event()
    protocol, transport = connected(app)
    protocol.data_received(get())
    async with asyncio.timeout(5):
        await answered.wait()

    assert transport.written == []


async def test_request_that_cannot_be_read_is_answered_before_the_connection_is_closed() -> None:
    protocol, transport = connected(answering(200, b""))
    protocol.data_received(b"nonsense\r\n\r\n")

    assert transport.written[0].startswith(b"HTTP/1.1 400 ")
    assert transport.closed_after == 1

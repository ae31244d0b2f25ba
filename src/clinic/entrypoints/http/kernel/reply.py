"""A response as bytes, built once and sent unchanged."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any

import msgspec

_TAG_CHARS = 22
JSON_TYPE = b"application/json"
PROBLEM_TYPE = b"application/problem+json"

Headers = list[tuple[bytes, bytes]]
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Reply(msgspec.Struct):
    status: int
    body: bytes = b""
    headers: Headers = []
    media_type: bytes = JSON_TYPE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; without its body in answer to HEAD."""
        if not self.status:
            return
        headers = self.headers
        if self.status not in (204, 304):
            headers = [
                (b"content-type", self.media_type),
                (b"content-length", b"%d" % len(self.body)),
                *headers,
            ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


class Streamed(Reply, kw_only=True):
    """A response that is sent in pieces as they are made, while the client is connected.

    If a piece cannot be made, the connection is closed in the middle of the response, so that the
    client does not take a part for the whole.
    """

    pieces: AsyncIterator[bytes]
    #: how long one piece may take to make
    timeout_s: float
    #: called with the error of a piece that could not be made
    report: Callable[[Exception], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; without its body in answer to HEAD."""
        headers = [(b"content-type", self.media_type), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] != "HEAD" and not await self._send_pieces(receive, send):
            return
        await send({"type": "http.response.body", "body": b""})

    async def _send_pieces(self, receive: Receive, send: Send) -> bool:
        """Send every piece; return whether all were sent."""
        hang_up = asyncio.create_task(_until_hang_up(receive))
        try:
            while piece := await self._next():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # The server silently drops what is sent to a client that is gone.
                if hang_up.done():
                    return False
        except Exception as error:  # noqa: BLE001 - the status has been sent
            self.report(error)
            # The server closes the connection of an incomplete response.
            return False
        finally:
            hang_up.cancel()
        return True

    async def _next(self) -> bytes:
        async with asyncio.timeout(self.timeout_s):
            return await anext(self.pieces, b"")


async def _until_hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def content_tag(body: bytes) -> str:
    """Return the entity tag of something without versions: a digest of its content."""
    digest = urlsafe_b64encode(sha256(body).digest()).decode()
    return f'"{digest[:_TAG_CHARS]}"'


#: sent to a client that is gone: nothing
NO_REPLY = Reply(0)

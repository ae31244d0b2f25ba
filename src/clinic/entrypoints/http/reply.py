"""A response as bytes: built once, sent as it is."""

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, MutableMapping
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


def content_tag(body: bytes) -> str:
    """Return the entity tag of something without versions: it changes with what it says."""
    digest = urlsafe_b64encode(sha256(body).digest()).decode()
    return f'"{digest[:_TAG_CHARS]}"'


#: for a client that is gone
NO_REPLY = Reply(0)

"""A small HTTP client: one request per connection, and many at once."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: to connect, and again for the answer
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send; `key` is its Idempotency-Key, `version` the ETag in its If-Match."""

    method: str
    path: str
    token: str
    body: Mapping[str, Any] | None = None
    key: str | None = None
    version: str | None = None

    def encoded(self, host: str) -> bytes:
        """Return the request as it goes over the wire."""
        content = b"" if self.body is None else json.dumps(self.body).encode()
        headers = {
            "Host": host,
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        if self.version is not None:
            headers["If-Match"] = self.version
        if self.body is None:
            del headers["Content-Type"]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + content


@dataclass(frozen=True, slots=True)
class Response:
    """A response that was received; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The problem's code, or None for a success."""
        if self.status < 400:
            return None
        try:
            return str(self.json.get("code"))
        except (ValueError, AttributeError):
            return None


async def send(host: str, port: int, request: Request) -> Response:
    """Return the answer to one request. Raises OSError or TimeoutError when there is none."""
    [response] = await send_together(host, port, [request])
    if isinstance(response, Response):
        return response
    raise response


async def send_together(
    host: str, port: int, requests: list[Request]
) -> list[Response | OSError | TimeoutError]:
    """Return the answers, in order, to requests that are all sent at the same moment.

    Every connection is open before the first byte is sent, so that the requests really race.
    """
    start = asyncio.Event()
    connected = asyncio.Barrier(len(requests) + 1)

    async def one(request: Request) -> Response | OSError | TimeoutError:
        try:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    reader, writer = await asyncio.open_connection(host, port)
            finally:
                # A request that could not connect must not keep the others waiting.
                await connected.wait()
            await start.wait()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    writer.write(request.encoded(f"{host}:{port}"))
                    return _parsed(await reader.read())
            finally:
                writer.close()
        except (OSError, TimeoutError) as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(request)) for request in requests]
        await connected.wait()
        start.set()
    return [task.result() for task in tasks]


def _parsed(raw: bytes) -> Response:
    """Return the response in these bytes. Raises ConnectionError if it is incomplete."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length")
    if not first.startswith("HTTP/1.") or length is None or len(body) != int(length):
        raise ConnectionError("the connection broke before the whole answer had come")
    return Response(int(first.split()[1]), headers, body)

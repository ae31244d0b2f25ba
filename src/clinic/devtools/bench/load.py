"""The load client, a separate process: sends prepared requests over connections kept alive.

Reads a file of requests and prints one line of JSON. It parses only a response's status and
length, so that it takes little time from the server, with which it shares the processors. It
imports only the standard library: `python load.py SPEC`.
"""

import json
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

READ_BYTES = 1 << 18
STALLED_S = 60.0
NO_ANSWER = 0
_LENGTH = struct.Struct(">I")


def pack(requests: Iterable[bytes]) -> bytes:
    """Return the requests as the client reads them."""
    return b"".join(_LENGTH.pack(len(request)) + request for request in requests)


def unpack(packed: bytes) -> Iterator[bytes]:
    """Yield the requests of `pack`."""
    at = 0
    while at < len(packed):
        (length,) = _LENGTH.unpack_from(packed, at)
        at += _LENGTH.size
        yield packed[at : at + length]
        at += length


class Connection:
    """One connection with at most one unanswered request."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes, now: float) -> None:
        self.sent_at = now
        sent = self.socket.send(request)
        while sent < len(request):  # rare: the socket's buffer holds many requests
            self.socket.setblocking(True)
            sent += self.socket.send(request[sent:])
            self.socket.setblocking(False)

    def receive(self) -> int | None:
        """Return the status once the response is complete. Raises ConnectionError."""
        chunk = self.socket.recv(READ_BYTES)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        data = self.received + chunk if self.received else chunk
        end = data.find(b"\r\n\r\n")
        if end >= 0 and len(data) - end - 4 >= _length(data, end):
            self.received = b""
            return int(data[9:12])
        self.received = data
        return None


def _length(data: bytes, end: int) -> int:
    """Return the body's length according to the head, which ends at `end`."""
    at = data.find(b"\r\ncontent-length:", 0, end)
    if at < 0:
        # Servers may write it in any case; this search is slower.
        at = data[:end].lower().find(b"\r\ncontent-length:")
    return 0 if at < 0 else int(data[at + 17 : data.index(b"\r", at + 17)])


def run(
    requests: Iterator[bytes], host: str, port: int, connections: int, duration_s: float
) -> dict[str, Any]:
    """Send until the requests or the time run out; return counts and latencies."""
    selector = selectors.DefaultSelector()
    statuses: Counter[int] = Counter()
    latencies_s: list[float] = []
    first = [request for _, request in zip(range(connections), requests, strict=False)]
    opened = [Connection(host, port) for _ in first]
    # Nothing is sent before all are connected: a rush begins at one instant.
    started = time.perf_counter()
    deadline = started + duration_s
    for connection, request in zip(opened, first, strict=True):
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(request, time.perf_counter())
    busy = len(opened)
    while busy:
        ready = selector.select(STALLED_S)
        if not ready:
            raise TimeoutError(f"no answer for {STALLED_S} s")
        for key, _ in ready:
            try:
                status = key.data.receive()
            except ConnectionError:
                # Counted as a separate kind of answer; the caller decides whether it is allowed.
                status = NO_ANSWER
            if status is None:
                continue
            now = time.perf_counter()
            statuses[status] += 1
            latencies_s.append(now - key.data.sent_at)
            is_over = now >= deadline or status == NO_ANSWER
            following = None if is_over else next(requests, None)
            if following is None:
                busy -= 1
                selector.unregister(key.data.socket)
                key.data.socket.close()
            else:
                key.data.send(following, now)
    elapsed_s = time.perf_counter() - started
    latencies_s.sort()
    return {
        "elapsed_s": elapsed_s,
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "p50_ms": _percentile(latencies_s, 0.50) * 1000,
        "p99_ms": _percentile(latencies_s, 0.99) * 1000,
        "max_ms": latencies_s[-1] * 1000 if latencies_s else 0.0,
    }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def main() -> None:
    """Run the load described in the file named on the command line."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    requests = list(unpack(Path(spec["requests"]).read_bytes()))
    limit = spec["limit"] or len(requests)
    # Repeat the requests if there are fewer than are to be sent.
    cycle = (requests[number % len(requests)] for number in range(limit))
    result = run(cycle, spec["host"], spec["port"], spec["connections"], spec["duration_s"])
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

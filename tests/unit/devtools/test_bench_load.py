"""The load client: what it sends, what it reads, what it counts."""

import socket
import threading
from collections.abc import Iterator

import pytest

from clinic.devtools.bench.load import NO_ANSWER, pack, run, unpack

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nabcd"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def serve(listener: socket.socket, parts: list[bytes], requests: int) -> threading.Thread:
    """Answer so many requests on one connection, each in these parts; then close it."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(requests):
                connection.recv(1000)
                for part in parts:
                    connection.sendall(part)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


def test_packed_requests_come_out_as_they_were() -> None:
    requests = [b"", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70_000]

    assert list(unpack(pack(requests))) == requests


def test_every_request_is_sent_and_its_answer_counted(listener: socket.socket) -> None:
    thread = serve(listener, [ANSWER[:30], ANSWER[30:]], requests=3)

    result = run(iter([b"x"] * 3), "127.0.0.1", listener.getsockname()[1], 1, 10)

    thread.join()
    assert result["statuses"] == {"201": 3}
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]


def test_connection_that_is_closed_counts_as_no_answer(listener: socket.socket) -> None:
    thread = serve(listener, [ANSWER], requests=1)

    result = run(iter([b"x"] * 3), "127.0.0.1", listener.getsockname()[1], 1, 10)

    thread.join()
    assert result["statuses"] == {str(NO_ANSWER): 1, "201": 1}


def test_nothing_new_is_sent_when_the_time_is_over(listener: socket.socket) -> None:
    thread = serve(listener, [ANSWER], requests=1)

    result = run(iter([b"x"] * 3), "127.0.0.1", listener.getsockname()[1], 1, 0)

    thread.join()
    assert result["statuses"] == {"201": 1}

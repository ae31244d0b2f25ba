"""The server's limits, over raw sockets: bytes, headers, time, connections."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from clinic.entrypoints.http.kernel import connections
from clinic.entrypoints.http.kernel.authenticator import trusted_networks
from clinic.entrypoints.http.kernel.bounded_requests import Protocols
from clinic.entrypoints.http.kernel.connections import ServerLimits

pytestmark = pytest.mark.anyio

HEAD = b"GET /x?y=1 HTTP/1.1\r\nHost: clinic.test\r\nX-One: 1\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: clinic.test\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: clinic.test\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMITS = ServerLimits(
    head_max_bytes=4096, url_max_bytes=1024, head_timeout_s=60, drain_s=0.3, linger_s=0.3
)


@pytest.fixture(
    params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
    scope="module",
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 0.02)


class Echo:
    """Echoes requests; /early responds before reading, /large responds with a lot."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append((scope["path"], headers, body))
        answer = json.dumps([scope["path"], headers, body.decode()]).encode()
        if scope["path"] == "/large":
            answer = b"x" * 20_000_000
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})


class Server:
    def __init__(self, app: Any, limits: ServerLimits) -> None:
        self.app = app
        self.protocols = Protocols(limits)
        self.clients: list[Client] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        config = Config(self.app, lifespan="off", log_config=None, timeout_keep_alive=60)
        config.load()
        protocols, state = self.protocols, ServerState()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: protocols(config, state, {}), "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        self.connections = state.connections
        try:
            yield self
        finally:
            listening.close()
            for client in self.clients:
                client.writer.transport.abort()
            for connection in list(state.connections):
                connection.transport.abort()
            await until(lambda: not state.connections)

    async def connect(self) -> "Client":
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def ask(self, *parts: bytes) -> list[tuple[int, dict[str, str], bytes]]:
        """Send these parts and return all responses, until the server closes the connection."""
        client = await self.connect()
        await client.send(*parts)
        return await client.answers()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            # The server runs in the same loop: it reads the part in one of these turns.
            for _ in range(4 if len(parts) > 1 else 0):
                await asyncio.sleep(0)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return the next response: status, headers, body."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def answers(self) -> list[tuple[int, dict[str, str], bytes]]:
        found = []
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                found.append(await self.answer())
        self.writer.close()
        return found

    async def is_ended(self) -> bool:
        """Wait until the server closes the connection; say whether it sent nothing before."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(Echo(), LIMITS).running() as started:
        yield started


@pytest.fixture
async def impatient() -> AsyncIterator[Server]:
    async with Server(Echo(), LIMITS._replace(head_timeout_s=0.4)).running() as started:
        yield started


async def until(happens: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happens():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def beats(work: Awaitable[Any]) -> tuple[Any, float]:
    """Return the work's result, and the longest time that it blocked the loop."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    beating = asyncio.create_task(beat())
    try:
        return await work, longest
    finally:
        beating.cancel()


def padded(head: bytes, size: int) -> bytes:
    """Return the head with one more header that brings it to this size."""
    pad = size - len(head) - len(b"X-Pad: \r\n")
    return head[:-2] + b"X-Pad: " + b"p" * pad + b"\r\n\r\n"


def refusal(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["status"] == status
    return status, json.loads(body)["code"]


# --- heads in parts


@pytest.mark.parametrize("request_", [HEAD, POST], ids=["GET", "POST"])
async def test_a_request_cut_at_any_byte_is_the_same_request(
    server: Server, request_: bytes
) -> None:
    cuts = range(1, len(request_))
    clients = [await server.connect() for _ in cuts]
    await asyncio.gather(
        *(one.send(request_[:cut], request_[cut:]) for one, cut in zip(clients, cuts, strict=True))
    )
    answers = await asyncio.gather(*(one.answer() for one in clients))

    assert {(status, body) for status, _, body in answers} == {(200, answers[0][2])}
    assert len(server.app.requests) == len(cuts)


async def test_a_request_byte_by_byte_is_the_same_request(server: Server) -> None:
    client = await server.connect()

    await client.send(*(bytes([byte]) for byte in HEAD + POST + HEAD))

    answers = [await client.answer() for _ in range(3)]
    assert [status for status, _, _ in answers] == [200] * 3
    assert [body for _, _, body in server.app.requests] == [b"", b"hello", b""]


async def test_a_head_that_stops_at_any_byte_is_told_and_ended_in_time(impatient: Server) -> None:
    clients = []
    for stop in range(len(HEAD)):
        clients.append(await impatient.connect())
        await clients[-1].send(HEAD[:stop])
    others = await impatient.connect()
    await others.send(HEAD)
    assert (await others.answer())[0] == 200

    silent, *told = await asyncio.gather(*(one.answers() for one in clients))

    assert silent == []
    assert {refusal(one[0]) for one in told} == {(408, "headers_too_slow")}
    assert [path for path, _, _ in impatient.app.requests] == ["/x"]


async def test_dripping_does_not_buy_time(impatient: Server) -> None:
    client = await impatient.connect()
    sent = 0
    drip = b"GET / HTTP/1.1\r\nHost: x\r\nX-Drip: " + b"x" * 1000

    async def dripping() -> None:
        nonlocal sent
        with suppress(ConnectionError):
            for byte in itertools.chain(drip):
                await client.send(bytes([byte]))
                sent += 1
                await asyncio.sleep(0.01)

    sending = asyncio.create_task(dripping())
    [answer] = await client.answers()
    sending.cancel()

    assert refusal(answer) == (408, "headers_too_slow")
    # Long before the whole head would have been sent, which takes at least 10 s.
    assert sent < len(drip) / 2


@pytest.mark.parametrize("first", [b"", HEAD], ids=["at first", "after a request"])
async def test_blank_lines_hold_no_connection(impatient: Server, first: bytes) -> None:
    client = await impatient.connect()
    if first:
        await client.send(first)
        await client.answer()

    async def dripping() -> None:
        with suppress(ConnectionError):
            while True:
                await client.send(b"\r\n")
                await asyncio.sleep(0.02)

    sending = asyncio.create_task(dripping())
    assert await client.is_ended()
    sending.cancel()


# --- how large a head may be


@pytest.mark.parametrize("parts", [1, 2, 7, 50], ids=lambda parts: f"{parts} parts")
@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 431), (9000, 431)])
async def test_a_head_has_a_largest_size(
    server: Server, parts: int, size: int, status: int
) -> None:
    head = padded(HEAD, size)
    length = -(-len(head) // parts)
    client = await server.connect()

    await client.send(*(head[at : at + length] for at in range(0, len(head), length)))
    answer = await client.answer()

    assert answer[0] == status
    if status == 431:
        assert refusal(answer) == (431, "headers_too_large")
        assert server.app.requests == []


@pytest.mark.parametrize(("number", "status"), [(100, 200), (101, 431), (1500, 431)])
async def test_headers_are_counted(server: Server, number: int, status: int) -> None:
    lines = b"".join(b"%d:\r\n" % n for n in range(number - 1))
    client = await server.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")

    assert (await client.answer())[0] == status


async def test_too_many_headers_are_refused_before_the_last_one(server: Server) -> None:
    lines = b"".join(b"%d:\r\n" % n for n in range(101))

    [answer] = await server.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"A")

    assert refusal(answer) == (431, "headers_too_large")


@pytest.mark.parametrize(("length", "status"), [(1024, 200), (1025, 414), (6000, 414)])
@pytest.mark.parametrize("is_whole", [True, False])
async def test_addresses_have_a_longest_length(
    server: Server, length: int, status: int, is_whole: bool
) -> None:
    line = b"GET /" + b"x" * (length - 1)
    client = await server.connect()

    await client.send(line + b" HTTP/1.1\r\nHost: x\r\n\r\n" if is_whole or status == 200 else line)
    answer = await client.answer()

    assert answer[0] == status
    if status == 414:
        assert refusal(answer) == (414, "address_too_long")


async def flood(client: Client, begin: bytes, part: bytes, size: int) -> int:
    """Send until the server accepts no more; return how much it accepted."""
    sent = 0
    with suppress(ConnectionError):
        await client.send(begin)
        while sent < size:
            client.writer.write(part)
            await client.writer.drain()
            sent += len(part)
    return sent


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Flood: ", b"x" * 65536),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Flood: xxxxxxxxxxx\r\n" * 3000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"x" * 65536),
        (b"GET /", b"x" * 65536),
        (b"", b"\r\n" * 30_000),
        (CHUNKED + b"1\r\nx\r\n0\r\nX-Flood: ", b"x" * 65536),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Flood: xxxxxxxxxxx\r\n" * 3000),
        (CHUNKED + b"1;x=", b"x" * 65536),
    ],
    ids=["value", "lines", "name", "address", "blank", "trailer", "trailers", "chunk extension"],
)
async def test_60_megabytes_of_head_hold_nobody_up(
    server: Server, begin: bytes, part: bytes
) -> None:
    client = await server.connect()

    sent, longest = await beats(flood(client, begin, part, 60_000_000))

    # The kernels' buffers accept some bytes that the server never reads.
    assert sent < 20_000_000
    assert longest < 0.25
    assert server.app.requests == []
    assert (await (await asking(server)).answer())[0] == 200


async def asking(server: Server) -> Client:
    client = await server.connect()
    await client.send(HEAD)
    return client


# --- bodies


async def test_trailers_are_no_headers(server: Server) -> None:
    client = await server.connect()

    await client.send(
        CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\nX-T: 1\r\n\r\n" + HEAD
    )
    first, second = await client.answer(), await client.answer()

    assert json.loads(first[2]) == [
        "/x",
        {"host": "clinic.test", "transfer-encoding": "chunked"},
        "hello",
    ]
    assert json.loads(second[2])[1] == {"host": "clinic.test", "x-one": "1"}


async def test_a_body_of_single_bytes_is_taken(server: Server) -> None:
    client = await server.connect()

    await client.send(CHUNKED, *[b"1\r\nx\r\n"] * 3000, b"0\r\n\r\n")
    _, _, body = await client.answer()

    assert json.loads(body)[2] == "x" * 3000


async def test_a_chunk_that_is_none_is_refused_while_nobody_has_answered(server: Server) -> None:
    [answer] = await server.ask(CHUNKED + b"5\r\nhello\r\n", b"nonsense")

    assert refusal(answer) == (400, "bad_request")
    assert server.app.requests == []


async def test_the_rest_of_a_body_that_nobody_reads_is_passed_over(server: Server) -> None:
    client = await server.connect()
    early = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"

    await client.send(early)
    first = await client.answer()
    await client.send(b"x" * 60_000, b"x" * 40_000 + HEAD)
    second = await client.answer()

    assert (first[0], second[0]) == (200, 200)


async def test_a_body_that_nobody_reads_ends_the_connection_when_it_is_large(
    server: Server,
) -> None:
    client = await server.connect()
    early = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    await client.send(early)
    assert (await client.answer())[0] == 200

    sent, longest = await beats(flood(client, b"", b"x" * 65536, 60_000_000))

    assert sent < 20_000_000
    assert longest < 0.25


async def test_a_body_that_nobody_reads_ends_the_connection_when_it_takes_long(
    server: Server,
) -> None:
    client = await server.connect()
    early = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    await client.send(early)
    assert (await client.answer())[0] == 200

    async def dripping() -> None:
        with suppress(ConnectionError):
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.02)

    sending = asyncio.create_task(dripping())
    assert await client.is_ended()
    sending.cancel()


async def test_an_answer_that_is_not_read_ends_in_time() -> None:
    limits = LIMITS._replace(write_timeout_s=0.2)
    async with Server(Echo(), limits).running() as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: bool(server.connections))

        await until(lambda: not server.connections)


# --- several requests in one go


async def test_requests_in_one_go_are_answered_in_order(server: Server) -> None:
    client = await server.connect()

    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(10)))
    paths = [json.loads((await client.answer())[2])[0] for _ in range(10)]

    assert paths == [f"/{number}" for number in range(10)]


async def test_no_more_than_so_many_requests_wait(server: Server) -> None:
    answers = await server.ask(
        b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(100))
    )

    # The one in progress, and those that wait for it.
    assert len(answers) == len(server.app.requests) == 1 + LIMITS.pipelined_max


@pytest.mark.parametrize(
    "second",
    [
        b"nonsense\r\n\r\n",
        b"\x00\x01\x02",
        padded(HEAD, 5000),
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n",
        CHUNKED + b"nonsense\r\n",
        b"GET /never HTTP/1.1\r\nHost",
    ],
    ids=["no request", "no text", "too large", "too long", "a bad body", "unfinished"],
)
async def test_what_came_before_a_refused_request_is_answered(
    impatient: Server, second: bytes
) -> None:
    answers = await impatient.ask(POST + second)

    assert [status for status, _, _ in answers][:1] == [200]
    assert all(refusal(each)[0] in (400, 408, 414, 431) for each in answers[1:])
    assert [(path, body) for path, _, body in impatient.app.requests] == [("/x", b"hello")]


async def test_a_body_after_an_upgrade_is_no_request(server: Server) -> None:
    upgrade = b"POST /x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"

    await server.ask(upgrade + b"Content-Length: 50\r\n\r\n", HEAD)

    assert [path for path, _, _ in server.app.requests] == ["/x"]
    assert server.app.requests[0][1]["upgrade"] == "h2c"


# --- how many connections


@pytest.mark.parametrize(
    "limits",
    [LIMITS._replace(connections_max=3), LIMITS._replace(per_network_max=3)],
    ids=["of all", "of one network"],
)
async def test_connections_beyond_the_limit_are_told_at_once(limits: ServerLimits) -> None:
    async with Server(Echo(), limits).running() as server:
        held = [await server.connect() for _ in range(3)]
        await held[0].send(HEAD)
        await held[0].answer()

        more = [await server.connect() for _ in range(5)]
        for client in more:
            await client.send(POST)
        told = [(await client.answers())[0] for client in more]
        quiet = await server.connect()
        unasked = await quiet.answers()
        held[1].writer.close()
        await until(lambda: len(server.connections) == 2)
        again = await asking(server)

        assert {refusal(each) for each in [*told, *unasked]} == {(503, "too_many_connections")}
        assert {headers["retry-after"] for _, headers, _ in told} == {"1"}
        assert (await again.answer())[0] == 200
        await held[0].send(HEAD)
        assert (await held[0].answer())[0] == 200
        assert len(server.app.requests) == 3


async def test_far_too_many_connections_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_MAX", 2)
    limits = LIMITS._replace(connections_max=1, linger_s=60)
    async with Server(Echo(), limits).running() as server:
        clients = [await server.connect() for _ in range(4)]

        assert await clients[3].is_ended()
        assert len(server.connections) == 3


async def test_a_trusted_proxy_has_as_many_connections_as_it_likes() -> None:
    limits = LIMITS._replace(per_network_max=1, proxies=trusted_networks("127.0.0.0/8"))
    async with Server(Echo(), limits).running() as server:
        clients = [await asking(server) for _ in range(4)]

        assert [(await client.answer())[0] for client in clients] == [200] * 4


async def test_a_place_is_given_back_however_a_connection_ends(server: Server) -> None:
    requests = [b"", HEAD, HEAD[:9], b"nonsense\r\n\r\n", CHUNKED + b"5\r\nhe", POST]
    for request_ in requests:
        client = await server.connect()
        await client.send(request_)
        client.writer.close()

    await until(lambda: not server.connections)
    bounds = server.protocols._connections
    assert bounds is not None
    assert (bounds._networks, bounds._numbers, bounds._due, bounds._busy) == ({}, {}, {}, 0)

"""A proxy between a client and a real server that spoils single responses at a chosen byte.

It runs in a separate process, so that neither the client's loop nor its interpreter can delay it.
The request contains the instruction, anywhere in its bytes: `spoil=cut@0012` passes on twelve
bytes of the response and then closes the connection. `once` does so for the first request
that contains given bytes.

hold        passes the rest on HOLD_S later
cut         closes the connection (FIN)
reset       resets the connection (RST)
notice      sends a NoticeResponse of PostgreSQL, and resets the connection
drip        passes the rest on byte by byte, HOLD_S apart
silence     passes nothing more on, and leaves the connection open
twice       passes on everything, and then everything again
other       sends a Redis response that belongs to another request
garbage     sends bytes that are valid in no protocol
refuse      resets the connection as soon as the request arrives, and passes nothing on
stall       reads nothing more of the request, and leaves the connection open
measure     reports the response's length; its first packet must contain all of it
"""

import asyncio
import json
import re
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HOLD_S = 0.05
SPOIL = re.compile(rb"spoil=(\w+)@(\d{4})")
RESET = struct.pack("ii", 1, 0)
NOTICE = b"SWARNING\0VWARNING\0C57P02\0Mterminating connection\0\0"
NOTICE = b"N" + struct.pack("!i", len(NOTICE) + 4) + NOTICE
OTHER = b"+OK\r\n"
GARBAGE = b"\xff\xfe no protocol \r\n"
#: how long a connection or a process may take to end
PATIENCE_S = 10
#: how long a request may take to reach the proxy
TOLD_S = 30


def spoil(kind: str, offset: int = 0) -> str:
    """Return the bytes that a request contains to have its response spoilt."""
    return f"spoil={kind}@{offset:04}"


class ByteProxy:
    """The proxy process in front of a server at a host and port."""

    def __init__(self, host: str, port: int, *, once: tuple[str, str] | None = None) -> None:
        plan = json.dumps({"host": host, "port": port, "once": once})
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__, plan],
            # So that what `select` sees is all that there is.
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self.told())

    def __enter__(self) -> "ByteProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=PATIENCE_S)

    def told(self) -> str:
        """Return the next line of the proxy's output: that it has spoilt `once`, or a measure.

        A thread may wait here, which nothing could end if the line never came."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], TOLD_S)
        assert ready, "the proxy did not see the request"
        return self._process.stdout.readline().decode().strip()


class _Carrier:
    """One connection through the proxy."""

    def __init__(self, plan: dict[str, Any], near: Streams, far: Streams) -> None:
        self._plan = plan
        self._near, self._near_writer = near
        self._far, self._far_writer = far
        self._kind = ""
        self._left = 0
        self._is_once = False

    async def carry(self) -> None:
        ways = [asyncio.create_task(each) for each in (self._requests(), self._answers())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writer in (self._near_writer, self._far_writer):
            writer.close()

    async def _requests(self) -> None:
        while data := await self._near.read(65536):
            found = SPOIL.search(data)
            once = self._plan["once"]
            if once and once[0].encode() in data:
                found = SPOIL.search(once[1].encode())
                self._plan["once"] = None
                self._is_once = True
            if found:
                self._kind, self._left = found[1].decode(), int(found[2])
            if self._kind == "refuse":
                await self._reset()
                return
            if self._kind == "stall":
                await asyncio.Event().wait()
            self._far_writer.write(data)
            await self._far_writer.drain()

    async def _answers(self) -> None:
        while data := await self._far.read(65536):
            if not self._kind:
                self._near_writer.write(data)
            elif len(data) < self._left:
                self._near_writer.write(data)
                self._left -= len(data)
            else:
                self._near_writer.write(data[: self._left])
                kind, self._kind = self._kind, ""
                if self._is_once:
                    say(kind)
                if not await getattr(self, f"_{kind}")(data, data[self._left :]):
                    return
            await self._near_writer.drain()

    async def _hold(self, _: bytes, rest: bytes) -> bool:
        await asyncio.sleep(HOLD_S)
        self._near_writer.write(rest)
        return True

    async def _cut(self, *_: bytes) -> bool:
        return False

    async def _reset(self, *_: bytes) -> bool:
        self._near_writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET
        )
        self._near_writer.transport.abort()
        return False

    async def _notice(self, *_: bytes) -> bool:
        self._near_writer.write(NOTICE)
        return await self._reset()

    async def _drip(self, _: bytes, rest: bytes) -> bool:
        for byte in rest:
            self._near_writer.write(bytes((byte,)))
            await asyncio.sleep(HOLD_S)
        return True

    async def _silence(self, *_: bytes) -> bool:
        self._kind, self._left = "silence", 0
        return True

    async def _twice(self, data: bytes, rest: bytes) -> bool:
        self._near_writer.write(rest + data)
        return True

    async def _other(self, *_: bytes) -> bool:
        self._near_writer.write(OTHER)
        return True

    async def _garbage(self, *_: bytes) -> bool:
        self._near_writer.write(GARBAGE)
        return True

    async def _measure(self, data: bytes, rest: bytes) -> bool:
        say(str(len(data)))
        self._near_writer.write(rest)
        return True


def say(line: str) -> None:
    print(line, flush=True)


async def main(plan: dict[str, Any]) -> None:
    """Carry connections until standard input ends."""
    carriers: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carriers.add(task)
        with suppress(OSError, asyncio.CancelledError):
            far = await asyncio.open_connection(plan["host"], plan["port"])
            await _Carrier(plan, (reader, writer), far).carry()
        carriers.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1000)
    say(str(server.sockets[0].getsockname()[1]))
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    for carrier in carriers:
        carrier.cancel()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))

"""A mail server with scripted answers that holds, drips, cuts or resets at any byte of them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

GREETING, EHLO, MAIL, RCPT, DATA, DOT = range(6)
HOLD_S = 0.05


@dataclass(frozen=True)
class Script:
    """The server's answer to each step, and what it does at byte `at` of the answer to `step`."""

    answers: tuple[bytes, ...] = (
        b"220 mx ESMTP\r\n",
        b"250-mx\r\n250 SIZE\r\n",
        b"250 2.1.0 ok\r\n",
        b"250-2.1.5\r\n250 2.1.5 ok\r\n",
        b"354 go on\r\n",
        b"250 2.0.0 taken\r\n",
    )
    #: hold (and then send the rest), drip, stay (forever), cut or reset
    fault: str = ""
    step: int = -1
    at: int = 0
    drip_s: float = 0.01
    #: recipients whose RCPT is never answered
    never_for: str = ""

    def with_answer(self, step: int, answer: bytes) -> "Script":
        answers = (*self.answers[:step], answer, *self.answers[step + 1 :])
        return replace(self, answers=answers)

    def at_every_byte(self, fault: str) -> list["Script"]:
        return [
            replace(self, fault=fault, step=step, at=at)
            for step, answer in enumerate(self.answers)
            for at in range(len(answer))
        ]


@dataclass
class ScriptedServer:
    """One server with one script, and what it received."""

    script: Script
    port: int = 0
    #: the messages received completely, whether or not they were answered
    ended: list[bytes] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    connections: int = 0
    #: whether a command of this step has arrived
    heard: dict[int, asyncio.Event] = field(
        default_factory=lambda: {step: asyncio.Event() for step in range(6)}
    )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._answer(GREETING, writer)
        while line := await reader.readline():
            self.commands.append(line.rstrip(b"\r\n"))
            verb = line[:4].upper()
            step = {b"EHLO": EHLO, b"MAIL": MAIL, b"RCPT": RCPT, b"DATA": DATA}.get(verb)
            if verb == b"RSET":
                writer.write(b"250 ok\r\n")
            elif step is not None:
                if self.script.never_for and self.script.never_for.encode() in line:
                    self.heard[step].set()
                    await asyncio.Event().wait()
                await self._answer(step, writer)
            if step == DATA and self.script.answers[DATA].startswith(b"354"):
                self.ended.append(await reader.readuntil(b"\r\n.\r\n"))
                await self._answer(DOT, writer)

    async def _answer(self, step: int, writer: asyncio.StreamWriter) -> None:
        self.heard[step].set()
        script, answer = self.script, self.script.answers[step]
        if script.step != step:
            writer.write(answer)
            return
        writer.write(answer[: script.at])
        await writer.drain()
        rest = answer[script.at :]
        if script.fault == "hold":
            await asyncio.sleep(HOLD_S)
            writer.write(rest)
        elif script.fault == "drip":
            for place in range(len(rest)):
                await asyncio.sleep(script.drip_s)
                writer.write(rest[place : place + 1])
        elif script.fault == "stay":
            await asyncio.Event().wait()
        elif script.fault == "reset":
            end = writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise ConnectionResetError
        else:
            raise ConnectionAbortedError


@asynccontextmanager
async def scripted_servers(scripts: Sequence[Script]) -> AsyncIterator[list[ScriptedServer]]:
    """Run a server for each script."""
    servers, listening, talking = [], [], set()
    for script in scripts:
        server = ScriptedServer(script)

        def talk(reader, writer, server=server) -> None:
            task = asyncio.ensure_future(server.serve(reader, writer))
            talking.add(task)
            task.add_done_callback(talking.discard)

        listener = await asyncio.start_server(talk, "127.0.0.1", 0)
        server.port = listener.sockets[0].getsockname()[1]
        servers.append(server)
        listening.append(listener)
    try:
        yield servers
    finally:
        for listener in listening:
            listener.close()
        for task in list(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)

"""A real SMTP server in a separate process, which logs each message before it answers.

Run: python mail_server.py PORT LOG CONTROL. CONTROL is a file with one word: ok, refuse, hang,
die (drop the connection in the middle of a message), or reject (550 for good).
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

#: an attribute of a session
DATA_BEGAN = "clinic_data_began"


def _hang_up(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


class Handler:
    """Appends one line for each message: when DATA began, when it was accepted, its Message-ID."""

    def __init__(self, log: Path, control: Path) -> None:
        self.file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.control = control

    def mode(self) -> str:
        try:
            return self.control.read_text().strip() or "ok"
        except OSError:
            return "ok"

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        mode = self.mode()
        if mode == "refuse":
            return "451 come back later"
        if mode == "hang":
            await asyncio.sleep(3600)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mode() == "reject":
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mode = self.mode()
        if mode == "die":
            _hang_up(server)
            return "451 never sent"
        head = content.split(b"\r\n\r\n", 1)[0].decode()
        found = next(line for line in head.splitlines() if line.lower().startswith("message-id:"))
        began = getattr(session, DATA_BEGAN, None) or time.time()
        line = json.dumps(
            {
                "id": found.partition(":")[2].strip(),
                "to": envelope.rcpt_tos[0],
                "began": began,
                "taken": time.time(),
            }
        )
        os.write(self.file, line.encode() + b"\n")
        if mode == "lose":
            # Accepted, but the answer never arrives.
            _hang_up(server)
        return "250 taken"


class Server(SMTP):
    """Records when the DATA command arrived, which shows whether it was after a cancel."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        assert self.session is not None
        setattr(self.session, DATA_BEGAN, time.time())
        await super().smtp_DATA(arg)


class Unthreaded(UnthreadedController):
    def factory(self) -> SMTP:
        return Server(self.handler, **self.SMTP_kwargs)


def main() -> None:
    port, log, control = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    server = Unthreaded(Handler(log, control), hostname="127.0.0.1", port=port, loop=loop)
    server.begin()
    print("ready", flush=True)
    loop.run_forever()


if __name__ == "__main__":
    main()

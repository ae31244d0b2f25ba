"""Real mail servers in threads of the test process, and a certificate authority for them."""

import asyncio
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "clinic", "correct horse/battery#staple"
AS_USER = "clinic:correct%20horse%2Fbattery%23staple"


@dataclass
class Mailbox:
    """Accepts every message, after `slow_s` seconds."""

    slow_s: float = 0.0
    ids: list[str] = field(default_factory=list)
    #: whether each message came over TLS, and the user it was authenticated as
    over_tls: list[bool] = field(default_factory=list)
    users: list[str | None] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    refused_passwords: int = 0

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.begun.set()
        await asyncio.sleep(self.slow_s)
        assert isinstance(envelope.content, bytes)
        head = envelope.content.split(b"\r\n\r\n", 1)[0].decode()
        line = next(each for each in head.splitlines() if each.startswith("Message-ID:"))
        self.ids.append(line.partition(":")[2].strip())
        assert server.transport is not None
        self.over_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        login: Any = session.auth_data
        self.users.append(login.login.decode() if isinstance(login, LoginPassword) else None)
        return "250 taken"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = LoginPassword(USER.encode(), PASSWORD.encode())
        if data == right:
            return AuthResult(success=True, auth_data=data)
        self.refused_passwords += 1
        return AuthResult(success=False, handled=False)


class Certificates:
    """A certificate authority for these tests, with valid and invalid certificates."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def good(self) -> ssl.SSLContext:
        return self._context(self._ca.issue_cert("localhost", "127.0.0.1"))

    def of_another_host(self) -> ssl.SSLContext:
        return self._context(self._ca.issue_cert("mail.example"))

    def expired(self) -> ssl.SSLContext:
        now = datetime.now(UTC)
        made = self._ca.issue_cert(
            "localhost", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
        )
        return self._context(made)

    def of_nobody(self) -> ssl.SSLContext:
        return self._context(trustme.CA().issue_cert("localhost"))

    @staticmethod
    def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        return context


@contextmanager
def smtp_server(
    mailbox: Mailbox,
    *,
    at_once: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    auth: bool = False,
) -> Iterator[int]:
    """Run a server and yield its port; with `auth` it accepts only authenticated clients."""
    options: dict[str, Any] = {"tls_context": starttls}
    if auth:
        options |= {
            "authenticator": mailbox.authenticate,
            "auth_required": True,
            "auth_require_tls": at_once is None and starttls is not None,
        }
    loop = asyncio.new_event_loop()

    transports: list[asyncio.BaseTransport] = []

    class Server(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            super().connection_made(transport)

    def serve() -> SMTP:
        with warnings.catch_warnings():
            # It does not notice that the connection uses TLS from the start.
            warnings.simplefilter("ignore")
            return Server(mailbox, hostname="localhost", loop=loop, **options)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = loop.create_server(serve, "127.0.0.1", 0, ssl=at_once)
    server = asyncio.run_coroutine_threadsafe(listening, loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, transports), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server, transports: list[asyncio.BaseTransport]) -> None:
    server.close()
    for transport in transports:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
    talking = asyncio.all_tasks() - {asyncio.current_task()}
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
    await asyncio.sleep(0.01)

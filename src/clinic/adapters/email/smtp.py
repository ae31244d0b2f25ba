"""Hands emails to a mail server, and distinguishes permanent from temporary refusals."""

import asyncio
import re
import smtplib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from clinic.adapters.email.bounded import BoundedSMTP, Bounds, Deadline
from clinic.adapters.email.compose import Composer
from clinic.adapters.email.failures import failure, refusal
from clinic.domain.messaging.deliveries import OutgoingMessage
from clinic.ports.notifier import DeprecatedNotifierNames, TransportError

R = TypeVar("R")

#: how old the permission to send may be when the last byte goes out
PERMISSION_MAX_S = 2.0
#: a connection is used for at most this many messages, and may be idle this long between two
MESSAGES_PER_CONNECTION = 100
IDLE_MAX_S = 10.0
#: how long a message waits while its mail domain occupies all the threads it may
PLACE_WAIT_S = 1.0

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and how to reach a mail server, from smtp:// (STARTTLS) or smtps:// (TLS at once).

    Connects without TLS only to this machine, or where the URL says ?tls=off.
    """

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    tls_at_once: bool
    starttls: bool
    #: a certificate authority to trust instead of the system's
    ca_file: str | None = None

    @classmethod
    def from_url(cls, url: str) -> "MailServer":
        """Return the server that `url` names. Raises ValueError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The original message may quote half of a password.
            raise ValueError(
                "this is not a URL; write smtp://user:password@host:587, with %-signs for special"
                " characters in the password"
            ) from None
        if not parts.hostname:
            raise ValueError("name the mail server: smtp://user:password@host:587")
        options = parse_qs(parts.query)
        tls = options.get("tls", ["off" if parts.hostname in _LOOPBACK else "on"])[0]
        if tls not in ("on", "off") or options.keys() - {"tls", "ca"}:
            raise ValueError("the options of a mail URL are tls=on or off, and ca=FILE")
        at_once = parts.scheme == "smtps"
        if at_once and tls == "off" and "tls" in options:
            raise ValueError("smtps:// is TLS from the start; ?tls=off goes with smtp://")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if not f"{user}{password}".isascii():
            # smtplib cannot send any others, so every attempt would fail.
            raise ValueError("user and password may contain only ASCII characters")
        return cls(
            host=parts.hostname,
            port=port or (465 if at_once else 587),
            user=user,
            password=password,
            tls_at_once=at_once,
            starttls=not at_once and tls == "on",
            ca_file=options.get("ca", [None])[0],
        )

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.host in _LOOPBACK

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context that verifies certificates, None without TLS. Raises OSError.

        It trusts the system's authorities, or those of SSL_CERT_FILE, unless the URL names one.
        """
        if not (self.tls_at_once or self.starttls):
            return None
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(slots=True)
class _Connection:
    smtp: BoundedSMTP
    used: int = 0
    idle_since: float = 0.0


class SmtpNotifier(DeprecatedNotifierNames):
    """Hands messages to one mail server over up to `threads` connections.

    Whatever the server does, a message occupies a thread no longer than `bounds` allow. Messages to
    one mail domain, which the server may contact before it answers, occupy at most three quarters
    of the threads.
    """

    def __init__(
        self,
        server: MailServer,
        composer: Composer,
        *,
        threads: int = 8,
        bounds: Bounds | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._composer = composer
        self._sender = f"FROM:<{composer.sender_address}>"
        self._bounds = bounds or Bounds()
        self._now_s = now_s
        self._idle: list[_Connection] = []
        self._open: set[BoundedSMTP] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="smtp")
        self._places = _Places(max(threads - max(threads // 4, 1), 1))

    async def deliver(
        self, outgoing: OutgoingMessage, may_send: Callable[[], Awaitable[bool]]
    ) -> bool:
        data = _LEADING_DOT.sub(b"..", self._composer.compose(outgoing))
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        recipient = outgoing.addressee.email
        async with self._places.of(recipient.rpartition("@")[2].lower()):
            return await self._converse(recipient, data, may_send)

    async def _converse(
        self, recipient: str, data: bytes, may_send: Callable[[], Awaitable[bool]]
    ) -> bool:
        conversation = Deadline(self._bounds.conversation_s)
        connection = await self._run(self._address, recipient, conversation)
        while True:
            asked_at = self._now_s()
            try:
                allowed = await may_send()
            except BaseException:
                self._drop(connection)
                raise
            if not allowed:
                await self._run(self._withdraw, connection)
                return False
            if await self._run(self._send, connection, data, asked_at):
                return True

    async def was_accepted(self, message_id: str) -> bool | None:
        # SMTP cannot answer this; an adapter for a provider's own API can.
        return None

    async def close(self) -> None:
        """Close all connections, even in mid-conversation: the next worker takes over."""
        self._closed = True
        for smtp in list(self._open):
            smtp.cut()
        while self._idle:
            self._drop(self._idle.pop())
        self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[..., R], *args: object) -> R:
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except RuntimeError:
            raise _ending() from None
        return await running

    def _address(self, recipient: str, conversation: Deadline) -> _Connection:
        """Return a connection that has accepted sender and recipient, and nothing else yet."""
        connection = self._reused(recipient, conversation) or self._connect(conversation)
        smtp = connection.smtp
        try:
            if connection.used == 0:
                _check(smtp.docmd("MAIL", self._sender), "MAIL", lasting=False)
                _check(smtp.docmd("RCPT", f"TO:<{recipient}>"), "RCPT")
        except (smtplib.SMTPException, OSError, TransportError) as error:
            self._drop(connection)
            _raise(error)
        connection.used += 1
        return connection

    def _reused(self, recipient: str, conversation: Deadline) -> _Connection | None:
        """Return an idle connection that has accepted sender and recipient; None when no idle one
        works any more."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            connection.smtp.conversation = conversation
            fresh = time.monotonic() - connection.idle_since < IDLE_MAX_S
            if not fresh or connection.used >= MESSAGES_PER_CONNECTION:
                self._drop(connection)
                continue
            try:
                _check(connection.smtp.docmd("MAIL", self._sender), "MAIL", lasting=False)
            except (smtplib.SMTPException, OSError, TransportError):
                # Closed by the server meanwhile: nothing has been handed over yet.
                self._drop(connection)
                continue
            try:
                _check(connection.smtp.docmd("RCPT", f"TO:<{recipient}>"), "RCPT")
            except (smtplib.SMTPException, OSError, TransportError) as error:
                self._drop(connection)
                _raise(error)
            return connection
        return None

    def _connect(self, conversation: Deadline) -> _Connection:
        smtp = unconnected(self._server, self._bounds, conversation)
        self._open.add(smtp)
        try:
            if self._closed:
                raise _ending()
            sign_in(smtp, self._server)
        except TransportError:
            self._open.discard(smtp)
            raise
        except (smtplib.SMTPException, OSError) as error:
            self._open.discard(smtp)
            # Any error so far concerns us, not the message.
            raise TransportError(
                f"cannot use the mail server: {failure(error)}", permanent=False, of_channel=True
            ) from error
        return _Connection(smtp)

    def _send(self, connection: _Connection, data: bytes, asked_at: float) -> bool:
        """Hand the message over; do nothing and return False when the permission is too old."""
        smtp = connection.smtp
        ended = False
        try:
            smtp.conversation.left_s()
            if self._is_old(asked_at):
                return False
            code, answer = smtp.docmd("DATA")
            if code != 354:
                raise smtplib.SMTPDataError(code, answer)
            smtp.send(data)
            # Until the final dot, the server discards the message if the connection ends.
            self._check_not_old(asked_at)
            # From here on the server may accept it, whether or not its answer arrives.
            ended = True
            code, answer = smtp.docmd(".")
        except TransportError:
            self._drop(connection)
            raise
        except (smtplib.SMTPException, OSError) as error:
            self._drop(connection)
            if ended:
                message = f"the server's answer was lost: {failure(error)}"
                raise TransportError(message, permanent=False, ambiguous=True) from error
            _raise(error)
        if not 200 <= code < 300:
            self._drop(connection)
            # A code below 400 is neither yes nor no: the message may have been accepted.
            raise TransportError(
                refusal("the message", code, answer),
                permanent=500 <= code < 600,
                ambiguous=code < 400,
            )
        self._keep(connection)
        return True

    def _is_old(self, asked_at: float) -> bool:
        """Return whether so long has passed, such as in a process that was stopped, that the
        appointment must be checked again before the message is sent."""
        return self._now_s() - asked_at > PERMISSION_MAX_S

    def _check_not_old(self, asked_at: float) -> None:
        if self._is_old(asked_at):
            raise TransportError("this process was suspended while sending", permanent=False)

    def _withdraw(self, connection: _Connection) -> None:
        try:
            _check(connection.smtp.rset(), "RSET")
        except (smtplib.SMTPException, OSError, TransportError):
            self._drop(connection)
        else:
            self._keep(connection)

    def _keep(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._closed:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._open.discard(connection.smtp)
        with suppress(smtplib.SMTPException, OSError):
            connection.smtp.close()


class _Places:
    """Limits how many messages to one mail domain are handed over at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, domain: str) -> AsyncIterator[None]:
        """Hold one of the domain's places. Raises TransportError when none becomes free in time."""
        places, users = self._taken.get(domain, (asyncio.Semaphore(self._most), 0))
        self._taken[domain] = places, users + 1
        try:
            try:
                await asyncio.wait_for(places.acquire(), PLACE_WAIT_S)
            except TimeoutError:
                raise TransportError(
                    "postponed: mail to its domain is slow and must not hold up others",
                    permanent=False,
                    of_channel=True,
                ) from None
            try:
                yield
            finally:
                places.release()
        finally:
            places, users = self._taken.pop(domain)
            if users > 1:
                self._taken[domain] = places, users - 1


def connect(server: MailServer) -> BoundedSMTP:
    """Return a connection that is encrypted and signed in. Raises SMTPException, OSError."""
    bounds = Bounds()
    smtp = unconnected(server, bounds, Deadline(bounds.conversation_s))
    sign_in(smtp, server)
    return smtp


def unconnected(server: MailServer, bounds: Bounds, conversation: Deadline) -> BoundedSMTP:
    """Return a connection to `server` that is not open yet. Raises OSError for certificates."""
    context = server.tls_context() if server.tls_at_once else None
    return BoundedSMTP(server.host, bounds=bounds, conversation=conversation, context=context)


def sign_in(smtp: BoundedSMTP, server: MailServer) -> None:
    """Connect, and encrypt and sign in where `server` says so.

    Raises SMTPException, OSError, after closing the connection.
    """
    try:
        smtp.open(server.port)
        smtp.ehlo_or_helo_if_needed()
        if server.starttls:
            smtp.starttls(context=server.tls_context())
            # Both sides discard what was exchanged unencrypted.
            smtp.ehlo()
        if server.user is not None:
            smtp.login(server.user, server.password or "")
    except (smtplib.SMTPException, OSError):
        smtp.close()
        raise


def _ending() -> TransportError:
    return TransportError("this worker is shutting down", permanent=False, of_channel=True)


def _check(answer: tuple[int, bytes], step: str, *, lasting: bool = True) -> None:
    """Raise TransportError unless the server accepted; `lasting`: a 5xx concerns this message."""
    code, text = answer
    if 200 <= code < 300:
        return
    # A refused sender would be refused for every message.
    permanent = lasting and 500 <= code < 600
    raise TransportError(refusal(step, code, text), permanent=permanent, of_channel=not lasting)


def _raise(error: Exception) -> NoReturn:
    if isinstance(error, TransportError):
        raise error
    lasting = isinstance(error, smtplib.SMTPResponseException) and 500 <= error.smtp_code < 600
    raise TransportError(failure(error), permanent=lasting) from error

"""Hands emails to a mail server, and tells refusals for good from those for now."""

import asyncio
import re
import smtplib
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from clinic.adapters.email.compose import Composer
from clinic.domain.deliveries import Letter
from clinic.ports.notifier import TransportError

R = TypeVar("R")

CONNECT_TIMEOUT_S = 10.0
#: for each answer of the server; a hand-over asks for about ten
ANSWER_TIMEOUT_S = 20.0
#: how old the permission to send may be when the last byte goes out
PERMISSION_MAX_S = 2.0
#: a connection is used for so many messages, and for so long between two of them
MESSAGES_PER_CONNECTION = 100
IDLE_MAX_S = 10.0

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and how to reach a mail server, from smtp:// (STARTTLS) or smtps:// (TLS at once).

    Without TLS only to this machine, or where the URL says ?tls=off.
    """

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    tls_at_once: bool
    starttls: bool
    #: of a certificate authority, where the system's do not do
    ca_file: str | None = None

    @classmethod
    def from_url(cls, url: str) -> "MailServer":
        """Return the server that `url` names. Raises ValueError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # What it complains of may be the half of a password.
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
        return cls(
            host=parts.hostname,
            port=port or (465 if at_once else 587),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls_at_once=at_once,
            starttls=not at_once and tls == "on",
            ca_file=options.get("ca", [None])[0],
        )

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.host in _LOOPBACK

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what certificates are held against, None without TLS. Raises OSError.

        The system's authorities, or those of SSL_CERT_FILE, unless the URL names one.
        """
        if not (self.tls_at_once or self.starttls):
            return None
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(slots=True)
class _Connection:
    smtp: smtplib.SMTP
    used: int = 0
    idle_since: float = 0.0


class SmtpNotifier:
    """Hands letters to one mail server over up to `threads` connections."""

    def __init__(self, server: MailServer, composer: Composer, *, threads: int = 8) -> None:
        self._server = server
        self._composer = composer
        self._idle: list[_Connection] = []
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="smtp")

    async def deliver(self, letter: Letter, may_send: Callable[[], Awaitable[bool]]) -> bool:
        email = self._composer.compose(letter)
        data = _LEADING_DOT.sub(b"..", email.as_bytes())
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        connection = await self._run(self._address, letter.addressee.email)
        while True:
            asked_at = time.monotonic()
            try:
                allowed = await may_send()
            except BaseException:
                await self._run(self._drop, connection)
                raise
            if not allowed:
                await self._run(self._withdraw, connection)
                return False
            if await self._run(self._send, connection, data, asked_at):
                return True

    async def took(self, message_id: str) -> bool | None:
        # SMTP has no such question; an adapter for a provider's own interface can ask it.
        return None

    async def close(self) -> None:
        while self._idle:
            await self._run(self._drop, self._idle.pop())
        self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[..., R], *args: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _address(self, recipient: str) -> _Connection:
        """Return a connection that has taken sender and recipient, and nothing else yet."""
        connection = self._reused(recipient) or self._connect()
        smtp = connection.smtp
        try:
            if connection.used == 0:
                _check(smtp.mail(self._composer.sender_address), "MAIL", lasting=False)
                _check(smtp.rcpt(recipient), "RCPT")
        except (smtplib.SMTPException, OSError, TransportError) as error:
            self._drop(connection)
            _raise(error)
        connection.used += 1
        return connection

    def _reused(self, recipient: str) -> _Connection | None:
        """Return an idle connection, addressed; None when there is none that still works."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            fresh = time.monotonic() - connection.idle_since < IDLE_MAX_S
            if not fresh or connection.used >= MESSAGES_PER_CONNECTION:
                self._drop(connection)
                continue
            try:
                _check(connection.smtp.mail(self._composer.sender_address), "MAIL", lasting=False)
            except (smtplib.SMTPException, OSError, TransportError):
                # Closed by the server meanwhile: nothing has been handed over yet.
                self._drop(connection)
                continue
            try:
                _check(connection.smtp.rcpt(recipient), "RCPT")
            except (smtplib.SMTPException, OSError, TransportError) as error:
                self._drop(connection)
                _raise(error)
            return connection
        return None

    def _connect(self) -> _Connection:
        try:
            return _Connection(connect(self._server))
        except (smtplib.SMTPException, OSError) as error:
            # Whatever it says now, it says of us and not of the message.
            raise TransportError(
                f"cannot use the mail server: {said(error)}", permanent=False, of_channel=True
            ) from error

    def _send(self, connection: _Connection, data: bytes, asked_at: float) -> bool:
        """Hand the message over; False, and nothing done, when the permission has grown old."""
        smtp = connection.smtp
        ended = False
        try:
            if _is_old(asked_at):
                return False
            code, answer = smtp.docmd("DATA")
            if code != 354:
                raise smtplib.SMTPDataError(code, answer)
            smtp.send(data)
            # Without its end the server forgets it.
            _check_not_old(asked_at)
            # From here on the server may take it, whether or not its answer arrives.
            ended = True
            _check(smtp.docmd("."), "the message")
        except TransportError:
            self._drop(connection)
            raise
        except (smtplib.SMTPException, OSError) as error:
            self._drop(connection)
            answered = isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0
            if ended and not answered:
                message = f"the server's answer was lost: {said(error)}"
                raise TransportError(message, permanent=False, ambiguous=True) from error
            _raise(error)
        self._keep(connection)
        return True

    def _withdraw(self, connection: _Connection) -> None:
        try:
            connection.smtp.rset()
        except (smtplib.SMTPException, OSError):
            self._drop(connection)
        else:
            self._keep(connection)

    def _keep(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def _drop(self, connection: _Connection) -> None:
        with suppress(smtplib.SMTPException, OSError):
            connection.smtp.close()


def connect(server: MailServer) -> smtplib.SMTP:
    """Return a connection that is encrypted and signed in, as far as `server` asks for it.

    Raises SMTPException, OSError.
    """
    context = server.tls_context()
    smtp: smtplib.SMTP | None = None
    try:
        if server.tls_at_once:
            smtp = smtplib.SMTP_SSL(
                server.host, server.port, timeout=CONNECT_TIMEOUT_S, context=context
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=CONNECT_TIMEOUT_S)
        if smtp.sock is not None:
            smtp.sock.settimeout(ANSWER_TIMEOUT_S)
        smtp.timeout = ANSWER_TIMEOUT_S
        smtp.ehlo_or_helo_if_needed()
        if server.starttls:
            smtp.starttls(context=context)
            # What was said in clear is forgotten, by both.
            smtp.ehlo()
        if server.user is not None:
            smtp.login(server.user, server.password or "")
    except (smtplib.SMTPException, OSError):
        if smtp is not None:
            smtp.close()
        raise
    return smtp


def _is_old(asked_at: float) -> bool:
    """Say whether so long has passed, such as in a process that was stopped, that the appointment
    must be looked at again before the message goes out."""
    return time.monotonic() - asked_at > PERMISSION_MAX_S


def _check_not_old(asked_at: float) -> None:
    if _is_old(asked_at):
        raise TransportError("this process stood still while sending", permanent=False)


def _check(answer: tuple[int, bytes], step: str, *, lasting: bool = True) -> None:
    """Raise TransportError unless the server agreed; `lasting`: its 5xx is about this message."""
    code, text = answer
    if 200 <= code < 300:
        return
    refusal = f"{step}: {code} {text.decode(errors='replace')}"
    # A sender that is refused is refused for every message.
    permanent = lasting and 500 <= code < 600
    raise TransportError(refusal, permanent=permanent, of_channel=not lasting)


def _raise(error: Exception) -> NoReturn:
    if isinstance(error, TransportError):
        raise error
    lasting = isinstance(error, smtplib.SMTPResponseException) and 500 <= error.smtp_code < 600
    raise TransportError(said(error), permanent=lasting) from error


def said(error: Exception) -> str:
    """Return what the server, or the way to it, says."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        return f"{error.smtp_code} {words}"
    return f"{type(error).__name__}: {error}"

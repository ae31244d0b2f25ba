"""An SMTP connection on which every wait ends, however slowly the server sends.

smtplib gives each read of the socket a timeout, which a server that sends one byte at a time
restarts with every byte. Here the whole answer has a timeout, and so has the whole conversation.
"""

import queue
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

R = TypeVar("R")

LINE_MAX_BYTES = 8192
ANSWER_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a mail server may take."""

    #: for name lookup, connecting, TLS and the greeting together
    connect_s: float = 10.0
    #: for each whole answer
    answer_s: float = 20.0
    #: for everything from the first step of one message to the last answer
    conversation_s: float = 60.0


class Deadline:
    """A moment after which nothing waits any longer."""

    def __init__(self, seconds: float) -> None:
        self._ends_s = time.monotonic() + seconds

    def left_s(self) -> float:
        """Return the seconds left, more than 0. Raises TimeoutError."""
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s

    def end(self) -> None:
        """Make the deadline pass now."""
        self._ends_s = time.monotonic()


class AnswerLost(smtplib.SMTPServerDisconnected):
    """The server gave no answer that can be understood; the message does not quote the server."""


class BoundedSMTP(smtplib.SMTP):
    """A connection to `host`, with TLS at once where there is a `context`."""

    sock: socket.socket | None
    _host: str

    def __init__(
        self, host: str, *, bounds: Bounds, conversation: Deadline, context: ssl.SSLContext | None
    ) -> None:
        self.bounds = bounds
        #: the deadline of the message that is being handed over
        self.conversation = conversation
        self._context = context
        self._connecting: Deadline | None = None
        self._received = bytearray()
        super().__init__(local_hostname="")
        # The name that the certificate must be for.
        self._host = host

    def open(self, port: int) -> None:
        """Connect, and read the greeting. Raises SMTPException, OSError."""
        self._connecting = Deadline(self.bounds.connect_s)
        self.local_hostname = _own_name(self.bounds.connect_s / 2)
        try:
            code, text = self.connect(self._host, port)
        finally:
            self._connecting = None
        if code != 220:
            self.close()
            raise smtplib.SMTPConnectError(code, text)

    def cut(self) -> None:
        """Make another thread's wait on this connection end."""
        self.conversation.end()
        if self.sock is not None:
            with suppress(OSError):
                # Not the TLS socket's own method, which would end the session during a read.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def getreply(self) -> tuple[int, bytes]:
        """Return the code and the text of the whole answer. Raises AnswerLost."""
        step = self._connecting or Deadline(self.bounds.answer_s)
        try:
            answer = self._answer(step)
        except TimeoutError:
            self.close()
            raise AnswerLost("timed out") from None
        except OSError as error:
            self.close()
            if isinstance(error, AnswerLost):
                raise
            raise AnswerLost("the connection broke") from None
        if self.sock is not None:
            # A TLS handshake may follow; this timeout limits the whole of it.
            with suppress(TimeoutError):
                self.sock.settimeout(self._left_s(Deadline(self.bounds.answer_s)))
        return answer

    def send(self, s: Any) -> None:
        """Send all of `s`. Raises SMTPServerDisconnected."""
        rest = memoryview(s.encode(self.command_encoding) if isinstance(s, str) else s)
        step = Deadline(self.bounds.answer_s)
        if self.sock is None:
            raise AnswerLost("the connection is closed")
        if self._received:
            # It would be taken for the answer to the next command.
            self.close()
            raise AnswerLost("the server sent something unsolicited")
        try:
            while rest:
                self.sock.settimeout(self._left_s(step))
                rest = rest[self.sock.send(rest) :]
        except TimeoutError:
            self.close()
            raise AnswerLost("timed out") from None
        except OSError:
            self.close()
            raise AnswerLost("the connection broke") from None

    def close(self) -> None:
        """Close the socket."""
        self._received.clear()
        super().close()

    def _answer(self, step: Deadline) -> tuple[int, bytes]:
        size, code = 0, b""
        texts: list[bytes] = []
        while True:
            raw = self._line(step)
            line = raw.rstrip(b"\r\n")
            size += len(raw)
            if len(raw) > LINE_MAX_BYTES or size > ANSWER_MAX_BYTES:
                raise AnswerLost("the server's answer is too long")
            goes_on = line[3:4] == b"-"
            well_formed = line[:3].isdigit() and len(line[:3]) == 3 and line[3:4] in b"- "
            if not well_formed or (texts and line[:3] != code):
                raise AnswerLost("the server's answer is not SMTP")
            code = line[:3]
            texts.append(line[4:].strip())
            if not goes_on:
                return int(code), b"\n".join(texts)

    def _line(self, step: Deadline) -> bytes:
        received = self._received
        while (end := received.find(b"\n")) < 0:
            if len(received) > LINE_MAX_BYTES:
                raise AnswerLost("the server's answer is too long")
            if self.sock is None:
                raise AnswerLost("the connection is closed")
            self.sock.settimeout(self._left_s(step))
            data = self.sock.recv(LINE_MAX_BYTES)
            if not data:
                raise AnswerLost("the server closed the connection")
            received += data
        line = bytes(received[: end + 1])
        del received[: end + 1]
        return line

    def _left_s(self, step: Deadline) -> float:
        return min(step.left_s(), self.conversation.left_s())

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Return a socket that is connected, and encrypted where there is a `context`."""
        connecting = self._connecting or Deadline(self.bounds.connect_s)
        connected = self._connected(host, port, connecting)
        if self._context is None:
            return connected
        connected.settimeout(self._left_s(connecting))
        try:
            return self._context.wrap_socket(connected, server_hostname=self._host)
        except OSError:
            connected.close()
            raise

    def _connected(self, host: str, port: int, connecting: Deadline) -> socket.socket:
        places = _within(
            self._left_s(connecting),
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        )
        failure: OSError = ConnectionError(f"{host} has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(places):
            connected = socket.socket(family, kind, protocol)
            try:
                # Share the time, so that an address that does not answer leaves some for others.
                connected.settimeout(self._left_s(connecting) / (len(places) - tried))
                connected.connect(address)
            except OSError as error:
                connected.close()
                failure = error
            else:
                return connected
        raise failure


_known_names: list[str] = []


def _own_name(timeout_s: float) -> str:
    """Return this machine's name for mail servers, looked up once."""
    if not _known_names:
        try:
            name = _within(timeout_s, socket.getfqdn)
        except OSError:
            name = ""
        # RFC 5321, 4.1.1.1: an address where there is no full name.
        _known_names.append(name if "." in name else "[127.0.0.1]")
    return _known_names[0]


def _within(timeout_s: float, look_up: Callable[[], R]) -> R:
    """Return what `look_up` returns. Raises TimeoutError when it takes longer, OSError.

    Nothing can stop the system's resolver, so it is left running in a daemon thread, which does not
    keep the process from ending.
    """
    results: queue.SimpleQueue[tuple[R | None, OSError | UnicodeError | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((look_up(), None))
        except (OSError, UnicodeError) as error:
            results.put((None, error))

    threading.Thread(target=run, name="smtp-names", daemon=True).start()
    try:
        result, error = results.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(error, OSError):
        raise error
    if error is not None:
        raise OSError("not a host name") from error
    return result  # type: ignore[return-value]

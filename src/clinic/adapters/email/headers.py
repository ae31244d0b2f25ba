"""The header block of an email, written and checked byte by byte.

Depending on Python's version, its generator writes encoded words (RFC 2047) where they are not
allowed, loses the quotes of a name with commas when folding, and decodes line ends out of names. So
the headers are written here, and the whole email is checked before it is handed over.
"""

import re
import unicodedata
from base64 import b64encode
from collections.abc import Sequence

LINE_CHARS = 76
LINE_MAX_CHARS = 998
ADDRESS_MAX_CHARS = 254
#: UTF-8 bytes in one encoded word, which may have 75 characters and may follow "Subject: "
_WORD_BYTES = 36

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*"
_PHRASE = (
    r'"(?:[^"\\]|\\[ -~])*"|=\?utf-8\?b\?[A-Za-z0-9+/=]+\?=(?: =\?utf-8\?b\?[A-Za-z0-9+/=]+\?=)*'
)
_ENCODED = re.compile(r"=\?utf-8\?b\?[A-Za-z0-9+/=]+\?=")
#: the pattern of each header once it is unfolded; no other header is allowed
_SHAPES = {
    "From": re.compile(rf"(?:(?:{_PHRASE}) )?<{_ADDRESS}>"),
    "To": re.compile(_ADDRESS),
    "Subject": re.compile(r"[ -~]*"),
    "Date": re.compile(r"[A-Za-z0-9,:+ -]+"),
    "Message-ID": re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>"),
    "Auto-Submitted": re.compile(r"auto-generated"),
    "List-Unsubscribe": re.compile(r"<https?://[!-;=?-~]+>"),
    "List-Unsubscribe-Post": re.compile(r"List-Unsubscribe=One-Click"),
    "MIME-Version": re.compile(r"1\.0"),
    "Content-Type": re.compile(r"[ -~]+"),
    "Content-Transfer-Encoding": re.compile(r"[a-z0-9-]+"),
}
_NEEDED = {"From", "To", "Subject", "Date", "Message-ID"}
_LINE = re.compile(r"[ -~]+")
_STRAY_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


class UnsafeEmail(Exception):
    """An email that must not be handed over; its message quotes nothing of it."""


def mailbox(address: str) -> str:
    """Return `address` if every mail server understands it. Raises UnsafeEmail."""
    if len(address) > ADDRESS_MAX_CHARS or not re.fullmatch(_ADDRESS, address):
        raise UnsafeEmail("the address is not one that mail can be sent to")
    return address


def one_line(value: str) -> str:
    """Return `value` on one line, without control characters."""
    kept = " ".join(value.split())
    return "".join(char for char in kept if unicodedata.category(char) not in ("Cc", "Cs"))


def sender(display_name: str, address: str) -> str:
    """Return a From header with one address and the name, quoted or in encoded words."""
    name = one_line(display_name)
    if not name:
        words = []
    elif _is_plain(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        words = f'"{escaped}"'.split(" ")
    else:
        words = _encoded(name)
    return _folded("From", [*words, f"<{mailbox(address)}>"])


def text(name: str, value: str) -> str:
    """Return a header of free text, such as the subject."""
    line = one_line(value)
    return _folded(name, line.split(" ") if _is_plain(line) else _encoded(line))


def fixed(name: str, value: str) -> str:
    """Return a header whose value is written unchanged, folded only at its spaces."""
    return _folded(name, value.split(" "))


def check_email(data: bytes) -> None:
    """Raise UnsafeEmail unless the headers are those expected, each once and well formed, and every
    line end is CRLF."""
    if _STRAY_LINE_END.search(data):
        raise UnsafeEmail("the email has an invalid line end")
    head, _, body = data.partition(b"\r\n\r\n")
    if any(len(line) > LINE_MAX_CHARS for line in body.split(b"\r\n")):
        raise UnsafeEmail("a line of the email is too long")
    found: dict[str, str] = {}
    for line in _unfolded(head):
        name, _, value = line.partition(": ")
        shape = _SHAPES.get(name)
        if shape is None or name in found or not shape.fullmatch(value):
            raise UnsafeEmail(f"the email's {name if shape else 'header'} is malformed")
        if "=?" in _ENCODED.sub("", value) if name in ("From", "Subject") else "=?" in value:
            raise UnsafeEmail(f"the email's {name} holds an encoded word")
        found[name] = value
    if missing := _NEEDED - found.keys():
        raise UnsafeEmail(f"the email has no {min(missing)}")


def _unfolded(head: bytes) -> list[str]:
    lines: list[str] = []
    for raw in head.split(b"\r\n"):
        line = raw.decode("ascii", errors="replace")
        if len(line) > LINE_MAX_CHARS or not _LINE.fullmatch(line) or not line.strip():
            raise UnsafeEmail("a header line of the email is malformed")
        if not line.startswith(" "):
            lines.append(line)
        elif lines:
            lines[-1] += line
        else:
            raise UnsafeEmail("the email begins in the middle of a header")
    return lines


def _is_plain(value: str) -> bool:
    """Return whether `value` needs no encoding; text that looks like an encoded word does."""
    words = value.split(" ")
    return value.isascii() and "=?" not in value and all(len(w) < LINE_MAX_CHARS / 2 for w in words)


def _encoded(value: str) -> list[str]:
    """Return `value` as encoded words, without splitting a character between two."""
    parts, part = [], b""
    for char in value:
        raw = char.encode()
        if len(part) + len(raw) > _WORD_BYTES:
            parts.append(part)
            part = b""
        part += raw
    return [f"=?utf-8?b?{b64encode(each).decode()}?=" for each in [*parts, part]]


def _folded(name: str, words: Sequence[str]) -> str:
    """Return the header, with a line end before each word that would exceed the line.

    Never before the first word, since some readers then count its space as part of the value.
    """
    lines = [f"{name}: {words[0]}"]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > LINE_CHARS:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines)

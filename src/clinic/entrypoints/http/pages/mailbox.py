"""The demo's mailbox: every message sent, as its reader sees it, with its calendar part.

Anybody may look, so it is mounted only where the settings say so, and never in production.
"""

import asyncio
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import unquote, urlsplit

from litestar import MediaType, Response, get
from litestar.params import FromPath
from litestar.response import Template

from clinic.domain.errors import NotFound
from clinic.entrypoints.http.kernel.ordinary import Asked, guarded
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.pages.handlers import PUBLIC
from clinic.entrypoints.http.pages.rendering import page_response

SHOWN_MAX = 200
_SHOWN_HEADERS = (
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
#: what a message's own HTML may do: look as it does, and open its links in a new tab
_FRAMED = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)


@dataclass(frozen=True, slots=True)
class _Letter:
    name: str
    email: EmailMessage
    sent_at: float

    def part(self, kind: str) -> str | None:
        """Return the text of the part of this media type."""
        for part in self.email.walk():
            if part.get_content_type() == kind:
                content: str = part.get_content()
                return content
        return None


@get("/mailbox", guards=[guarded(PUBLIC)])
async def get_mailbox(call: Asked) -> Template:
    """The latest messages, latest first."""
    letters = await asyncio.to_thread(_letters, _folder(call))
    rows = [
        {
            "name": letter.name,
            "to": str(letter.email["To"]),
            "subject": str(letter.email["Subject"]),
            "calendar": _method(letter),
        }
        for letter in letters
    ]
    facts = {"language": "en", "title": "Mailbox", "wide": True, "rows": rows}
    return page_response(200, "mailbox.html", facts)


@get("/mailbox/{name:str}", guards=[guarded(PUBLIC)])
async def get_letter(call: Asked, name: FromPath[str]) -> Template:
    """Its headers, how it looks, its text and its calendar part."""
    letter = await asyncio.to_thread(_letter, _folder(call), name)
    calendar = letter.part("text/calendar")
    facts = {
        "language": "en",
        "title": str(letter.email["Subject"]),
        "wide": True,
        "name": letter.name,
        "headers": [
            (each, str(letter.email[each])) for each in _SHOWN_HEADERS if letter.email[each]
        ],
        "text": letter.part("text/plain") or "",
        "calendar": calendar,
    }
    return page_response(200, "letter.html", facts)


@get("/mailbox/{name:str}/html", guards=[guarded(PUBLIC)])
async def get_letter_html(call: Asked, name: FromPath[str]) -> Response[str]:
    """The HTML part, in a frame that can do nothing."""
    letter = await asyncio.to_thread(_letter, _folder(call), name)
    html = (letter.part("text/html") or "").replace("<head>", '<head><base target="_blank">', 1)
    headers = {"content-security-policy": _FRAMED}
    return Response(html, media_type=MediaType.HTML, headers=headers)


HANDLERS = (get_mailbox, get_letter, get_letter_html)


def _folder(call: RequestContext) -> Path:
    parts = urlsplit(call.services.settings.mail_url)
    if parts.scheme != "maildir":
        raise NotFound("Mail does not go into a folder here.")
    return Path(unquote(parts.path)) / "new"


def _letters(folder: Path) -> list[_Letter]:
    if not folder.is_dir():
        return []
    found = sorted(((path.stat().st_mtime, path) for path in folder.glob("*.eml")), reverse=True)
    return [_read(path, sent_at) for sent_at, path in found[:SHOWN_MAX]]


def _letter(folder: Path, name: str) -> _Letter:
    path = folder / f"{name}.eml"
    if path.parent != folder or not path.is_file():
        raise NotFound("There is no such message.")
    return _read(path, path.stat().st_mtime)


def _read(path: Path, sent_at: float) -> _Letter:
    email = message_from_bytes(path.read_bytes(), policy=default)
    return _Letter(path.stem, email, sent_at)


def _method(letter: _Letter) -> str:
    for part in letter.email.walk():
        if part.get_content_type() == "text/calendar":
            return str(part.get_param("method"))
    return ""

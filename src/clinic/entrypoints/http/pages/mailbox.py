"""The demo's mailbox: every message sent, as its reader sees it, with its calendar part.

Anyone may read it, so it is mounted only where the settings say so, and never in production.
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
#: what a message's HTML may do: use its own styles, and open links in a new tab
_FRAMED = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)


@dataclass(frozen=True, slots=True)
class _SentEmail:
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
    """Show the latest messages, latest first."""
    emails = await asyncio.to_thread(_sent_emails, _folder(call))
    rows = [
        {
            "name": sent.name,
            "to": str(sent.email["To"]),
            "subject": str(sent.email["Subject"]),
            "calendar": _method(sent),
        }
        for sent in emails
    ]
    facts = {"language": "en", "title": "Mailbox", "wide": True, "rows": rows}
    return page_response(200, "mailbox.html", facts)


@get("/mailbox/{name:str}", guards=[guarded(PUBLIC)])
async def get_message(call: Asked, name: FromPath[str]) -> Template:
    """Show a message's headers, its HTML, its text and its calendar part."""
    sent = await asyncio.to_thread(_sent_email, _folder(call), name)
    calendar = sent.part("text/calendar")
    facts = {
        "language": "en",
        "title": str(sent.email["Subject"]),
        "wide": True,
        "name": sent.name,
        "headers": [(each, str(sent.email[each])) for each in _SHOWN_HEADERS if sent.email[each]],
        "text": sent.part("text/plain") or "",
        "calendar": calendar,
    }
    return page_response(200, "message.html", facts)


@get("/mailbox/{name:str}/html", guards=[guarded(PUBLIC)])
async def get_message_html(call: Asked, name: FromPath[str]) -> Response[str]:
    """Return the HTML part, for a sandboxed frame."""
    sent = await asyncio.to_thread(_sent_email, _folder(call), name)
    html = (sent.part("text/html") or "").replace("<head>", '<head><base target="_blank">', 1)
    headers = {"content-security-policy": _FRAMED}
    return Response(html, media_type=MediaType.HTML, headers=headers)


HANDLERS = (get_mailbox, get_message, get_message_html)


def _folder(call: RequestContext) -> Path:
    parts = urlsplit(call.services.settings.mail_url)
    if parts.scheme != "maildir":
        raise NotFound("Mail does not go into a folder here.")
    return Path(unquote(parts.path)) / "new"


def _sent_emails(folder: Path) -> list[_SentEmail]:
    if not folder.is_dir():
        return []
    found = sorted(((path.stat().st_mtime, path) for path in folder.glob("*.eml")), reverse=True)
    return [_read(path, sent_at) for sent_at, path in found[:SHOWN_MAX]]


def _sent_email(folder: Path, name: str) -> _SentEmail:
    path = folder / f"{name}.eml"
    if path.parent != folder or not path.is_file():
        raise NotFound("There is no such message.")
    return _read(path, path.stat().st_mtime)


def _read(path: Path, sent_at: float) -> _SentEmail:
    email = message_from_bytes(path.read_bytes(), policy=default)
    return _SentEmail(path.stem, email, sent_at)


def _method(sent: _SentEmail) -> str:
    for part in sent.email.walk():
        if part.get_content_type() == "text/calendar":
            return str(part.get_param("method"))
    return ""

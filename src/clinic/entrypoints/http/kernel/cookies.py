"""The session cookie: a random reference that is sent only to this host and hidden from scripts."""

import re
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from clinic.domain.errors import NotSignedIn

if TYPE_CHECKING:
    from clinic.entrypoints.http.kernel.request_context import RequestContext

#: browsers refuse a cookie with this prefix from another host, over HTTP, or for part of the site
NAME = "__Host-clinic"
_REFERENCE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{1,100})")
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


def session_cookie(call: "RequestContext") -> tuple[UUID, str]:
    """Return the clinic and the reference in the request's cookie. Raises NotSignedIn."""
    values = cookie_values(call.headers.get(b"cookie", b""), NAME)
    # A browser sends one cookie of this name; if there are two, one was injected.
    found = _REFERENCE.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise NotSignedIn()
    return UUID(hex=found[1]), found[2]


def cookie_values(header: bytes, name: str) -> list[str]:
    """Return every value of `name` in a Cookie header.

    As in RFC 6265, pairs are separated only by "; ". Commas, spaces and quotes have no meaning, so
    that no part of another cookie's value counts as a cookie.
    """
    pairs = (pair.partition("=") for pair in header.decode("latin-1").split("; "))
    return [value for key, is_pair, value in pairs if is_pair and key == name]


def set_cookie(clinic_id: UUID, reference: str, expires_at: datetime, now: datetime) -> bytes:
    """Return the Set-Cookie that signs a browser in."""
    age_s = max(0, int((expires_at - now).total_seconds()))
    return f"{NAME}={clinic_id.hex}.{reference}; Max-Age={age_s}; {ATTRIBUTES}".encode()


def clear_cookie() -> bytes:
    """Return the Set-Cookie that signs a browser out."""
    return f"{NAME}=; Max-Age=0; {ATTRIBUTES}".encode()

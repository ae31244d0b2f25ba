"""The session cookie: a random reference that only this host gets back, and scripts never see."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from clinic.domain.errors import NotSignedIn

if TYPE_CHECKING:
    from clinic.entrypoints.http.call import Call

#: the prefix makes browsers refuse it from another host, over plain HTTP, or for part of the site
NAME = "__Host-clinic"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


def session_cookie(call: "Call") -> tuple[UUID, str]:
    """Return the clinic and the reference in the request's cookie. Raises NotSignedIn."""
    header = call.headers.get(b"cookie", b"").decode("latin-1")
    # Several Cookie headers were joined by a comma.
    for part in header.replace(", ", "; ").split("; "):
        name, _, value = part.strip().partition("=")
        clinic, _, reference = value.partition(".")
        if name == NAME and reference:
            try:
                return UUID(hex=clinic), reference
            except ValueError:
                break
    raise NotSignedIn()


def set_cookie(clinic_id: UUID, reference: str, expires_at: datetime, now: datetime) -> bytes:
    """Return the Set-Cookie that signs a browser in."""
    age_s = max(0, int((expires_at - now).total_seconds()))
    return f"{NAME}={clinic_id.hex}.{reference}; Max-Age={age_s}; {_ATTRIBUTES}".encode()


def clear_cookie() -> bytes:
    """Return the Set-Cookie that signs a browser out."""
    return f"{NAME}=; Max-Age=0; {_ATTRIBUTES}".encode()

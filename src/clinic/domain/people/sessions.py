"""Sessions: how long they last, for whom, and the two kinds; and invitations to set a password.

A bearer session is identified by a signed token, a cookie session by a random reference of which
only the hash is kept. The session's row decides when it ends, on every server at once.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from clinic.domain.clinic import Clinic
from clinic.domain.errors import NotSignedIn
from clinic.domain.people.people import STAFF, Actor, Role

#: how long a session lasts at most, and how long a cookie session lasts without a request
LIFETIME = timedelta(hours=12)
STAFF_IDLE = timedelta(minutes=15)
PATIENT_IDLE = timedelta(hours=2)
#: how stale `last_seen_at` may get, so that not every request writes it; less than any idle time
SEEN_EVERY = timedelta(minutes=1)
#: how long the row of a session is kept after its end
KEPT_AFTER_END = timedelta(days=30)
#: random bytes in a cookie's reference
REFERENCE_BYTES = 32


class SessionKind(StrEnum):
    BEARER = "bearer"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user in one role at one clinic."""

    id: UUID
    clinic_id: UUID
    user_id: UUID
    role: Role
    kind: SessionKind
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    #: SHA-256 of the cookie's reference; of random bytes that are not kept for a bearer session
    token_hash: bytes
    revoked_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """When the session ends or ended, apart from idle time."""
        return min(self.expires_at, self.revoked_at or self.expires_at)

    def is_live(self, now: datetime) -> bool:
        """Return whether the session is still valid."""
        if self.revoked_at is not None or now >= self.expires_at:
            return False
        return self.kind is SessionKind.BEARER or now < self.last_seen_at + idle_time(self.role)

    def is_of(self, actor: Actor) -> bool:
        """Return whether the session is this user's, in this role, at this clinic."""
        mine = (self.user_id, self.role, self.clinic_id)
        return mine == (actor.user_id, actor.role, actor.clinic_id)

    def wants_touch(self, now: datetime) -> bool:
        """Return whether this request should update `last_seen_at`."""
        return self.kind is SessionKind.COOKIE and now >= self.last_seen_at + SEEN_EVERY


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A stored session, with what else decides whether it is valid."""

    session: Session
    #: the user has been disabled since, or has another role
    withdrawn: bool = False
    #: the session's clinic, read with it: most requests need its zone or its policy
    clinic: Clinic | None = field(default=None, compare=False)

    def check(self, now: datetime) -> Session:
        """Return the session. Raises NotSignedIn when it is no longer valid."""
        if self.withdrawn or not self.session.is_live(now):
            raise NotSignedIn()
        return self.session


def idle_time(role: Role) -> timedelta:
    """Return how long a cookie session of this role lasts without a request."""
    return STAFF_IDLE if role in STAFF else PATIENT_IDLE


def hash_of(reference: str) -> bytes:
    """Return the hash that is kept of a cookie's reference."""
    return sha256(reference.encode()).digest()


def csrf_token(secret: str, session_id: UUID) -> str:
    """Return the token that unsafe requests with this session's cookie must carry."""
    return _mac(secret, b"csrf", session_id.bytes)


def is_csrf_token(token: str, secret: str, session_id: UUID) -> bool:
    """Return whether the token is this session's, comparing in constant time."""
    return hmac.compare_digest(token.encode(), csrf_token(secret, session_id).encode())


def _mac(secret: str, purpose: bytes, *parts: bytes) -> str:
    # Prefix each part with its length, so that no two lists of parts give the same bytes.
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (purpose, *parts))
    return urlsafe_b64encode(hmac.digest(secret.encode(), message, "sha256")).decode().rstrip("=")

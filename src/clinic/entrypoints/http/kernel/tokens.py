"""Bearer tokens: JWTs that this service signs and verifies."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import jwt

from clinic.domain.errors import NotSignedIn
from clinic.domain.people.people import Role
from clinic.settings import Settings
from clinic.usecases.people.sign_in import NewSession

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "clinic"
#: the header's typ, so that no other kind of token passes for an access token (RFC 9068)
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
LIFETIME_MAX_S = 366 * 24 * 3600
TOKEN_MAX_BYTES = 4096
CACHED_MAX = 16_384
#: errors raised by reading claims of the wrong type
_MALFORMED = (KeyError, TypeError, ValueError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says about its bearer."""

    user_id: UUID
    role: Role
    clinic_id: UUID
    expires_at: datetime
    #: the session that the token belongs to, and ends with
    session_id: UUID


def issue_token(
    settings: Settings,
    *,
    user_id: UUID,
    role: Role,
    clinic_id: UUID,
    now: datetime,
    lifetime_s: int,
    session_id: UUID,
) -> str:
    """Return a token for this user in this role at this clinic, valid for `lifetime_s` seconds
    while its session lasts."""
    if not 0 < lifetime_s <= LIFETIME_MAX_S:
        raise ValueError(f"a token lives from 1 to {LIFETIME_MAX_S} seconds")
    issued_at_s = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "role": role.value,
        "cid": str(clinic_id),
        "iat": issued_at_s,
        "exp": issued_at_s + lifetime_s,
        "sid": str(session_id),
    }
    return jwt.encode(claims, settings.secret, ALGORITHM, headers={"typ": TOKEN_TYPE})


def token_of(made: NewSession, settings: Settings) -> str:
    """Return the token of a session just made."""
    session = made.session
    return issue_token(
        settings,
        user_id=session.user_id,
        role=session.role,
        clinic_id=session.clinic_id,
        session_id=session.id,
        now=session.created_at,
        lifetime_s=int((session.expires_at - session.created_at).total_seconds()),
    )


class Tokens:
    """Reads tokens, and caches verified ones: a signature costs more than deciding a booking."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self._secret = settings.secret
        self._now = now
        self._verified: dict[bytes, Claims] = {}

    def read(self, token: bytes) -> Claims:
        """Return the claims of a valid token. Raises NotSignedIn."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            if len(self._verified) >= CACHED_MAX:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = claims
        if claims.expires_at <= self._now():
            self._verified.pop(token, None)
            raise NotSignedIn("The token has expired; sign in again.")
        return claims

    def _verify(self, token: bytes) -> Claims:
        if len(token) > TOKEN_MAX_BYTES:
            raise NotSignedIn()
        try:
            # Expiry is checked against our own clock, each time the token is used.
            whole = jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            claims = whole["payload"]
            role = Role(claims["role"])
            if whole["header"].get("typ") != TOKEN_TYPE or role is Role.SYSTEM:
                raise NotSignedIn()
            return Claims(
                UUID(claims["sub"]),
                role,
                UUID(claims["cid"]),
                datetime.fromtimestamp(int(claims["exp"]), UTC),
                UUID(claims["sid"]),
            )
        except (jwt.InvalidTokenError, *_MALFORMED):
            raise NotSignedIn() from None

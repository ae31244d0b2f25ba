"""Counts password guesses so that strangers cannot lock the owner out of an account.

Each network, and each device that has signed in, has its own count for each account. A second limit
bounds all of them together, except networks and devices that the account has signed in from.
"""

import hmac
import secrets

from clinic.domain.errors import QuotaExceeded
from clinic.domain.networks import network_of
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.cookies import ATTRIBUTES, cookie_values
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.usecases.people.sign_in import is_known_network

DEVICE_COOKIE = "__Host-clinic-device"
_DEVICE_AGE_S = 365 * 24 * 3600
_NONCE_BYTES = 16


async def count_guess(call: RequestContext, email: str) -> None:
    """Count an attempt to sign in. Raises QuotaExceeded, TemporaryFailure."""
    account, network = account_key(call, email), network_of(call.address)
    device = _known_device(call, account)
    if device is not None:
        await call.guard.count(call, RateClass.ACCOUNT, f"{account}:device:{device}")
        return
    try:
        await call.guard.count(call, RateClass.ACCOUNT_ANYWHERE, account)
    except QuotaExceeded:
        if not await is_known_network(
            call.anonymous(), call.services.emails.canonical(email), network
        ):
            raise
    await call.guard.count(call, RateClass.ACCOUNT, f"{account}:{network}")


def remember_device(call: RequestContext, email: str) -> bytes:
    """Return the Set-Cookie that marks this browser as known to the account it signed in to."""
    nonce = secrets.token_hex(_NONCE_BYTES)
    value = f"{nonce}.{_mark(call, account_key(call, email), nonce)}"
    return f"{DEVICE_COOKIE}={value}; Max-Age={_DEVICE_AGE_S}; {ATTRIBUTES}".encode()


def account_key(call: RequestContext, email: str) -> str:
    """Return the key under which requests about an email address are counted."""
    # Not the address itself: the store of counters holds no personal data.
    return _digest(call, b"account", call.services.emails.canonical(email).lower())


def _known_device(call: RequestContext, account: str) -> str | None:
    for value in cookie_values(call.headers.get(b"cookie", b""), DEVICE_COOKIE):
        nonce, _, mark = value.partition(".")
        if hmac.compare_digest(mark.encode(), _mark(call, account, nonce).encode()):
            return nonce
    return None


def _mark(call: RequestContext, account: str, nonce: str) -> str:
    return _digest(call, b"device", f"{account}.{nonce}")


def _digest(call: RequestContext, purpose: bytes, text: str) -> str:
    message = purpose + b"\n" + text.encode(errors="replace")
    return hmac.digest(call.services.settings.secret.encode(), message, "sha256").hex()[:32]

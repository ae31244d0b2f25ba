"""Middleware around every request: its id, headers by name, security headers, a line in the log."""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from uuid import UUID

from clinic.bootstrap import Services
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.clinic import Clinic
from clinic.entrypoints.http.kernel.access_control import AccessControl
from clinic.entrypoints.http.kernel.access_log import AccessLog
from clinic.entrypoints.http.kernel.authenticator import Authenticator
from clinic.entrypoints.http.kernel.endpoint import CALL
from clinic.entrypoints.http.kernel.problems import BadRequest
from clinic.entrypoints.http.kernel.reply import Headers, Message, Receive, Scope, Send
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.response_cache import ResponseCache
from clinic.entrypoints.http.kernel.strays import stray_reply

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_NO_STORE = (b"cache-control", b"no-store")
#: added to every response that does not set them itself
DEFAULTS: Headers = [
    _NO_STORE,
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
]
#: plus those that browsers use only in pages
_DEFAULTS_OF_PAGES: Headers = [
    *DEFAULTS,
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
#: headers about identity, origin and body: a second one of the same name is a forgery or a bug
_ONCE = frozenset(
    b"authorization content-length content-type host origin sec-fetch-site x-csrf-token".split()
)
_DEFAULT_NAMES = frozenset(name for name, _ in _DEFAULTS_OF_PAGES)
# The client keeps the headers of its cached copy.
_DEFAULTS_OF_304: Headers = [_NO_STORE]

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestMiddleware:
    """Plain ASGI around Litestar's own, so that unrouted requests are treated like all others."""

    def __init__(
        self,
        app: App,
        services: Services,
        authenticator: Authenticator,
        guard: AccessControl,
        log: AccessLog,
    ) -> None:
        self._app = app
        self._services = services
        self._authenticator = authenticator
        self._guard = guard
        self._log = log
        self._responses = ResponseCache()
        self._clinics: dict[UUID, Clinic] = {}
        self._types: dict[UUID, Sequence[AppointmentType]] = {}
        # Ids are this process's with a counter: a new id for each request costs ten times as much.
        self._process = services.new_id().hex[-16:].encode()
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refusal = None
        if len(headers) != len(scope["headers"]):
            headers, refusal = _joined(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not (request_id and _SANE_ID.fullmatch(request_id)):
            request_id = b"%b-%x" % (self._process, next(self._numbers))
        call = RequestContext(
            scope["method"],
            scope["path"],
            scope,
            receive,
            self._services,
            self._authenticator,
            self._guard,
            request_id.decode(),
            headers,
            responses=self._responses,
            clinics=self._clinics,
            types=self._types,
        )
        scope[CALL] = call
        status = 499  # the client is gone unless a response starts

        def send_with_headers(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _dressed(message["headers"], status, call, request_id)
            return send(message)

        try:
            if refusal is None:
                await self._app(scope, receive, send_with_headers)
            else:
                reply = await stray_reply(call, refusal)
                await reply(scope, receive, send_with_headers)
        finally:
            # Break the reference cycle, which would last until a garbage collection.
            del scope[CALL]
            self._log.add(call, status, time.perf_counter() - started)


def _joined(pairs: Headers) -> tuple[dict[bytes, bytes], BadRequest | None]:
    """Return headers by name, joining the values of repeated ones.

    Also returns a refusal if a header of _ONCE is repeated; its first value counts until then.
    """
    found: dict[bytes, bytes] = {}
    refusal = None
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif name in _ONCE:
            title = name.decode().title()
            refusal = BadRequest(f"Send {title} once.", pointer=title)
        else:
            # HTTP/2 clients send cookies one by one (RFC 9113, 8.2.3).
            found[name] += (b"; " if name == b"cookie" else b", ") + value
    return found, refusal


def _dressed(there: Headers, status: int, call: RequestContext, request_id: bytes) -> Headers:
    """Return a response's headers with the missing defaults, and those of this request."""
    names = dict(there)
    defaults = DEFAULTS
    if status == 304:
        defaults = _DEFAULTS_OF_304
    elif names.get(b"content-type", b"").startswith(b"text/html"):
        defaults = _DEFAULTS_OF_PAGES
    if not _DEFAULT_NAMES.isdisjoint(names):
        defaults = [pair for pair in defaults if pair[0] not in names]
    return [*there, *defaults, *call.rate_headers, (b"x-request-id", request_id)]

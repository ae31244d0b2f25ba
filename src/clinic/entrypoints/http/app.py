"""The HTTP application: every resource on one Litestar app, inside the envelope."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from litestar import Litestar, Response
from litestar.connection import Request
from litestar.exceptions import HTTPException

from clinic.bootstrap import Services
from clinic.domain.errors import ClinicError, NotFound
from clinic.entrypoints.http import (
    account_mail,
    appointments,
    audit,
    availabilities,
    clinics,
    doctors,
    documentation,
    health,
    memberships,
    notifications,
    patients,
    sessions,
    slots,
    swaps,
    users,
)
from clinic.entrypoints.http.access_log import AccessLog, report
from clinic.entrypoints.http.actor import Authenticator
from clinic.entrypoints.http.call import Call
from clinic.entrypoints.http.endpoint import CALL, Endpoint, mount
from clinic.entrypoints.http.envelope import Envelope
from clinic.entrypoints.http.graphql import graphql_endpoints
from clinic.entrypoints.http.guard import Guard
from clinic.entrypoints.http.pages import account_links, index, invitations, links, mailbox
from clinic.entrypoints.http.problems import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
)
from clinic.entrypoints.http.reply import Receive, Scope, Send
from clinic.entrypoints.http.strays import stray_reply
from clinic.entrypoints.http.tokens import Tokens

#: the interface, in the order in which it is documented
ENDPOINTS: tuple[Endpoint, ...] = (
    *appointments.ENDPOINTS,
    *swaps.ENDPOINTS,
    *slots.ENDPOINTS,
    *availabilities.ENDPOINTS,
    *doctors.ENDPOINTS,
    *patients.ENDPOINTS,
    *clinics.ENDPOINTS,
    *sessions.ENDPOINTS,
    *users.ENDPOINTS,
    *memberships.ENDPOINTS,
    *account_mail.ENDPOINTS,
    *notifications.ENDPOINTS,
    *audit.ENDPOINTS,
    *health.ENDPOINTS,
)


def create_app(services: Services, *, on_started: Callable[[], None] = lambda: None) -> Litestar:
    """Return the application; it opens `services` when it starts and closes them when it stops."""
    settings = services.settings
    log = AccessLog(settings.log_level)

    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        await services.open()
        try:
            app.state.draining = False
            on_started()
            yield
        finally:
            app.state.draining = True
            try:
                log.flush()
            finally:
                await services.close()

    endpoints = (
        *ENDPOINTS,
        *documentation.endpoints(ENDPOINTS),
        *graphql_endpoints(services),
        *index.ENDPOINTS,
        *links.ENDPOINTS,
        *invitations.ENDPOINTS,
        *account_links.ENDPOINTS,
        *(mailbox.ENDPOINTS if settings.mailbox else ()),
    )
    app = Litestar(
        mount(
            endpoints,
            timeout_s=settings.request_timeout_s,
            report=report,
        ),
        lifespan=[running],
        exception_handlers={Exception: _answer_exception},
        # Litestar's own document says nothing of our problems and conditions; ours does.
        openapi_config=None,
        logging_config=None,
    )
    app.state.draining = False
    app.state.readiness = health.Readiness(services)
    # All that is mounted, for whoever looks through it.
    app.state.endpoints = endpoints
    authenticator = Authenticator(settings)
    guard = Guard(services, authenticator, Tokens(settings, services.clock.now))
    # Around everything, so that requests that no route takes are answered in the same way.
    envelope = Envelope(cast(Any, app.asgi_handler), services, authenticator, guard, log)
    app.asgi_handler = cast(Any, envelope)
    return app


def _answer_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer what is raised outside our endpoints: no route, a header that HTTP does not allow."""
    call: Call = cast(Any, request.scope)[CALL]
    refusal = _refusal_of(error)
    if isinstance(refusal, InternalError):
        report(error, call)
    return cast(Response[Any], _Stray(call, refusal))


@dataclass(frozen=True, slots=True)
class _Stray:
    """The refusal of a request that no endpoint takes, counted like any other request.

    It stands where Litestar expects one of its responses, of which it only wants the ASGI part.
    """

    call: Call
    refusal: ClinicError

    def to_asgi_response(self, *_: object, **__: object) -> "_Stray":
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await stray_reply(self.call, self.refusal)
        await reply(scope, receive, send)


def _refusal_of(error: Exception) -> ClinicError:
    if isinstance(error, ClinicError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("There is no resource at this address.")
    if isinstance(error, HTTPException) and error.status_code == 405:
        allow = (error.headers or {}).get("allow", "")
        return MethodNotAllowed(allow=sorted(allow.replace(" ", "").split(",")))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return BadRequest()
    return InternalError()

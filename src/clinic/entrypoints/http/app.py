"""The HTTP application: every resource on one Litestar app, inside its middleware."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar, Response
from litestar.connection import Request
from litestar.exceptions import HTTPException
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template.config import TemplateConfig

from clinic.bootstrap import Services
from clinic.domain.errors import ClinicError, NotFound
from clinic.entrypoints.http.api import audit, documentation, health
from clinic.entrypoints.http.api.appointments import appointments, resources, swaps, types
from clinic.entrypoints.http.api.calendar import (
    added_places,
    availabilities,
    blocks,
    calendar_changes,
    closures,
    explanation,
    leaves,
    locations,
    slots,
)
from clinic.entrypoints.http.api.messaging import notifications
from clinic.entrypoints.http.api.people import (
    account_mail,
    clinics,
    doctors,
    memberships,
    patients,
    sessions,
    users,
)
from clinic.entrypoints.http.graphql import graphql_endpoints
from clinic.entrypoints.http.kernel.access_control import AccessControl
from clinic.entrypoints.http.kernel.access_log import AccessLog, report, report_refusal
from clinic.entrypoints.http.kernel.authenticator import Authenticator
from clinic.entrypoints.http.kernel.deadlines import Deadlines
from clinic.entrypoints.http.kernel.endpoint import CALL, Endpoint, mount
from clinic.entrypoints.http.kernel.middleware import RequestMiddleware
from clinic.entrypoints.http.kernel.ordinary import RENDERER, accesses_of, group
from clinic.entrypoints.http.kernel.problems import (
    BadRequest,
    BodyTooLarge,
    InternalError,
    MethodNotAllowed,
)
from clinic.entrypoints.http.kernel.renderers import Renderer
from clinic.entrypoints.http.kernel.reply import NO_REPLY, Receive, Reply, Scope, Send
from clinic.entrypoints.http.kernel.request_context import ClientGone, RequestContext
from clinic.entrypoints.http.kernel.strays import stray_reply
from clinic.entrypoints.http.kernel.tokens import Tokens
from clinic.entrypoints.http.pages import account_links, index, invitations, links, mailbox
from clinic.entrypoints.http.pages.rendering import environment, render_page
from clinic.settings import Settings

if TYPE_CHECKING:
    from clinic.entrypoints.http.kernel.metrics import WebMetrics

#: the interface, in the order in which it is documented
ENDPOINTS: tuple[Endpoint, ...] = (
    *appointments.ENDPOINTS,
    *swaps.ENDPOINTS,
    *types.ENDPOINTS,
    *resources.ENDPOINTS,
    *slots.ENDPOINTS,
    *explanation.ENDPOINTS,
    *availabilities.ENDPOINTS,
    *closures.ENDPOINTS,
    *locations.ENDPOINTS,
    *leaves.ENDPOINTS,
    *blocks.ENDPOINTS,
    *added_places.ENDPOINTS,
    *calendar_changes.ENDPOINTS,
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


def create_app(
    services: Services,
    *,
    on_started: Callable[[], None] = lambda: None,
    metrics: "WebMetrics | None" = None,
) -> Litestar:
    """Return the application; it opens `services` when it starts and closes them when it stops."""
    app = build_routes(services.settings)
    attach(app, services, on_started=on_started, metrics=metrics)
    return app


def build_routes(settings: Settings) -> Litestar:
    """Return the application without services: nothing else of it takes long to build, so tests
    attach one to many services in turn."""
    endpoints = (
        *ENDPOINTS,
        *documentation.endpoints(ENDPOINTS),
        *graphql_endpoints(introspection=settings.introspects),
    )
    deadlines = Deadlines(settings.request_timeout_s)
    pages = (
        *index.HANDLERS,
        *links.HANDLERS,
        *invitations.HANDLERS,
        *account_links.HANDLERS,
        *(mailbox.HANDLERS if settings.mailbox else ()),
    )
    app = Litestar(
        [
            *mount(endpoints, deadlines=deadlines),
            group("/", pages, deadlines=deadlines, renderer=render_page),
        ],
        template_config=TemplateConfig(
            instance=JinjaTemplateEngine.from_environment(environment())
        ),
        lifespan=[_running],
        exception_handlers={Exception: _answer_exception},
        # Litestar's own document lacks our problems and conditions.
        openapi_config=None,
        logging_config=None,
    )
    app.state.router = app.asgi_handler
    # Everything that is mounted, for inspection.
    app.state.accesses = [(one.method, one.path, one.access) for one in endpoints]
    app.state.accesses += accesses_of(pages)
    return app


def attach(
    app: Litestar,
    services: Services,
    *,
    on_started: Callable[[], None] = lambda: None,
    metrics: "WebMetrics | None" = None,
) -> None:
    """Let the application serve these services, whose settings are those of its routes."""
    settings = services.settings
    log = _access_log(settings, metrics)
    app.state.draining = False
    app.state.readiness = health.Readiness(services)
    app.state.runtime = _Runtime(services, log, on_started, metrics)
    authenticator = Authenticator(settings)
    guard = AccessControl(services, authenticator, Tokens(settings, services.clock.now))
    # Around everything, so that requests that match no route are answered in the same way.
    middleware = RequestMiddleware(app.state.router, services, authenticator, guard, log)
    app.asgi_handler = cast(Any, middleware)


@dataclass(frozen=True, slots=True)
class _Runtime:
    """What runs from the application's start to its stop."""

    services: Services
    log: AccessLog
    on_started: Callable[[], None]
    metrics: "WebMetrics | None"


@asynccontextmanager
async def _running(app: Litestar) -> AsyncIterator[None]:
    runtime: _Runtime = app.state.runtime
    await runtime.services.open()
    try:
        app.state.draining = False
        runtime.on_started()
        if runtime.metrics is not None:
            runtime.metrics.start()
        yield
    finally:
        app.state.draining = True
        try:
            runtime.log.flush()
        finally:
            await runtime.services.close()
            if runtime.metrics is not None:
                runtime.metrics.stop()


def _access_log(settings: Settings, metrics: "WebMetrics | None") -> AccessLog:
    if metrics is None:
        return AccessLog(settings.log_level)
    from clinic.entrypoints.http.kernel.metrics import MeasuredLog

    return MeasuredLog(settings.log_level, metrics)


def _answer_exception(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer errors raised outside our endpoints: no route, a header that HTTP does not allow."""
    return cast(Response[Any], _Answer(_reply_to(request, error)))


async def _reply_to(request: Request[Any, Any, Any], error: Exception) -> Reply:
    call: RequestContext = cast(Any, request.scope)[CALL]
    if isinstance(error, ClientGone):
        return NO_REPLY
    refusal = _refusal_of(error)
    if isinstance(refusal, InternalError):
        report(error, call)
    if call.access is None:
        return await stray_reply(call, refusal)
    report_refusal(refusal, call)
    call.guard.note_refusal(call, refusal)
    render: Renderer = request.route_handler.opt[RENDERER]
    return render(call, refusal)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply in place of a Litestar response, of which Litestar uses only the ASGI part."""

    reply: Awaitable[Reply]

    def to_asgi_response(self, *_: object, **__: object) -> "_Answer":
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self.reply
        await reply(scope, receive, send)


def _refusal_of(error: Exception) -> ClinicError:
    if isinstance(error, ClinicError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NotFound("There is no resource at this address.")
    if isinstance(error, HTTPException) and error.status_code == 413:
        return BodyTooLarge()
    if isinstance(error, HTTPException) and error.status_code == 405:
        allow = (error.headers or {}).get("allow", "")
        return MethodNotAllowed(allow=sorted(allow.replace(" ", "").split(",")))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return BadRequest()
    return InternalError()

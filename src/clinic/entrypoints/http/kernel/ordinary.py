"""Ordinary Litestar handlers (pages, streams, forms) behind access control.

`group` makes a Router of them; `guarded` makes the guard that each of them needs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from litestar import HttpMethod, Response, Router, route
from litestar.connection import ASGIConnection, Request
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ImproperlyConfiguredException, LitestarException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.params import SkipValidation
from litestar.types import ASGIApp, Guard
from msgspec import Struct

from clinic.domain.errors import ClinicError
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.access_log import report, report_refusal
from clinic.entrypoints.http.kernel.deadlines import Deadlines, TooLate
from clinic.entrypoints.http.kernel.decoding import NoQuery, read_query
from clinic.entrypoints.http.kernel.endpoint import CALL
from clinic.entrypoints.http.kernel.problems import RequestTimeout
from clinic.entrypoints.http.kernel.renderers import Renderer, render_problem
from clinic.entrypoints.http.kernel.reply import Message, Receive, Scope, Send
from clinic.entrypoints.http.kernel.request_context import ClientGone, RequestContext
from clinic.entrypoints.http.kernel.sent_body import SentBody

#: how large a body may be, unless a handler or its group sets another limit: enough for a form
BODY_MAX_BYTES = 4096
#: the type of a handler's parameter `call`: the kernel's RequestContext
Asked = NamedDependency[SkipValidation[RequestContext]]
#: key in a handler's `opt` of its group's renderer of refusals
RENDERER = "clinic.renderer"


def call_of(request: Request[Any, Any, Any]) -> RequestContext:
    """Return the request's context: its actor, its context for use cases, its log."""
    return cast(RequestContext, cast(Any, request.scope)[CALL])


@dataclass(frozen=True, slots=True)
class _Guarded:
    """The guard that `guarded` makes."""

    access: Access
    #: None accepts any
    query: type[Struct] | None

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        call: RequestContext = cast(Any, connection.scope)[CALL]
        call.route = connection.scope["path_template"]
        call.access = self.access
        await call.guard.admit(call, self.access)
        if self.query is not None:
            call.query = read_query(call.scope["query_string"], self.query)


def guarded(access: Access, *, query: type[Struct] = NoQuery) -> Guard:
    """Return a guard that admits requests by `access`, counts them and audits refusals.

    `query` declares the parameters, which `call.query` holds; any other parameter is refused, as
    everywhere. Reads of patients' data are recorded before the response starts.
    """
    return _Guarded(access, query)


def accesses_of(handlers: Sequence[HTTPRouteHandler]) -> list[tuple[str, str, Access]]:
    """Return method, path and access of each handler. Raises ImproperlyConfiguredException for a
    handler that is not guarded."""
    found: list[tuple[str, str, Access]] = []
    for handler in handlers:
        guards = [each for each in handler.guards or () if isinstance(each, _Guarded)]
        if len(guards) != 1:
            raise ImproperlyConfiguredException(f"{handler} needs one guard made by guarded().")
        for path in handler.paths:
            found += [
                (HttpMethod(method).value, _template(path), guards[0].access)
                for method in handler.http_methods
            ]
    return found


def _template(path: str) -> str:
    return re.sub(r":\w+}", "}", path)


def group(
    path: str,
    handlers: Sequence[HTTPRouteHandler],
    *,
    deadlines: Deadlines,
    renderer: Renderer = render_problem,
    request_max_body_size: int = BODY_MAX_BYTES,
    **options: Any,
) -> Router:
    """Return a Litestar Router that applies `deadlines` and renders refusals with `renderer`.

    HEAD is answered like GET, without running a stream; OPTIONS names the methods of a path.
    `options` are passed to the Router. Raises ImproperlyConfiguredException for a handler that is
    not guarded.
    """
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        if HttpMethod.GET in handler.http_methods:
            handler.http_methods.add(HttpMethod.HEAD)
    for method, template, _ in accesses_of(handlers):
        methods.setdefault(template, set()).add(method)
    paths = {_template(path): path for handler in handlers for path in handler.paths}
    return Router(
        path,
        route_handlers=[
            # These come first, since Litestar adds its own OPTIONS to a path that has none yet.
            *(_options(paths[template], found) for template, found in methods.items()),
            *handlers,
        ],
        middleware=[DefineMiddleware(cast(Any, _Attended), deadlines=deadlines, renderer=renderer)],
        opt={RENDERER: renderer},
        dependencies={"call": Provide(call_of, sync_to_thread=False)},
        request_max_body_size=request_max_body_size,
        **options,
    )


def _options(path: str, methods: set[str]) -> HTTPRouteHandler:
    """Return the handler that names all methods of a path; Litestar's own names one handler's."""
    allow = ", ".join(sorted({*methods, "OPTIONS"}))

    @route(
        path, http_method=[HttpMethod.OPTIONS], status_code=204, guards=[_Guarded(Access(), None)]
    )
    async def answer() -> Response[None]:
        return Response(None, headers={"allow": allow})

    return answer


class _HeadAnswered(Exception):
    """The response to HEAD is complete; the rest of the handler does not run."""


class _Attended:
    """Cancels handlers that take too long, records reads, and sends no body in reply to HEAD.

    Once a response has started, its time is not limited: events are streamed for hours.
    """

    def __init__(self, app: ASGIApp, deadlines: Deadlines, renderer: Renderer) -> None:
        self._app, self._deadlines, self._renderer = app, deadlines, renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: RequestContext = scope[CALL]
        has_started = False
        refusal: ClinicError | None = None

        async def send_noted(message: Message) -> None:
            nonlocal has_started, refusal
            if message["type"] == "http.response.start":
                if message["status"] < 400 and call.access is not None:
                    try:
                        call.guard.note_read(call, call.access)
                    except ClinicError as error:
                        refusal = error
                        raise
                self._deadlines.release()
                has_started = True
                await send(message)
                if scope["method"] == "HEAD":
                    await send({"type": "http.response.body", "body": b""})
                    raise _HeadAnswered
            else:
                await send(message)

        max_bytes = scope["route_handler"].resolve_request_max_body_size() or BODY_MAX_BYTES
        sent = SentBody(receive, max_bytes, lambda: has_started)
        call.receive, call.form_token = sent, sent.csrf_token
        try:
            await self._deadlines.run(
                cast(Any, self._app)(cast(Any, scope), cast(Any, sent), cast(Any, send_noted))
            )
        except TooLate:
            raise RequestTimeout() from None
        except (LitestarException, _HeadAnswered) as error:
            # Litestar assumes that the response has started, even if nothing was sent.
            if refusal is not None:
                report_refusal(refusal, call)
                await self._renderer(call, refusal)(scope, receive, send)
            elif has_started:
                # The server closes the connection of an incomplete response.
                _report_broken_off(_cause_of(error), call)
            else:
                raise


def _cause_of(error: BaseException) -> BaseException:
    """Return the error that Litestar and task groups have wrapped."""
    while True:
        if isinstance(error, LitestarException) and error.__cause__ is not None:
            error = error.__cause__
        elif isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        else:
            return error


def _report_broken_off(error: BaseException, call: RequestContext) -> None:
    """Log why a response was cut short, unless that was intended."""
    if isinstance(error, ClinicError):
        report_refusal(error, call)
    elif not isinstance(error, _HeadAnswered | ClientGone):
        report(error, call)

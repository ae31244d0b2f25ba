"""The second door: ordinary Litestar handlers (pages, streams, forms) behind access control.

`group` makes a Router of them; `guarded` is the guard that each of them has.
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

#: what a request may send, unless a handler or its group says otherwise: a form
BODY_MAX_BYTES = 4096
#: the request as the kernel knows it: the type of a handler's parameter `call`
Asked = NamedDependency[SkipValidation[RequestContext]]
#: in a handler's `opt`: its group's renderer of refusals
RENDERER = "clinic.renderer"


def call_of(request: Request[Any, Any, Any]) -> RequestContext:
    """Return the request as the kernel knows it: its actor, its context for use cases, its log."""
    return cast(RequestContext, cast(Any, request.scope)[CALL])


@dataclass(frozen=True, slots=True)
class _Guarded:
    """The guard that `guarded` makes."""

    access: Access
    #: None for any
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
    """Return a guard that lets in whom `access` allows, counts the request and audits refusals.

    `query` says which parameters there are, and `call.query` holds them; any other is refused, as
    everywhere. What was read of patients is noted before the response starts.
    """
    return _Guarded(access, query)


def accesses_of(handlers: Sequence[HTTPRouteHandler]) -> list[tuple[str, str, Access]]:
    """Return method, path and access of each handler. Raises ImproperlyConfiguredException for one
    that is not guarded."""
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
    """Return a Litestar Router whose handlers are answered in time and refused by `renderer`.

    HEAD is answered like GET, and a stream is not run for it; OPTIONS names the methods of a path.
    `options` are the Router's own. Raises ImproperlyConfiguredException for a handler that is not
    guarded.
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
            # First, since Litestar adds its own to a path that has none yet.
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
    """Return the handler that names the methods of a path. Litestar's own knows one handler's."""
    allow = ", ".join(sorted({*methods, "OPTIONS"}))

    @route(
        path, http_method=[HttpMethod.OPTIONS], status_code=204, guards=[_Guarded(Access(), None)]
    )
    async def answer() -> Response[None]:
        return Response(None, headers={"allow": allow})

    return answer


class _HeadAnswered(Exception):
    """The response to HEAD is complete; what would follow is not run."""


class _Attended:
    """Ends what does not answer in time, notes what was read, and sends no body to HEAD.

    Once a response has started it may take as long as it likes: events are streamed for hours.
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
            # Where nothing has left, Litestar takes it for started because it had begun to send.
            if refusal is not None:
                report_refusal(refusal, call)
                await self._renderer(call, refusal)(scope, receive, send)
            elif has_started:
                # The server closes the connection of a response that was not ended.
                _report_broken_off(_cause_of(error), call)
            else:
                raise


def _cause_of(error: BaseException) -> BaseException:
    """Return what Litestar and task groups have wrapped."""
    while True:
        if isinstance(error, LitestarException) and error.__cause__ is not None:
            error = error.__cause__
        elif isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        else:
            return error


def _report_broken_off(error: BaseException, call: RequestContext) -> None:
    """Log why a response ended before its end, unless that is how it was meant to."""
    if isinstance(error, ClinicError):
        report_refusal(error, call)
    elif not isinstance(error, _HeadAnswered | ClientGone):
        report(error, call)

"""The second door: ordinary Litestar handlers (pages, streams, forms) behind access control.

`group` makes a Router of them; `guarded` is the guard that each of them has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from litestar import HttpMethod, Router
from litestar.connection import ASGIConnection, Request
from litestar.di import Provide
from litestar.exceptions import ImproperlyConfiguredException, LitestarException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp, Guard
from msgspec import Struct

from clinic.domain.errors import ClinicError
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.deadlines import Deadlines, TooLate
from clinic.entrypoints.http.kernel.decoding import NoQuery, read_query
from clinic.entrypoints.http.kernel.endpoint import CALL
from clinic.entrypoints.http.kernel.problems import RequestTimeout
from clinic.entrypoints.http.kernel.renderers import Renderer, render_problem
from clinic.entrypoints.http.kernel.reply import Message, Receive, Scope, Send
from clinic.entrypoints.http.kernel.request_context import RequestContext

#: in a handler's `opt`: its group's renderer of refusals
RENDERER = "clinic.renderer"


def call_of(request: Request[Any, Any, Any]) -> RequestContext:
    """Return the request as the kernel knows it: its actor, its context for use cases, its log."""
    return cast(RequestContext, cast(Any, request.scope)[CALL])


@dataclass(frozen=True, slots=True)
class _Guarded:
    """The guard that `guarded` makes."""

    access: Access
    query: type[Struct]

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        call: RequestContext = cast(Any, connection.scope)[CALL]
        call.route = connection.scope["path_template"]
        call.access = self.access
        await call.guard.admit(call, self.access)
        if call.scope["query_string"]:
            read_query(call.scope["query_string"], self.query)


def guarded(access: Access, *, query: type[Struct] = NoQuery) -> Guard:
    """Return a guard that lets in whom `access` allows, counts the request and audits refusals.

    `query` says which parameters there are; any other is refused, as everywhere. What was read of
    patients is noted before the response starts.
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
            template = re.sub(r":\w+}", "}", path)
            found += [
                (HttpMethod(method).value, template, guards[0].access)
                for method in handler.http_methods
            ]
    return found


def group(
    path: str,
    handlers: Sequence[HTTPRouteHandler],
    *,
    deadlines: Deadlines,
    renderer: Renderer = render_problem,
    **options: Any,
) -> Router:
    """Return a Litestar Router whose handlers are answered in time and refused by `renderer`.

    HEAD is answered like GET. `options` are the Router's own. Raises ImproperlyConfiguredException
    for a handler that is not guarded.
    """
    accesses_of(handlers)
    for handler in handlers:
        if HttpMethod.GET in handler.http_methods:
            handler.http_methods.add(HttpMethod.HEAD)
    return Router(
        path,
        route_handlers=handlers,
        middleware=[DefineMiddleware(cast(Any, _Attended), deadlines=deadlines, renderer=renderer)],
        opt={RENDERER: renderer},
        dependencies={"call": Provide(call_of, sync_to_thread=False)},
        **options,
    )


class _Attended:
    """Ends what does not answer in time, notes what was read, and sends no body to HEAD.

    Once a response has started it may take as long as it likes: events are streamed for hours.
    """

    def __init__(self, app: ASGIApp, deadlines: Deadlines, renderer: Renderer) -> None:
        self._app, self._deadlines, self._renderer = app, deadlines, renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: RequestContext = scope[CALL]
        refusal: ClinicError | None = None

        async def send_noted(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start":
                if message["status"] < 400 and call.access is not None:
                    try:
                        call.guard.note_read(call, call.access)
                    except ClinicError as error:
                        refusal = error
                        raise
                self._deadlines.release()
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._deadlines.run(
                cast(Any, self._app)(cast(Any, scope), cast(Any, receive), cast(Any, send_noted))
            )
        except TooLate:
            raise RequestTimeout() from None
        except LitestarException:
            # Nothing has left yet: Litestar takes it for started because it had begun to send.
            if refusal is None:
                raise
            await self._renderer(call, refusal)(scope, receive, send)

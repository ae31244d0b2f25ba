"""How JSON handlers are declared, and the steps before and after each of them.

Handlers are mounted as plain ASGI: Litestar does the routing, and every booking saves the cost of
its parsing and response classes (docs/decisions/015-http-endpoints.md).
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from litestar.connection import Request
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler, asgi, route
from litestar.types import ASGIApp
from msgspec import Struct

from clinic.domain.errors import ClinicError, InvalidInput
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.kernel.access import Access
from clinic.entrypoints.http.kernel.access_log import report, report_refusal
from clinic.entrypoints.http.kernel.deadlines import Deadlines, TooLate
from clinic.entrypoints.http.kernel.decoding import NoQuery, read_json, read_query
from clinic.entrypoints.http.kernel.problems import InternalError, MethodNotAllowed, RequestTimeout
from clinic.entrypoints.http.kernel.renderers import render_problem
from clinic.entrypoints.http.kernel.reply import NO_REPLY, Reply
from clinic.entrypoints.http.kernel.request_context import ClientGone, RequestContext

CALL = "clinic.call"


class KeyPolicy(Enum):
    """Whether an endpoint takes an Idempotency-Key."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Condition(Enum):
    """Which conditional header an endpoint evaluates."""

    NONE = "none"
    IF_NONE_MATCH = "If-None-Match"
    IF_MATCH = "If-Match"


NO_OTHERS: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Documentation:
    """What the documentation says about an endpoint, besides its parameters and body."""

    tag: str
    summary: str
    status: int
    answers: Any
    refuses: tuple[type[ClinicError], ...]
    headers: tuple[str, ...]
    #: further statuses of success, with the same body, and what they mean
    also: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one resource: its access rules, inputs, responses and handler."""

    method: str
    path: str
    handle: Callable[..., Awaitable[Reply]]
    access: Access
    says: Documentation
    key: KeyPolicy
    condition: Condition
    body: type[Struct] | None
    query: type[Struct] | None
    #: path parameters: those that are ids, and those that are any text
    path_ids: tuple[str, ...]
    path_names: tuple[str, ...]
    #: the handler reads query and body itself
    is_raw: bool

    @property
    def description(self) -> str:
        return inspect.getdoc(self.handle) or ""

    async def answer(self, call: RequestContext) -> Reply:
        """Return the reply. Raises any ClinicError that refuses the request."""
        guard = call.guard
        try:
            await guard.admit(call, self.access)
            reply = await self._handle(call)
        except ClinicError as error:
            guard.note_refusal(call, error)
            raise
        guard.note_read(call, self.access)
        return reply

    async def _handle(self, call: RequestContext) -> Reply:
        if self.is_raw:
            return await self.handle(call)
        try:
            arguments = self._arguments(call)
            if self.body is not None:
                arguments["body"] = read_json(await call.read_body() or b"{}", self.body)
            return await self.handle(call, **arguments)
        except InvalidInput:
            if not self.access.checks_session:
                # An ended session takes precedence over validation errors.
                await call.guard.check_session(call)
            raise

    def _arguments(self, call: RequestContext) -> dict[str, object]:
        """Return the handler's arguments from path and query. Raises NotFound, InvalidInput."""
        arguments: dict[str, object] = {name: call.path_id(name) for name in self.path_ids}
        for name in self.path_names:
            arguments[name] = call.scope["path_params"][name]
        query = call.scope["query_string"]
        if self.query is not None:
            arguments["query"] = read_query(query, self.query)
        elif query:
            read_query(query, NoQuery)
        return arguments


def endpoint(
    method: str,
    path: str,
    *,
    tag: str,
    summary: str,
    answers: Any,
    needs: Operation | None,
    status: int = 200,
    also: Mapping[int, str] = NO_OTHERS,
    refuses: Sequence[type[ClinicError]] = (),
    key: KeyPolicy = KeyPolicy.NONE,
    condition: Condition = Condition.NONE,
    headers: Sequence[str] = (),
    rate: RateClass | None = None,
    is_limited: bool = True,
    knows_actor: bool = False,
    checks_session: bool = True,
    is_raw: bool = False,
) -> Callable[[Callable[..., Awaitable[Reply]]], Endpoint]:
    """Make a handler an Endpoint. The handler's parameters say what it takes: `body` and `query` by
    their Structs; all others are path parameters, ids (UUID) or names (str). With `is_raw` it takes
    only the call."""

    def declare(handle: Callable[..., Awaitable[Reply]]) -> Endpoint:
        parameters = inspect.signature(handle).parameters
        kinds = {name: parameter.annotation for name, parameter in parameters.items()}
        parts = [name for name in kinds if name not in ("call", "body", "query")]
        assert all(f"{{{name}}}" in path and kinds[name] in (UUID, str) for name in parts), path
        return Endpoint(
            method,
            path,
            handle,
            Access(needs, rate, is_limited, knows_actor, checks_session),
            Documentation(
                tag, summary, status, answers, tuple(refuses), tuple(headers), tuple(also.items())
            ),
            key=key,
            condition=condition,
            body=kinds.get("body"),
            query=kinds.get("query"),
            path_ids=tuple(name for name in parts if kinds[name] is UUID),
            path_names=tuple(name for name in parts if kinds[name] is str),
            is_raw=is_raw,
        )

    return declare


def mount(
    endpoints: Iterable[Endpoint], *, deadlines: Deadlines
) -> list[ASGIRouteHandler | HTTPRouteHandler]:
    """Return one Litestar handler for each path, which serves all of the path's methods."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for one in endpoints:
        methods = by_path.setdefault(one.path, {})
        assert one.method not in methods, f"{one.method} {one.path} stands twice"
        methods[one.method] = one
    return [_Resource(path, methods, deadlines).handler() for path, methods in by_path.items()]


class _Resource:
    """The endpoints of one path as one Litestar handler."""

    def __init__(self, path: str, methods: dict[str, Endpoint], deadlines: Deadlines) -> None:
        self._path = path
        self._methods = {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods
        self._allow = sorted({*self._methods, "OPTIONS"})
        self._deadlines = deadlines

    def handler(self) -> ASGIRouteHandler | HTTPRouteHandler:
        # Litestar finds path parameters only for handlers with methods, which plain ASGI handlers
        # lack; so these paths use an ordinary handler, which costs about 15 µs.
        if "{" not in self._path:
            return asgi(self._path, name=self._path, copy_scope=False)(self.serve)
        path = self._path.replace("}", ":str}")
        # Includes OPTIONS, which Litestar would otherwise answer itself, uncounted.
        methods: list[Any] = self._allow
        made = route(path, name=self._path, http_method=methods, status_code=200)
        return made(self.respond)

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        reply = await self._reply(scope[CALL])
        await reply(scope, receive, send)

    async def respond(self, request: Request[Any, Any, Any]) -> ASGIApp:
        reply: Any = await self._reply(cast(Any, request.scope)[CALL])
        return cast(ASGIApp, reply)

    async def _reply(self, call: RequestContext) -> Reply:
        """Return the reply, or a rendered problem for any error."""
        call.route = self._path
        chosen = self._methods.get(call.method)
        try:
            work = chosen.answer(call) if chosen else self._answer_other(call)
            return await self._deadlines.run(work)
        except TooLate:
            return render_problem(call, RequestTimeout())
        except ClinicError as error:
            report_refusal(error, call)
            return render_problem(call, error)
        except ClientGone:
            return NO_REPLY
        except Exception as error:  # noqa: BLE001 - the last resort for bugs
            report(error, call)
            return render_problem(call, InternalError())

    async def _answer_other(self, call: RequestContext) -> Reply:
        """Answer OPTIONS with the path's methods. Raises MethodNotAllowed, QuotaExceeded."""
        await call.guard.count_stray(call)
        if call.method != "OPTIONS":
            raise MethodNotAllowed(allow=self._allow)
        return Reply(204, headers=[(b"allow", ", ".join(self._allow).encode())])

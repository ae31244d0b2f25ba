"""The GraphQL endpoint: one address, queries by GET and POST, mutations by POST."""

from typing import Any

import graphql as g
import msgspec
from graphql.execution.values import get_variable_values

from clinic.domain.errors import ClinicError, InvalidInput
from clinic.domain.permissions import Operation
from clinic.domain.rate_limits import RateClass
from clinic.entrypoints.http.graphql.compiled import NotPlain
from clinic.entrypoints.http.graphql.context import QueryContext
from clinic.entrypoints.http.graphql.documents import (
    ERRORS_MAX,
    Documents,
    Prepared,
    Refusal,
    with_words,
)
from clinic.entrypoints.http.graphql.limits import LimitExceeded, check_page_sizes
from clinic.entrypoints.http.graphql.mutations import PATH
from clinic.entrypoints.http.graphql.requests import (
    GRAPHQL_TYPE,
    JSON_TYPE,
    GraphqlRequest,
    answer_type,
    read_body,
    read_query_string,
)
from clinic.entrypoints.http.graphql.schema import CORE, SCHEMA
from clinic.entrypoints.http.kernel.access_log import report
from clinic.entrypoints.http.kernel.endpoint import Endpoint, endpoint
from clinic.entrypoints.http.kernel.problems import InternalError, MethodNotAllowed, NotAcceptable
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import given

#: status for data and errors together; a client that accepts only plain JSON gets 200
PARTIAL = 294
_encode = msgspec.json.Encoder().encode


def graphql_endpoints(*, introspection: bool) -> list[Endpoint]:
    """Return the endpoints to mount."""
    documents = Documents(introspection=introspection)
    return [_endpoint(method, documents) for method in ("GET", "POST")]


async def _answer(call: RequestContext, documents: Documents) -> Reply:
    media_type = answer_type(call.headers.get(b"accept"))
    if media_type is None:
        raise NotAcceptable(f"Accept {GRAPHQL_TYPE.decode()} or {JSON_TYPE.decode()}.")
    by_post = call.method == "POST"
    try:
        asked = (
            read_body(await call.read_body())
            if by_post
            else read_query_string(call.scope["query_string"])
        )
        prepared = documents.prepare(asked.query, given(asked.operation_name))
        if not prepared.is_query:
            if not by_post:
                raise MethodNotAllowed("Mutations are sent by POST.", allow=["POST"])
            await call.guard.count_changes(call, prepared.asks.changes)
        context = QueryContext(call, call.services, call.actor, prepared.document)
        data, errors = await execute(prepared, asked, context)
    except Refusal as refusal:
        # Use the media type that GraphQL clients trust with any status.
        body: dict[str, Any] = {
            "errors": [_formatted(error, refusal.code) for error in refusal.errors]
        }
        return Reply(refusal.status, _encode(body), [], GRAPHQL_TYPE)
    if not errors:
        return Reply(200, _encode({"data": data}), [], media_type)
    body = {"errors": [told(error, call) for error in errors], "data": data}
    return Reply(200 if media_type == JSON_TYPE else PARTIAL, _encode(body), [], media_type)


Result = tuple[dict[str, Any] | None, list[g.GraphQLError]]


async def execute(prepared: Prepared, asked: GraphqlRequest, context: QueryContext) -> Result:
    """Return data and errors of a prepared document. Raises Refusal for wrong variables."""
    inputs = asked.variables or {}
    definitions = prepared.operation.variable_definitions or ()
    variables = get_variable_values(CORE, definitions, inputs, ERRORS_MAX, hide_suggestions=True)
    if isinstance(variables, list):
        raise Refusal(422, "invalid_variables", *map(with_words, variables))
    try:
        check_page_sizes(prepared.asks, variables.coerced)
    except LimitExceeded as limit:
        raise Refusal(422, limit.code, limit) from None
    if prepared.plan is not None:
        try:
            return await prepared.plan.execute(variables, context), []
        except NotPlain:
            # Keep nothing from the first attempt, so that the answer is Strawberry's alone.
            context = context.afresh()
    return await execute_stock(asked, context)


async def execute_stock(asked: GraphqlRequest, context: QueryContext) -> Result:
    """Return data and errors as executed by Strawberry."""
    result = await SCHEMA.execute(
        asked.query,
        variable_values=asked.variables or {},
        context_value=context,
        operation_name=given(asked.operation_name),
    )
    return result.data, list(result.errors or ())


def told(error: g.GraphQLError, call: RequestContext) -> dict[str, Any]:
    """Return an execution error as shown to the client: ours in full, others masked."""
    cause = error.original_error
    if not isinstance(cause, ClinicError):
        report(cause or error, call)
        cause = InternalError()
    call.guard.note_refusal(call, cause)
    formatted = _formatted(error, cause.code)
    formatted["message"] = cause.message
    if isinstance(cause, InvalidInput) and cause.pointer:
        formatted["extensions"]["pointer"] = cause.pointer.lstrip("/")
    return formatted


def _formatted(error: g.GraphQLError, code: str) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    formatted["extensions"] = {"code": code}
    return formatted


def _endpoint(method: str, documents: Documents) -> Endpoint:
    # For every signed-in user; each field checks the permission for its own operation.
    @endpoint(
        method,
        PATH,
        tag="GraphQL",
        summary="Ask GraphQL",
        answers=None,
        needs=Operation.READ_CLINIC,
        rate=RateClass.READ,
        is_raw=True,
    )
    async def graphql(call: RequestContext) -> Reply:
        return await _answer(call, documents)

    return graphql

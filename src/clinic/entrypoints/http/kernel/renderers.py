"""Renderers of refusals, one for each group of handlers; problems.py decides the status."""

from collections.abc import Callable

import msgspec

from clinic.domain.errors import ClinicError, InvalidInput
from clinic.entrypoints.http.kernel.problems import (
    InternalError,
    problem_headers,
    problem_reply,
    status_of,
)
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext

#: makes the response to a refused request; may read only the request and the error
Renderer = Callable[[RequestContext, ClinicError], Reply]

FHIR_TYPE = b"application/fhir+json"
#: the code of an OperationOutcome's issue, by status (FHIR R4, issue-type)
_ISSUES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    414: "too-long",
    415: "not-supported",
    422: "business-rule",
    428: "required",
    429: "throttled",
    431: "too-long",
    503: "transient",
}
_encode = msgspec.json.Encoder().encode


def render_problem(call: RequestContext, error: ClinicError) -> Reply:
    """Return the refusal as problem+json (RFC 9457)."""
    return problem_reply(error, instance=call.path, request_id=call.request_id)


def render_outcome(call: RequestContext, error: ClinicError) -> Reply:
    """Return the refusal as a FHIR OperationOutcome, with our code among its details."""
    status = status_of(type(error))
    issue: dict[str, object] = {
        "severity": "fatal" if status >= 500 else "error",
        "code": _ISSUES.get(status, "exception"),
        "details": {"coding": [{"code": error.code}]},
    }
    if not isinstance(error, InternalError):
        issue["diagnostics"] = error.message
    if isinstance(error, InvalidInput) and error.pointer:
        issue["expression"] = [error.pointer]
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return Reply(status, _encode(body), problem_headers(error), FHIR_TYPE)

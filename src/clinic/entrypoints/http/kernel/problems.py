"""Maps errors to RFC 9457 problems; the domain itself knows no HTTP."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from clinic.domain.errors import (
    AnswerErased,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    NotSignedIn,
    PermissionDenied,
    PolicyRefused,
    QuotaExceeded,
    TemporaryFailure,
    VersionMismatch,
    VersionMissing,
    every_error,
)
from clinic.domain.idempotency import Answer
from clinic.entrypoints.http.kernel.reply import PROBLEM_TYPE, Headers, Reply

PROBLEMS_PATH = "/problems/"
#: registered problem types, by our code
REGISTERED_TYPES = {
    "quota_exceeded": "https://iana.org/assignments/http-problem-types#quota-exceeded"
}


# --- refusals specific to HTTP -------------------------------------------------------------------


class MalformedJson(InvalidInput):
    """The body is not valid JSON in UTF-8."""

    code = "malformed_json"


class UnknownParameter(InvalidInput):
    """The query has a parameter that does not exist here."""

    code = "unknown_parameter"


class InvalidCursor(InvalidInput):
    """The cursor is not one of this list; start again without it."""

    code = "invalid_cursor"


class BadRequest(InvalidInput):
    """The request does not follow HTTP."""

    code = "bad_request"


class MethodNotAllowed(ClinicError):
    """This resource does not support the method; see Allow."""

    code = "method_not_allowed"


class NotAcceptable(ClinicError):
    """None of the media types in Accept can be answered with."""

    code = "not_acceptable"


class BodyTooLarge(ClinicError):
    """The request body is too large."""

    code = "body_too_large"


class UnsupportedMediaType(ClinicError):
    """Send the body as application/json."""

    code = "unsupported_media_type"


class RequestTimeout(TemporaryFailure):
    """This took too long, and may or may not have been done; send it again with the same key."""

    code = "timeout"


class AddressTooLong(ClinicError):
    """The address of the request is too long."""

    code = "address_too_long"


class HeadersTooLarge(ClinicError):
    """The headers of the request are too large or too many."""

    code = "headers_too_large"


class HeadersTooSlow(ClinicError):
    """The headers of the request took too long to arrive."""

    code = "headers_too_slow"


class TooManyConnections(TemporaryFailure):
    """There are too many connections; nothing was changed, send it again."""

    code = "too_many_connections"


class InternalError(ClinicError):
    """Something went wrong on our side."""

    code = "internal_error"


#: an error's nearest base class in this map decides its status
STATUS_OF: Mapping[type[ClinicError], int] = {
    InvalidInput: 400,
    NotSignedIn: 401,
    PermissionDenied: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    HeadersTooSlow: 408,
    Conflict: 409,
    AnswerErased: 410,
    VersionMismatch: 412,
    BodyTooLarge: 413,
    AddressTooLong: 414,
    UnsupportedMediaType: 415,
    IdempotencyKeyReused: 422,
    PolicyRefused: 422,
    VersionMissing: 428,
    QuotaExceeded: 429,
    HeadersTooLarge: 431,
    ClinicError: 500,
    TemporaryFailure: 503,
}

#: codes of a whole family, or of several refusals in one; no response has them
ABSTRACT = frozenset({"clinic_error", "policy_refused", "conflict", "bookings_refused"})


def answered_errors() -> tuple[type[ClinicError], ...]:
    """Return every type of error that a response can name, one for each code."""
    by_code = {kind.code: kind for kind in reversed(every_error()) if kind.code not in ABSTRACT}
    return tuple(by_code[code] for code in sorted(by_code))


#: a cache of statuses and titles; a lost race needs both at once
_known: dict[type[ClinicError], tuple[int, str]] = {}


def status_of(kind: type[ClinicError]) -> int:
    """Return the HTTP status for errors of this kind."""
    return _status_and_title(kind)[0]


def title_of(kind: type[ClinicError]) -> str:
    """Return the title, which is the same for every problem of this kind."""
    return _status_and_title(kind)[1]


def type_of(kind: type[ClinicError]) -> str:
    """Return the URI that names problems of this kind."""
    return REGISTERED_TYPES.get(kind.code, PROBLEMS_PATH + kind.code)


def _status_and_title(kind: type[ClinicError]) -> tuple[int, str]:
    if kind not in _known:
        status = next(STATUS_OF[base] for base in kind.__mro__ if base in STATUS_OF)
        _known[kind] = status, kind.meaning
    return _known[kind]


class ManyFaults(InvalidInput):
    """The request is not valid."""

    def __init__(self, faults: list[dict[str, str]]) -> None:
        super().__init__(faults[0]["detail"] if len(faults) == 1 else None)
        self.faults = faults


_encode = msgspec.json.Encoder().encode


def problem_body(error: ClinicError, *, instance: str, request_id: str) -> bytes:
    """Return the problem as JSON. Facts are added to the standard members, never replacing one."""
    kind = type(error)
    problem: dict[str, Any] = {
        "type": type_of(kind),
        "title": title_of(kind),
        "status": status_of(kind),
        "detail": error.message,
        "instance": instance,
        "code": error.code,
        "requestId": request_id,
    }
    if kind is InternalError:
        del problem["detail"]
    faults = _faults(error)
    if faults:
        problem["errors"] = faults
    for name, value in _facts(error).items():
        problem.setdefault(name, value)
    return _encode(problem)


def problem_answer(error: ClinicError, *, instance: str, request_id: str) -> Answer:
    """Return the problem as the answer that is stored for an idempotency key."""
    body = problem_body(error, instance=instance, request_id=request_id)
    return Answer(status_of(type(error)), body)


def problem_reply(error: ClinicError, *, instance: str, request_id: str) -> Reply:
    """Return the problem as a response, with the headers that belong to it."""
    body = problem_body(error, instance=instance, request_id=request_id)
    return Reply(status_of(type(error)), body, problem_headers(error), PROBLEM_TYPE)


def problem_headers(error: ClinicError) -> Headers:
    """Return the headers that belong to a problem of this kind."""
    if isinstance(error, NotSignedIn):
        return [(b"www-authenticate", b'Bearer realm="clinic"')]
    if isinstance(error, TemporaryFailure | IdempotencyConflict):
        return [(b"retry-after", b"1")]
    if isinstance(error, QuotaExceeded):
        return [(b"retry-after", b"%d" % error.facts["retryAfterS"])]
    if isinstance(error, IdempotencyKeyMissing):
        target = PROBLEMS_PATH + error.code
        return [(b"link", f'<{target}>; rel="describedby"'.encode())]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", ", ".join(error.facts["allow"]).encode())]
    return []


def _faults(error: ClinicError) -> list[dict[str, str]]:
    """Return the faults, each with a JSON pointer into the body or a parameter's name."""
    if isinstance(error, ManyFaults):
        return error.faults
    if isinstance(error, InvalidInput) and error.pointer:
        return [fault(error.pointer, error.message)]
    return []


def fault(pointer: str, detail: str) -> dict[str, str]:
    """Return one fault; if `pointer` does not look like a JSON pointer, it names a parameter."""
    where = "pointer" if not pointer or pointer.startswith("/") else "parameter"
    return {where: pointer, "detail": detail}


#: converters of an error's facts to JSON, by the name of a fact that is not plain data
FACTS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {}


def _facts(error: ClinicError) -> Mapping[str, Any]:
    for name, write in FACTS.items():
        if name in error.facts:
            return write(error.facts)
    return error.facts

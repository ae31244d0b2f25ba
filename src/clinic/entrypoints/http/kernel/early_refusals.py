"""Responses to connections that are refused before there is a request, made once."""

from http import HTTPStatus

import msgspec

from clinic.domain.errors import ClinicError
from clinic.entrypoints.http.kernel.middleware import DEFAULTS
from clinic.entrypoints.http.kernel.problems import (
    AddressTooLong,
    BadRequest,
    HeadersTooLarge,
    HeadersTooSlow,
    TooManyConnections,
    problem_body,
    problem_headers,
    status_of,
)
from clinic.entrypoints.http.kernel.reply import PROBLEM_TYPE


def early_refusal(error: ClinicError) -> bytes:
    """Return the problem as a complete HTTP response, which ends the connection.

    It has neither `instance` nor `requestId`, since there is no request yet.
    """
    problem = msgspec.json.decode(problem_body(error, instance="", request_id=""))
    del problem["instance"], problem["requestId"]
    body = msgspec.json.encode(problem)
    status = status_of(type(error))
    headers = [
        (b"content-type", PROBLEM_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *problem_headers(error),
        *DEFAULTS,
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join([*lines, b"", body])


MALFORMED = early_refusal(BadRequest())
ADDRESS_TOO_LONG = early_refusal(AddressTooLong())
HEADERS_TOO_LARGE = early_refusal(HeadersTooLarge())
HEADERS_TOO_SLOW = early_refusal(HeadersTooSlow())
TOO_MANY_CONNECTIONS = early_refusal(TooManyConnections())

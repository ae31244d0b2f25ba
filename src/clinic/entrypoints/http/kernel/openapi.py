"""Makes the OpenAPI 3.1 document from the endpoints' declarations."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct

from clinic.domain.errors import (
    AnswerErased,
    AuditUnavailable,
    ClinicError,
    ForgedRequest,
    IdempotencyConflict,
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    NotSignedIn,
    OutcomeUnknown,
    PermissionDenied,
    PolicyRefused,
    QuotaExceeded,
    TemporaryFailure,
    VersionMismatch,
    VersionMissing,
)
from clinic.domain.idempotency import KEY_MAX_CHARS, KEY_MIN_CHARS
from clinic.domain.permissions import PATIENT_DATA
from clinic.entrypoints.http.kernel.endpoint import Condition, Endpoint, KeyPolicy
from clinic.entrypoints.http.kernel.paging import PageQuery
from clinic.entrypoints.http.kernel.problems import (
    BodyTooLarge,
    InternalError,
    InvalidCursor,
    MalformedJson,
    RequestTimeout,
    UnknownParameter,
    UnsupportedMediaType,
    status_of,
    title_of,
    type_of,
)
from clinic.entrypoints.http.kernel.schemas import ItemsOut, ProblemOut

#: version of the interface; increases with every change visible to callers
VERSION = "1.0.0"
_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"
_EXAMPLES = "#/components/examples/"
_DESCRIPTION = """Appointments at a clinic; a slot is never booked twice.

Send a bearer token with everything but health and documentation; the clinic of a request is the
token's. Times are RFC 3339 with an offset. Every POST needs an `Idempotency-Key` of your making: a
repeated request with the same key gets the same answer, kept for at least 24 hours, and nothing is
done twice. Whatever is refused is answered with a problem (RFC 9457) whose `code` is stable."""

_HEADERS: dict[str, Any] = {
    "Location": ("Where it is", "/appointments/0199f0a0-0000-7000-8000-000000000005"),
    "ETag": ("Identifies this version; send it back as If-Match or If-None-Match", '"1"'),
    "Link": ("The first, next and previous pages", '</slots?cursor=AAYg>; rel="next"'),
    "Idempotency-Replayed": ("Present when this answer was given before", "true"),
    "X-Request-Id": ("Names this request in logs and audit trail", "9c1e3f5a7b2d4e60-1a2b"),
    "WWW-Authenticate": ("How to sign in", 'Bearer realm="clinic"'),
    "Retry-After": ("Seconds to wait", "1"),
    "RateLimit-Policy": ("The limits that hold here", '"write";q=3000;w=60'),
    "RateLimit": ("What is left of them, and seconds until more is", '"write";r=2999;t=60'),
    "Set-Cookie": ("The session cookie, when a cookie was asked for", "__Host-clinic=…; Secure"),
}
LIMITED = ["Retry-After", "RateLimit-Policy", "RateLimit"]
_PARAMETERS: dict[str, Any] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": f"Made by you, once for each thing to be done: {KEY_MIN_CHARS} to"
        f" {KEY_MAX_CHARS} printable ASCII characters, in double quotes or bare.",
        "schema": {"type": "string", "minLength": KEY_MIN_CHARS, "maxLength": KEY_MAX_CHARS + 2},
        "example": "9b2f2d9e-6c0a-4a4e-8f0e-1f6f3f0a7c11",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The ETag that was read last, or `*`.",
        "schema": {"type": "string"},
        "example": '"1"',
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of a copy: 304 when it is still right.",
        "schema": {"type": "string"},
        "example": '"1"',
    },
}
_PARAMETERS["OptionalIdempotencyKey"] = {**_PARAMETERS["IdempotencyKey"], "required": False}
_PARAMETERS["IdempotencyKeyUnlessPreview"] = {
    **_PARAMETERS["OptionalIdempotencyKey"],
    "description": _PARAMETERS["IdempotencyKey"]["description"]
    + " Required, except with `preview=true`, which ignores it.",
}


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples in the document: by type of body, and by code the further members of a refusal."""

    bodies: Mapping[Any, Any]
    refusals: Mapping[str, Mapping[str, Any]]


def document(endpoints: Sequence[Endpoint], examples: Examples) -> dict[str, Any]:
    """Return the OpenAPI document of `endpoints`."""
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        path = re.sub(r"\{(\w+)\}", lambda part: f"{{{_camel(part[1])}}}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, examples)
    refusals = {kind.code: kind for one in endpoints for kind in _refusals(one)}
    kinds = dict(sorted(refusals.items()))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Clinic",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.says.tag for one in endpoints)],
        "paths": paths,
        "components": {
            "schemas": _schemas(endpoints),
            "responses": {code: _problem(status_of(kind), [kind]) for code, kind in kinds.items()},
            "examples": {
                code: {"value": _example_of(kind, examples)} for code, kind in kinds.items()
            },
            "parameters": _PARAMETERS,
            "headers": {
                name: {"description": text, "schema": {"type": "string"}, "example": example}
                for name, (text, example) in _HEADERS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(one: Endpoint, examples: Examples) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _camel(one.handle.__name__),
        "tags": [one.says.tag],
        "summary": one.says.summary,
        "security": _security(one),
        "parameters": list(_parameters(one)),
        "responses": _responses(one, examples),
    }
    if one.description:
        operation["description"] = one.description
    if one.body is not None:
        needed = any(field.required for field in msgspec.structs.fields(one.body))
        operation["requestBody"] = {
            "required": needed,
            "content": {"application/json": _content(one.body, examples)},
        }
    return operation


def _security(one: Endpoint) -> list[dict[str, Any]]:
    bearer: dict[str, Any] = {"bearer": []}
    if one.access.needs:
        return [bearer]
    return [{}, bearer] if one.access.knows_actor else []


def _parameters(one: Endpoint) -> Iterable[dict[str, Any]]:
    for name in one.path_ids:
        schema = {"type": "string", "format": "uuid"}
        yield {"name": _camel(name), "in": "path", "required": True, "schema": schema}
    for name in one.path_names:
        schema = {"type": "string"}
        yield {"name": _camel(name), "in": "path", "required": True, "schema": schema}
    if one.query is not None:
        needed = {each.encode_name for each in msgspec.structs.fields(one.query) if each.required}
        for name, schema in _properties(one.query).items():
            text = schema.pop("description", None)
            described = {"description": text} if text else {}
            required = {"required": True} if name in needed else {}
            yield {"name": name, "in": "query", **described, **required, "schema": schema}
    if one.key is not KeyPolicy.NONE:
        yield _parameter(_key_parameter(one))
    if one.condition is not Condition.NONE:
        yield _parameter("IfMatch" if one.condition is Condition.IF_MATCH else "IfNoneMatch")


def _key_parameter(one: Endpoint) -> str:
    if one.key is not KeyPolicy.REQUIRED:
        return "OptionalIdempotencyKey"
    return "IdempotencyKeyUnlessPreview" if _can_preview(one) else "IdempotencyKey"


def _can_preview(one: Endpoint) -> bool:
    return one.query is not None and "preview" in one.query.__struct_fields__


def _parameter(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/parameters/{name}"}


def _responses(one: Endpoint, examples: Examples) -> dict[str, Any]:
    names = [*one.says.headers, "X-Request-Id"]
    if one.key is not KeyPolicy.NONE:
        names.append("Idempotency-Replayed")
    bare: dict[str, Any] = {"description": one.says.summary, "headers": _headers(names)}
    success = bare
    if one.says.answers is not None:
        success = {**bare, "content": {"application/json": _content(one.says.answers, examples)}}
    responses = {str(one.says.status): bare if one.says.status == 204 else success}
    responses |= {str(status): {**success, "description": says} for status, says in one.says.also}
    if one.condition is Condition.IF_NONE_MATCH:
        kept = {"description": "The copy is still right", "headers": _headers(["ETag"])}
        responses["304"] = kept
    by_status: dict[int, list[type[ClinicError]]] = {}
    for kind in _refusals(one):
        by_status.setdefault(status_of(kind), []).append(kind)
    for status, kinds in sorted(by_status.items()):
        alone = len(kinds) == 1
        shared = {"$ref": f"{_RESPONSES}{kinds[0].code}"}
        responses[str(status)] = shared if alone else _problem(status, kinds)
    return responses


def _refusals(one: Endpoint) -> list[type[ClinicError]]:
    """Return every type of error that the endpoint can be refused with, each once."""
    kinds: list[type[ClinicError]] = [UnknownParameter, *one.says.refuses]
    if one.access.needs is not None:
        kinds += [NotSignedIn, PermissionDenied, QuotaExceeded]
        if one.method != "GET":
            kinds += [ForgedRequest, OutcomeUnknown]
        if one.access.needs in PATIENT_DATA or _can_preview(one):
            kinds.append(AuditUnavailable)
    if one.path_ids:
        kinds.append(NotFound)
    if one.body is not None:
        kinds += [InvalidInput, MalformedJson, BodyTooLarge, UnsupportedMediaType]
    if one.query is not None:
        kinds.append(InvalidInput)
        if issubclass(one.query, PageQuery):
            kinds.append(InvalidCursor)
    if one.key is KeyPolicy.REQUIRED:
        kinds.append(IdempotencyKeyMissing)
    if one.key is not KeyPolicy.NONE:
        kinds += [IdempotencyKeyMalformed, IdempotencyKeyReused]
        kinds += [IdempotencyConflict, AnswerErased]
    if one.condition is Condition.IF_MATCH:
        kinds += [VersionMissing, VersionMismatch]
    if one.access.needs is not None:
        kinds += [TemporaryFailure, RequestTimeout]
    # Replace a family by its members, each of which has its own example.
    spread = [leaf for kind in [*kinds, InternalError] for leaf in _leaves(kind)]
    return list(dict.fromkeys(spread))


def _leaves(kind: type[ClinicError]) -> list[type[ClinicError]]:
    return list(kind.__subclasses__()) if kind is PolicyRefused else [kind]


def _problem(status: int, kinds: Sequence[type[ClinicError]]) -> dict[str, Any]:
    names = ["X-Request-Id"]
    names += {401: ["WWW-Authenticate"], 429: LIMITED, 503: ["Retry-After"]}.get(status, [])
    return {
        "description": ", ".join(f"`{kind.code}`" for kind in kinds),
        "headers": _headers(names),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": f"{_SCHEMAS}Problem"},
                "examples": {kind.code: {"$ref": f"{_EXAMPLES}{kind.code}"} for kind in kinds},
            }
        },
    }


def _example_of(kind: type[ClinicError], examples: Examples) -> dict[str, Any]:
    return {
        "type": type_of(kind),
        "title": title_of(kind),
        "status": status_of(kind),
        "detail": title_of(kind),
        "instance": "/appointments",
        "code": kind.code,
        "requestId": "0199f0a000007000800000000000000a",
        **examples.refusals.get(kind.code, {}),
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _content(kind: Any, examples: Examples) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"{_SCHEMAS}{_name(_msgspec_name(kind))}"}}
    example = example_of(kind, examples.bodies)
    if example is not None:
        content["example"] = example
    return content


def example_of(kind: Any, bodies: Mapping[Any, Any]) -> Any:
    """Return the example of a body; for a list, one page with one item."""
    if get_origin(kind) is ItemsOut:
        item = bodies.get(get_args(kind)[0])
        return None if item is None else {"items": [item], "next": None}
    return bodies.get(kind)


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    kinds: list[Any] = [ProblemOut]
    for one in endpoints:
        kinds += [kind for kind in (one.body, one.says.answers) if kind is not None]
    unique = list(dict.fromkeys(kinds))
    _, schemas = msgspec.json.schema_components(unique, ref_template=f"{_SCHEMAS}{{name}}")
    text = json.dumps(schemas)
    for name in sorted(schemas, key=len, reverse=True):
        text = text.replace(f'"{_SCHEMAS}{name}"', f'"{_SCHEMAS}{_name(name)}"')
    renamed = {_name(name): schema for name, schema in json.loads(text).items()}
    for name, schema in renamed.items():
        schema["title"] = name
    return dict(sorted(renamed.items()))


def _properties(query: type[Struct]) -> dict[str, Any]:
    """Return the schema of each parameter, with references resolved."""
    _, schemas = msgspec.json.schema_components([query], ref_template="{name}")
    own = schemas.pop(query.__name__)["properties"]
    resolved: dict[str, Any] = json.loads(
        re.sub(r'\{"\$ref": "(\w+)"\}', lambda ref: json.dumps(schemas[ref[1]]), json.dumps(own))
    )
    return resolved


def _msgspec_name(kind: Any) -> str:
    if get_origin(kind) is ItemsOut:
        return f"ItemsOut_{get_args(kind)[0].__name__}_"
    name: str = kind.__name__
    return name


def _name(name: str) -> str:
    """Return the public name of a Struct: AppointmentOut is Appointment, BookIn is BookRequest."""
    listed = re.fullmatch(r"ItemsOut_(\w+?)Out_", name)
    if listed:
        return f"{listed[1]}List"
    if name.endswith("In"):
        return f"{name.removesuffix('In')}Request"
    return name.removesuffix("Out")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)

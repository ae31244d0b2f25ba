"""GraphQL over HTTP: decodes requests and chooses the media type of responses."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Struct, UnsetType

from clinic.entrypoints.http.graphql.documents import Refusal
from clinic.entrypoints.http.kernel.decoding import refuse_repeated_names
from clinic.entrypoints.http.kernel.problems import MalformedJson

GRAPHQL_TYPE = b"application/graphql-response+json"
JSON_TYPE = b"application/json"
_PARAMETERS_MAX = 32


class GraphqlRequest(Struct, rename="camel", frozen=True):
    """The known members of a request; others are ignored, as the specification says."""

    query: str
    variables: dict[str, Any] | UnsetType | None = UNSET
    operation_name: str | UnsetType | None = UNSET
    extensions: dict[str, Any] | UnsetType | None = UNSET


_decode = msgspec.json.Decoder(GraphqlRequest).decode
# Matches every member once, however its name is spelled, and perhaps parts of string values.
_members = re.compile(rb'"[ \t\r\n]*:').findall


def read_body(body: bytes) -> GraphqlRequest:
    """Return the request in a body. Raises Refusal."""
    try:
        asked = _decode(body)
        if len(_members(body)) != _members_of(asked):
            refuse_repeated_names(body)
    except MalformedJson as error:
        raise Refusal(400, "malformed_json", error.message) from None
    except msgspec.ValidationError as error:
        if body.lstrip()[:1] == b"[":
            raise Refusal(422, "batch_refused", "Send one request at a time.") from None
        raise Refusal(422, "malformed_request", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "malformed_json", "The body is not valid JSON in UTF-8.") from None
    return asked


def _members_of(asked: GraphqlRequest) -> int:
    """Return how many members the text has if none of them is unknown or repeated."""
    parts = asked.variables, asked.extensions
    named = sum(part is not UNSET for part in (*parts, asked.operation_name))
    return 1 + named + sum(_members_in(part) for part in parts if part)


def _members_in(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_members_in, value.values()))
    return sum(map(_members_in, value)) if isinstance(value, list) else 0


def read_query_string(query: bytes) -> GraphqlRequest:
    """Return the request in a URL. Raises Refusal."""
    try:
        text = query.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS_MAX
        )
    except ValueError:
        raise Refusal(400, "malformed_request", "The query is not percent-encoded UTF-8.") from None
    values: dict[str, Any] = dict(pairs)
    if len(values) != len(pairs):
        raise Refusal(400, "malformed_request", "Each parameter may be given once.")
    try:
        for name in {"variables", "extensions"} & values.keys():
            text, values[name] = values[name], None
            if text:
                values[name] = msgspec.json.decode(text)
                refuse_repeated_names(text)
    except MalformedJson as error:
        raise Refusal(400, "malformed_json", error.message) from None
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(400, "malformed_json", "variables and extensions are JSON.") from None
    if not values.get("operationName"):
        values.pop("operationName", None)
    try:
        return msgspec.convert(values, GraphqlRequest)
    except msgspec.ValidationError as error:
        raise Refusal(422, "malformed_request", f"{error}.") from None


@lru_cache(maxsize=256)
def answer_type(accept: bytes | None) -> bytes | None:
    """Return the media type that the client prefers, or None if it accepts neither of ours."""
    if accept is None or not accept.strip():
        return GRAPHQL_TYPE
    weights = {GRAPHQL_TYPE: (-1, 0.0), JSON_TYPE: (-1, 0.0)}
    for part in accept.lower().split(b","):
        pattern, *parameters = (piece.strip() for piece in part.split(b";"))
        quality = _quality(parameters)
        for kind, (closest, _) in weights.items():
            closeness = (
                (b"*/*", b"application/*", kind).index(pattern)
                if pattern
                in (
                    b"*/*",
                    b"application/*",
                    kind,
                )
                else -1
            )
            if closeness > closest:
                weights[kind] = closeness, quality
    best = max(weights, key=lambda kind: weights[kind][1])
    return best if weights[best][1] > 0 else None


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0

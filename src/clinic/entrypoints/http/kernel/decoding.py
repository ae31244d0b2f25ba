"""Strict decoding of bodies and queries: reports every fault, guesses nothing, never causes 500."""

import json
import re
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, Struct, ValidationError

from clinic.domain.errors import InvalidInput
from clinic.domain.text import words_told
from clinic.entrypoints.http.kernel.problems import (
    BadRequest,
    MalformedJson,
    ManyFaults,
    UnknownParameter,
    fault,
)
from clinic.entrypoints.http.kernel.schemas import HOW

S = TypeVar("S", bound=Struct)

PARAMETERS_MAX = 32
#: longest query that is cached
REMEMBERED_MAX_BYTES = 256
FAULTS_MAX = 20
_WHERE = re.compile(r" - at `\$?(.*)`$")
_UNKNOWN_WORD = re.compile("Invalid enum value '(.*)'", re.DOTALL)
_OTHER_FORM = "Expected `str` matching regex "
#: msgspec's messages that say less than an example does
_BY_EXAMPLE = {
    "Invalid RFC3339 encoded datetime": (
        "Write a time with its offset, such as 2026-11-23T09:00:00Z or 2026-11-23T10:00:00+01:00."
    ),
    "Invalid RFC3339 encoded date": "Write a date such as 2026-11-23.",
}
# An unencoded plus arrives as a space.
_SPACE_FOR_PLUS = re.compile(r" (\d\d:\d\d)$")


@lru_cache(maxsize=128)
def _decoder(kind: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(kind)


@lru_cache(maxsize=128)
def _fields(kind: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


@lru_cache(maxsize=128)
def _names_in(kind: type[Struct]) -> Callable[[bytes], list[bytes]]:
    """Return a function that finds field names at any depth, and strings equal to one."""
    names = "|".join(map(re.escape, sorted(_every_name(kind))))
    return re.compile(f'"(?:{names})"'.encode()).findall


def _every_name(kind: type[Struct]) -> set[str]:
    names = set()
    for field in msgspec.structs.fields(kind):
        names.add(field.encode_name)
        for inner in _parts(field.type):
            if isinstance(inner, type) and issubclass(inner, Struct):
                names |= _every_name(inner)
    return names


def _parts(kind: Any) -> Iterator[Any]:
    """Yield `kind` and all its type arguments, at any depth."""
    yield kind
    for part in get_args(kind):
        yield from _parts(part)


def read_json(body: bytes, kind: type[S]) -> S:
    """Return the body as a value of `kind`. Raises MalformedJson, InvalidInput with every fault."""
    try:
        value: S = _decoder(kind).decode(body)
    except ValidationError as error:
        raise _every_fault(body, kind, error) from None
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from None
    # Repeated names, names with escapes, and NUL are rare but legal JSON, so look closer at bodies
    # that may have them.
    names = _names_in(kind)(body)
    # Not `in`, which first tries bytes as a number and formats an error message that it is none.
    has_escapes = body.find(b"\\") >= 0
    if has_escapes or len(names) != len({*names}):
        refuse_repeated_names(body)
    if has_escapes and body.find(b"\\u0000") >= 0:
        _refuse_nul(msgspec.to_builtins(value))
    return value


def _malformed(error: Exception) -> MalformedJson:
    if isinstance(error, UnicodeDecodeError):
        return MalformedJson("The body is not valid UTF-8.")
    if isinstance(error, RecursionError):
        return MalformedJson("The body is nested too deeply.")
    return MalformedJson(f"The body is not valid JSON: {str(error).removeprefix('JSON is ')}.")


def _every_fault(body: bytes, kind: type[Struct], first: ValidationError) -> InvalidInput:
    """Return every fault of a body of which msgspec reported the first."""
    try:
        raw = msgspec.json.decode(body)
    except ValidationError:  # a number beyond what JSON readers agree on
        return ManyFaults([_fault_of(first)])
    except (ValueError, RecursionError) as error:
        return _malformed(error)
    faults = list(_faults(raw, kind, ""))[:FAULTS_MAX]
    return ManyFaults(faults or [_fault_of(first)])


def _faults(raw: Any, kind: type[Struct], at: str) -> Iterator[dict[str, str]]:
    """Yield the faults of `raw` as a `kind`, field by field."""
    if not isinstance(raw, dict):
        yield fault(at, "Send a JSON object.")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in raw:
        if name not in fields:
            yield fault(f"{at}/{_escaped(name)}", "There is no such field here.")
    for name, field in fields.items():
        if name not in raw:
            if field.required:
                yield fault(f"{at}/{name}", "This field is required.")
            continue
        inner = _struct_in(field.type)
        if inner is not None and raw[name] is not None:
            yield from _faults(raw[name], inner, f"{at}/{name}")
            continue
        if raw[name] is None and field.default is UNSET and NoneType not in get_args(field.type):
            yield fault(f"{at}/{name}", "This cannot be null; leave it out to keep what there is.")
            continue
        try:
            msgspec.convert(raw[name], field.type)
        except ValidationError as error:
            yield _fault_of(error, f"{at}/{name}", field.type)


def _struct_in(kind: Any) -> type[Struct] | None:
    """Return the Struct if `kind` is one, alone or with None."""
    options = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    for option in options:
        if option is not NoneType and isinstance(option, type) and issubclass(option, Struct):
            return option
    return None


def _fault_of(error: ValidationError, at: str = "", kind: Any = None) -> dict[str, str]:
    message = str(error)
    where = _WHERE.search(message)
    path = where.group(1) if where else ""
    steps = re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", path)
    pointer = at + "".join(f"/{name or index}" for name, index in steps)
    return fault(pointer, _detail(message, kind))


def _detail(message: str, kind: Any) -> str:
    """Return msgspec's message as a sentence; for an unknown enum value, with the valid ones, and
    for a text with a form of its own, how to write it."""
    if how := _how_to_write(kind):
        return how
    detail = _WHERE.sub("", message)
    if detail in _BY_EXAMPLE:
        return _BY_EXAMPLE[detail]
    if detail.startswith(_OTHER_FORM):
        return "This is not written in the form that is expected."
    unknown = _UNKNOWN_WORD.fullmatch(detail)
    words = _words_of(kind) if unknown else ()
    return f"{detail}; {words_told(unknown[1], words)}" if unknown and words else f"{detail}."


def _how_to_write(kind: Any) -> str | None:
    """Return how to write a text of this kind, which its Meta says beside the pattern."""
    for part in _parts(kind):
        if isinstance(part, Meta) and part.extra is not None and HOW in part.extra:
            return str(part.extra[HOW])
    return None


def _words_of(kind: Any) -> tuple[str, ...]:
    """Return the values of an enum or Literal in `kind`."""
    for part in _parts(kind):
        if get_origin(part) is Literal:
            return get_args(part)
        if isinstance(part, type) and issubclass(part, Enum):
            return tuple(str(each.value) for each in part)
    return ()


def _escaped(name: str) -> str:
    """Return `name` as a step of a JSON pointer."""
    return name[:80].replace("~", "~0").replace("/", "~1")


def refuse_repeated_names(body: bytes | str) -> None:
    """Raise MalformedJson if an object in the JSON text has a member twice, however spelled."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise MalformedJson(f"The body names {name[:80]!r} twice.")
            found[name] = value
        return found

    # Keep numbers as text: Python refuses to parse very long ones.
    json.loads(body, object_pairs_hook=check, parse_int=str, parse_float=str)


def _refuse_nul(value: Any, at: str = "") -> None:
    """Raise InvalidInput for a text with a NUL character, which PostgreSQL cannot store."""
    if isinstance(value, str) and "\0" in value:
        raise InvalidInput("Text may not hold the character NUL.", pointer=at)
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_nul(inner, f"{at}/{name}")


_BOOLEANS = {"true": True, "false": False}


class NoQuery(Struct, forbid_unknown_fields=True):
    """For resources that take no parameters."""


def read_query(query: bytes, kind: type[S]) -> S:
    """Return the query as a value of `kind`, as `_read` does; short ones are cached, since queries
    repeat."""
    return _remembered(query, kind) if len(query) <= REMEMBERED_MAX_BYTES else _read(query, kind)


def _read(query: bytes, kind: type[S]) -> S:
    """Return the query as a value of `kind`; fields of a tuple type may repeat or hold commas.

    Raises UnknownParameter, InvalidInput, BadRequest.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError:
        raise BadRequest("The query is not percent-encoded UTF-8.") from None
    fields = _fields(kind)
    values: dict[str, Any] = {}
    for name, text in pairs:
        field = fields.get(name)
        if field is None:
            known = ", ".join(sorted(fields)) or "none"
            raise UnknownParameter(
                f"There is no parameter {name[:80]!r} here; known: {known}.",
                pointer=name[:80].lstrip("/"),
            )
        if "\0" in text:
            raise InvalidInput("A parameter may not hold the character NUL.", pointer=name)
        if _is_tuple(field.type):
            values.setdefault(name, []).extend(text.split(","))
        elif name in values:
            raise InvalidInput(f"{name} may be given once.", pointer=name)
        else:
            values[name] = _from_text(text, field.type)
    try:
        return msgspec.convert(values, kind)
    except ValidationError:
        raise ManyFaults(_parameter_faults(values, fields)) from None


# Query Structs are frozen, so they can be shared; refused queries are parsed each time.
_remembered = lru_cache(maxsize=2048)(_read)


def _parameter_faults(values: dict[str, Any], fields: dict[str, Any]) -> list[dict[str, str]]:
    faults = []
    for name, field in fields.items():
        if name not in values:
            continue
        try:
            msgspec.convert(values[name], field.type)
        except ValidationError as error:
            faults.append({"parameter": name, "detail": _detail(str(error), field.type)})
    return faults


def _is_tuple(kind: Any) -> bool:
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(plain) is tuple


def _from_text(text: str, kind: Any) -> Any:
    """Return a number or boolean for a field of that type if it is written as one, and else the
    text."""
    if bool in (kind, *get_args(kind)) and text in _BOOLEANS:
        return _BOOLEANS[text]
    if int in (kind, *get_args(kind)) and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    return _SPACE_FOR_PLUS.sub(r"+\1", text)

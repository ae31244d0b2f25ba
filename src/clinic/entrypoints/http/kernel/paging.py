"""Paging over HTTP: signed opaque cursors, and links to other pages."""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from clinic.domain.paging import LIMIT_DEFAULT, LIMIT_MAX, Keyset, Page, PageRequest
from clinic.entrypoints.http.kernel.decoding import REMEMBERED_MAX_BYTES
from clinic.entrypoints.http.kernel.problems import InvalidCursor
from clinic.entrypoints.http.kernel.reply import Headers, Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut

T = TypeVar("T")
O = TypeVar("O")  # noqa: E741 - what goes out

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: microseconds since 1970, id, direction
_PLACE = struct.Struct(">q16s?")
_SIGNATURE_BYTES = 16
_encode = msgspec.json.Encoder().encode

PageLimit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="items on a page")]
Cursor = Annotated[str, Meta(max_length=200, description="`next` of the page before")]


class PageQuery(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The parameters of every paged list."""

    limit: PageLimit = LIMIT_DEFAULT
    cursor: Cursor | None = None


def page_request(call: RequestContext, query: PageQuery) -> PageRequest:
    """Return the requested page. Raises InvalidCursor."""
    after = read_cursor(call, query.cursor) if query.cursor is not None else None
    return PageRequest(query.limit, after)


def write_cursor(call: RequestContext, place: Keyset) -> str:
    """Return a cursor for this place in this list with these filters."""
    return seal(place_bytes(place), secret=call.services.settings.secret, bound=_bound(call))


def read_cursor(call: RequestContext, cursor: str) -> Keyset:
    """Return the place that `cursor` names. Raises InvalidCursor unless made for this list."""
    return place_of(unseal(cursor, secret=call.services.settings.secret, bound=_bound(call)))


def place_bytes(place: Keyset) -> bytes:
    """Return the place as the payload of a cursor."""
    at_us = (place.at - _EPOCH) // timedelta(microseconds=1)
    return _PLACE.pack(at_us, place.id.bytes, place.backwards)


def place_of(payload: bytes) -> Keyset:
    """Return the place in an unsealed cursor. Raises InvalidCursor."""
    try:
        at_us, id_bytes, backwards = _PLACE.unpack(payload)
    except struct.error:
        raise InvalidCursor(pointer="cursor") from None
    return Keyset(_EPOCH + timedelta(microseconds=at_us), UUID(bytes=id_bytes), backwards)


def seal(payload: bytes, *, secret: str, bound: str) -> str:
    """Return an opaque cursor for `payload`, valid only for the list that `bound` describes."""
    signature = _signature(payload, secret, bound)
    return urlsafe_b64encode(signature + payload).rstrip(b"=").decode()


def unseal(cursor: str, *, secret: str, bound: str) -> bytes:
    """Return the payload of a cursor. Raises InvalidCursor unless we made it for this list."""
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise InvalidCursor(pointer="cursor") from None
    signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, secret, bound)):
        raise InvalidCursor(pointer="cursor")
    return payload


def _signature(payload: bytes, secret: str, bound: str) -> bytes:
    content = f"cursor\n{bound}\n".encode() + payload
    return hmac.digest(secret.encode(), content, "sha256")[:_SIGNATURE_BYTES]


def _bound(call: RequestContext) -> str:
    # Sign the list and its filters, too: the place means nothing elsewhere.
    return f"{call.path}\n{urlencode(sorted(_filters(call.scope['query_string'])))}"


def _filters(query: bytes) -> list[tuple[str, str]]:
    pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True)
    return [pair for pair in pairs if pair[0] not in ("limit", "cursor")]


def _kept(query: bytes, limit: int) -> str:
    """Return the part of a query that its links share."""
    kept = _filters(query)
    if limit != LIMIT_DEFAULT:
        kept.append(("limit", str(limit)))
    return urlencode(kept)


# Cached, since the same queries repeat, as in read_query.
_remembered = lru_cache(maxsize=2048)(_kept)


def page_reply(
    call: RequestContext, query: PageQuery, page: Page[T], render: Callable[[T], O]
) -> Reply:
    """Return the page as JSON with Link to the first, next and previous ones."""
    following = write_cursor(call, page.next) if page.next else None
    preceding = write_cursor(call, page.previous) if page.previous else None
    body = _encode(ItemsOut([render(item) for item in page.items], following))
    return Reply(200, body, _links(call, query, following, preceding))


def _links(
    call: RequestContext, query: PageQuery, following: str | None, preceding: str | None
) -> Headers:
    places = [("first", None), ("next", following), ("prev", preceding)]
    path = call.scope.get("root_path", "") + call.path
    asked = call.scope["query_string"]
    keep = _remembered if len(asked) <= REMEMBERED_MAX_BYTES else _kept
    filters = keep(asked, query.limit)
    links = [
        _link(path, filters, relation, cursor)
        for relation, cursor in places
        if cursor is not None or relation == "first"
    ]
    return [(b"link", ", ".join(links).encode("ascii"))]


def _link(path: str, filters: str, relation: str, cursor: str | None) -> str:
    # A cursor has only characters that need no escaping.
    pairs = [each for each in (filters, f"cursor={cursor}" if cursor else "") if each]
    return f'<{path}{"?" if pairs else ""}{"&".join(pairs)}>; rel="{relation}"'

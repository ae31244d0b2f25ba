"""Relay connections with keyset paging: `first` and `after`, never an offset."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import strawberry

from clinic.domain.errors import InvalidInput
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people.people import Doctor as ClinicDoctor
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.graphql.context import QueryContext
from clinic.entrypoints.http.graphql.types import AppointmentRecord, Connection, Edge, PageInfo
from clinic.entrypoints.http.kernel.paging import place_bytes, place_of, seal, unseal
from clinic.entrypoints.http.kernel.problems import InvalidCursor

Item = TypeVar("Item")
Node = TypeVar("Node")

FIRST_DEFAULT, FIRST_MAX = 20, 100
_encode = msgspec.json.Encoder(order="sorted").encode


def given(value: Any) -> Any:
    """Return an argument's value, or None if it was left out."""
    return None if value is strawberry.UNSET else value


def checked_first(first: int | None) -> int:
    """Return how many items are requested. Raises InvalidInput outside 1 to 100."""
    number = FIRST_DEFAULT if first is None else first
    if not 1 <= number <= FIRST_MAX:
        raise InvalidInput(f"first is from 1 to {FIRST_MAX}.", pointer="first")
    return number


class Cursors:
    """The cursors of one list with its filters; those of another list are refused."""

    def __init__(self, context: QueryContext, field: str, **filters: object) -> None:
        self._secret = context.services.settings.secret
        actor = context.actor
        self._bound = f"{actor.clinic_id}\n{field}\n{_encode(filters).decode()}"

    def write(self, payload: bytes) -> str:
        return seal(payload, secret=self._secret, bound=self._bound)

    def read(self, cursor: str) -> bytes:
        """Return what the cursor holds. Raises InvalidCursor."""
        try:
            return unseal(cursor, secret=self._secret, bound=self._bound)
        except InvalidCursor:
            raise InvalidCursor(pointer="after") from None


def page_request(cursors: Cursors, first: int | None, after: str | None) -> PageRequest:
    """Return the requested page. Raises InvalidInput, InvalidCursor."""
    place = place_of(cursors.read(after)) if after is not None else None
    return PageRequest(checked_first(first), place)


def connection_of(
    page: Page[Item],
    cursors: Cursors,
    place: Callable[[Item], Keyset],
    node: Callable[[Item], Node],
) -> Connection[Node]:
    """Return the page as a connection."""
    edges = [
        Edge(cursor=cursors.write(place_bytes(place(item))), node=node(item)) for item in page.items
    ]
    # The next page need not begin after the last item: a page may show only some of what it read.
    end = None if page.next is None else cursors.write(place_bytes(page.next))
    return _connection(edges, more=page.next is not None, before=page.previous is not None, end=end)


def doctors_page(
    doctors: Sequence[ClinicDoctor],
    cursors: Cursors,
    first: int | None,
    after: str | None,
    node: Callable[[ClinicDoctor], Node],
) -> Connection[Node]:
    """Return one page of all the clinic's doctors, who are given in order of name and id."""
    number = checked_first(first)
    rest = list(doctors)
    if after is not None:
        place = _doctor_place(cursors.read(after))
        rest = [one for one in rest if (one.name, one.id) > place]
    edges = [
        Edge(cursor=cursors.write(one.id.bytes + one.name.encode()), node=node(one))
        for one in rest[:number]
    ]
    return _connection(edges, more=len(rest) > number, before=len(rest) < len(doctors))


def appointments_page(
    appointments: Sequence[AppointmentOut], cursors: Cursors, first: int | None, after: str | None
) -> Connection[AppointmentRecord]:
    """Return one page of appointments that have all been read, earliest first."""
    request = page_request(cursors, first, after)
    every = sorted(appointments, key=_keys)
    rest = every
    if request.after is not None:
        place = (request.after.at, request.after.id)
        rest = [one for one in every if _keys(one) > place]
    edges = [
        Edge(
            cursor=cursors.write(place_bytes(Keyset(one.starts_at, one.id))),
            node=AppointmentRecord.of(one),
        )
        for one in rest[: request.limit]
    ]
    return _connection(edges, more=len(rest) > request.limit, before=len(rest) < len(every))


def _keys(appointment: AppointmentOut) -> tuple[datetime, UUID]:
    return appointment.starts_at, appointment.id


def _doctor_place(payload: bytes) -> tuple[str, UUID]:
    return payload[16:].decode(), UUID(bytes=payload[:16])


def _connection(
    edges: list[Edge[Node]], *, more: bool, before: bool, end: str | None = None
) -> Connection[Node]:
    info = PageInfo(
        has_next_page=more,
        has_previous_page=before,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=end or (edges[-1].cursor if edges else None),
    )
    return Connection(edges=edges, page_info=info)

"""The export of a person's own data, written as it is read, so that it takes no more memory than a
page."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.people.memberships import Membership
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.calendar.closing_schemas import BlockOut, LeaveOut
from clinic.entrypoints.http.api.messaging.schemas import NotificationOut, PreferencesOut
from clinic.entrypoints.http.api.people.schemas import (
    AccessOut,
    OwnDataOut,
    OwnMembershipOut,
    OwnSessionOut,
)
from clinic.usecases.people.manage_users import Export

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


async def export_pieces(
    export: Export, clinic_id: UUID, session_id: UUID | None, zone: ZoneInfo
) -> AsyncIterator[bytes]:
    """Yield the JSON of an ExportOut. An error before its end leaves the JSON incomplete."""
    account = export.account
    user = OwnDataOut.of_account(account, account.user.role, clinic_id)
    yield b'{"user":%b,"preferences":%b' % (
        _encode(user),
        _encode(PreferencesOut.of(export.preferences)),
    )
    async for piece in _list(b"memberships", export.memberships, _membership):
        yield piece
    own_session = partial(OwnSessionOut.of, current=session_id)
    async for piece in _list(b"sessions", export.sessions, own_session):
        yield piece
    async for piece in _list(b"appointments", export.appointments, AppointmentOut.of):
        yield piece
    yield b',"leaves":%b,"blocks":%b' % (
        _encode([LeaveOut.of(each) for each in export.leaves]),
        _encode([BlockOut.of(each, zone) for each in export.blocks]),
    )
    async for piece in _list(b"notifications", export.notifications, NotificationOut.of):
        yield piece
    own_access = partial(_access, user_id=account.user.id)
    async for piece in _list(b"events", export.events, own_access):
        yield piece
    yield b"}"


async def _list(
    name: bytes, pages: AsyncIterator[Sequence[T]], out: Callable[[T], object]
) -> AsyncIterator[bytes]:
    yield b',"%b":[' % name
    before = b""
    async for page in pages:
        if page:
            yield before + _joined(map(out, page))
            before = b","
    yield b"]"


def _joined(items: Iterable[object]) -> bytes:
    return b",".join(map(_encode, items))


def _membership(one: tuple[Membership, Sequence[datetime]]) -> OwnMembershipOut:
    membership, consents = one
    return OwnMembershipOut(
        membership.clinic_id, membership.specialty, membership.ended_at, list(consents)
    )


def _access(event: AuditEvent, user_id: UUID) -> AccessOut:
    is_own = event.actor_id == user_id
    return AccessOut(event.at, event.actor_role, event.action, event.entity, event.outcome, is_own)

"""Messages: those under way, sent or failed, and a person's preferences."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from clinic.domain.clinic import checked_instant
from clinic.domain.errors import AppointmentNotFound, EndBeforeStart
from clinic.domain.messaging.deliveries import OutboxState, Outcome
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.messaging.schemas import (
    Kind,
    NotificationOut,
    NotificationStatus,
    PreferencesIn,
    PreferencesOut,
)
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.paging import PageQuery, page_reply, page_request
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.messaging.choose_notifications import choose_preferences, read_preferences
from clinic.usecases.messaging.read_notifications import list_notifications, read_notifications

_TAG = "Notifications"
_encode = msgspec.json.Encoder().encode


class NotificationsQuery(PageQuery, kw_only=True, frozen=True):
    status: Annotated[
        tuple[NotificationStatus, ...], Meta(max_length=6, description="one or more")
    ] = ()
    kind: Annotated[Kind | None, Meta(description="such as confirmation, reminder")] = None
    from_: Annotated[dt.datetime | None, Meta(description="due from, with offset")] = None
    to: Annotated[dt.datetime | None, Meta(description="due before, with offset")] = None


@endpoint(
    "GET",
    "/appointments/{appointment_id}/notifications",
    tag=_TAG,
    summary="Read an appointment's messages",
    answers=ItemsOut[NotificationOut],
    needs=Operation.READ_TRAIL,
    refuses=(AppointmentNotFound,),
)
async def get_of_appointment(call: RequestContext, appointment_id: UUID) -> Reply:
    """What is on its way and what was sent or has failed, by when it is due. For staff."""
    found = await read_notifications(call.context(), appointment_id)
    return Reply(200, _encode(ItemsOut([NotificationOut.of(view) for view in found])))


@endpoint(
    "GET",
    "/notifications",
    tag=_TAG,
    summary="List messages",
    answers=ItemsOut[NotificationOut],
    needs=Operation.READ_TRAIL,
    headers=("Link",),
    refuses=(EndBeforeStart,),
)
async def get_notifications(call: RequestContext, query: NotificationsQuery) -> Reply:
    """By when they are or were due, earliest first. For staff; doctors see what is about theirs."""
    page = await list_notifications(
        call.context(),
        page_request(call, query),
        statuses=[_status(each) for each in query.status],
        family=query.kind,
        due_from=checked_instant(query.from_, "from") if query.from_ else None,
        due_before=checked_instant(query.to, "to") if query.to else None,
    )
    return page_reply(call, query, page, NotificationOut.of)


@endpoint(
    "GET",
    "/users/me/notification-preferences",
    tag=_TAG,
    summary="Read what you want of messages",
    answers=PreferencesOut,
    needs=Operation.MANAGE_OWN_ACCOUNT,
)
async def get_preferences(call: RequestContext) -> Reply:
    """Language, channel, and which optional messages you do not want."""
    chosen = await read_preferences(call.context())
    return Reply(200, _encode(PreferencesOut.of(chosen)))


@endpoint(
    "PUT",
    "/users/me/notification-preferences",
    tag=_TAG,
    summary="Choose what you want of messages",
    answers=PreferencesOut,
    needs=Operation.MANAGE_OWN_ACCOUNT,
)
async def put_preferences(call: RequestContext, body: PreferencesIn) -> Reply:
    """Confirmations, changes and cancellations are sent whatever you choose."""
    chosen = await choose_preferences(
        call.context(), language=body.language, channel=body.channel, opted_out=body.opted_out
    )
    return Reply(200, _encode(PreferencesOut.of(chosen)))


def _status(name: str) -> OutboxState | Outcome:
    return Outcome(name) if name in ("SENT", "FAILED") else OutboxState(name)


ENDPOINTS = (get_of_appointment, get_notifications, get_preferences, put_preferences)

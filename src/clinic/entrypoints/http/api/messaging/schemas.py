"""Request and response bodies for messages and preferences."""

import datetime as dt
from typing import Annotated, Literal, Self, cast
from uuid import UUID

from msgspec import Meta, Struct

from clinic.domain.messaging.deliveries import Preferences
from clinic.entrypoints.http.kernel.schemas import HOW, In
from clinic.ports.outbox import NotificationView

NotificationStatus = Literal["pending", "claimed", "sending", "dead", "SENT", "FAILED"]
Kind = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=r"^[a-z_]+(?!\n)$",
        extra={HOW: "Write the kind in lower-case letters and underscores, such as day_sheet."},
    ),
]


class NotificationOut(Struct, rename="camel", frozen=True, kw_only=True):
    """A message, on its way (pending, claimed, sending, dead) or ended (SENT, FAILED)."""

    id: UUID
    appointment_id: UUID | None
    user_id: UUID | None
    kind: str
    channel: str
    #: the schedule version of the appointment that it was made for
    schedule_version: int
    status: NotificationStatus
    scheduled_for: dt.datetime
    #: when it is next tried, or when it was finished
    at: dt.datetime
    attempts: int
    #: it may have been delivered twice, under the same message id
    maybe_twice: bool
    message_id: str | None
    error: str | None

    @classmethod
    def of(cls, view: NotificationView) -> Self:
        """Return the message as it looks on the wire."""
        message = view.message
        return cls(
            id=message.id,
            appointment_id=message.appointment_id,
            user_id=message.user_id,
            kind=message.kind,
            channel=message.channel,
            schedule_version=message.version,
            status=cast(NotificationStatus, view.status.value),
            scheduled_for=message.scheduled_for,
            at=view.at,
            attempts=view.attempts,
            maybe_twice=view.maybe_twice,
            message_id=view.message_id,
            error=view.error,
        )


class PreferencesOut(Struct, rename="camel", frozen=True):
    """What a person wants of messages."""

    language: str
    channel: str
    #: optional kinds that are not wanted: reminder, day_sheet
    opted_out: list[str]

    @classmethod
    def of(cls, preferences: Preferences) -> Self:
        """Return the preferences as they look on the wire."""
        return cls(preferences.language, preferences.channel, sorted(preferences.opted_out))


class PreferencesIn(In):
    language: Literal["en", "de"] = "en"
    channel: Literal["email", "sms"] = "email"
    opted_out: Annotated[tuple[Literal["reminder", "day_sheet"], ...], Meta(max_length=10)] = ()

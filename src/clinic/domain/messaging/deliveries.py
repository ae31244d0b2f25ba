"""Decides whether a due message is still valid, and how each attempt ends.

Everything here is decided from one snapshot; `docs/notifications.md` has a diagram of the states.
"""

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.locations import Location
from clinic.domain.clinic import Clinic
from clinic.domain.contact import LANGUAGES
from clinic.domain.notifications import (
    ACCOUNT_KINDS,
    ADDRESS_CHANGED,
    CANCELLATION,
    CONFIRMATION,
    DAY_SHEET,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    EMAIL,
    EMAIL_VERIFICATION,
    OPTIONAL,
    REMINDER,
    RESCHEDULE,
    Message,
    family_of,
)
from clinic.domain.status import Status

#: after this many attempts a message becomes a dead letter
ATTEMPTS_MAX = 20
BACKOFF_FIRST_S = 2.0
BACKOFF_MAX_S = 15 * 60.0
ERROR_MAX_CHARS = 500
#: how many messages caused by bookings, moves and cancellations one mailbox gets within an hour
SENT_PER_HOUR_MAX = 30

_AHEAD = frozenset({Status.BOOKED, Status.CONFIRMED})
#: the appointment's statuses in which a kind may be sent; other kinds are not about an appointment
_FITTING = {
    CONFIRMATION: _AHEAD,
    RESCHEDULE: _AHEAD,
    REMINDER: _AHEAD,
    CANCELLATION: frozenset({Status.CANCELLED}),
    DOCTOR_CHANGE: _AHEAD | {Status.ARRIVED, Status.CANCELLED},
    DOCTOR_LEFT: frozenset(Status),
}


class DeliveryVerdict(Enum):
    """What to do with a message that is due."""

    SEND = "send it"
    #: it is outdated: discard it, leaving only a count
    STALE = "discard it"
    #: it is too late to be useful: log it as failed
    EXPIRED = "log it as expired"
    #: the user entered the address and has yet to verify it: hold the message until then
    UNPROVEN = "hold it until the email address is verified"
    #: the mailbox has reached its limit: hold the message until there is room again
    TOO_MANY = "hold it until the mailbox has room for more"


class OutboxState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    #: handed to the mail server, which has not answered yet
    SENDING = "sending"
    #: given up until an administrator retries or drops it
    DEAD = "dead"


class Outcome(StrEnum):
    """How a message ended, in the permanent log."""

    SENT = "SENT"
    FAILED = "FAILED"


class AmbiguousMail(StrEnum):
    """What to do when a process died between handing a message over and receiving the answer."""

    #: send it again with the same Message-ID, flagged: nothing is lost
    RESEND = "resend"
    #: never send it again, set it aside as unknown: nothing arrives twice
    HOLD = "hold"
    #: ask the provider whether it accepted the Message-ID; hold it where the provider cannot tell
    ASK = "ask"


def fitting_statuses(kind: str) -> frozenset[Status] | None:
    """Return the appointment's statuses in which a message of this kind may be sent; None when it
    is not about an appointment."""
    return _FITTING.get(family_of(kind))


def verdict_on(
    kind: str,
    *,
    status: Status | None,
    message_version: int,
    schedule_version: int | None,
    expires_at: datetime,
    now: datetime,
) -> DeliveryVerdict:
    """Return whether a message of `kind` may still be sent, is stale or has expired.

    `status` and `schedule_version` are the appointment's as committed now, None when it no longer
    exists or the message is not about one.
    """
    statuses = fitting_statuses(kind)
    if statuses is not None and (status not in statuses or schedule_version != message_version):
        return DeliveryVerdict.STALE
    return DeliveryVerdict.EXPIRED if now >= expires_at else DeliveryVerdict.SEND


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's preferences for messages from one clinic."""

    language: str = LANGUAGES[0]
    channel: str = EMAIL
    #: families of optional messages that this person does not want
    opted_out: frozenset[str] = frozenset()

    def wants(self, kind: str) -> bool:
        """Return whether a message of `kind` may be sent to this person."""
        family = family_of(kind)
        return family not in OPTIONAL or family not in self.opted_out


@dataclass(frozen=True, slots=True)
class Addressee:
    """The person who gets a message."""

    user_id: UUID
    name: str
    email: str
    phone: str | None = None
    preferences: Preferences = field(default_factory=Preferences)
    #: what the links of account mail are bound to, so that they work once
    password_hash: str | None = field(default=None, repr=False)
    link_version: int = 0
    #: the address is verified, so no verification mail is needed
    is_verified: bool = False
    #: the user entered the address and has yet to verify it: only account mail is sent to it
    awaits_proof: bool = False


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """A message's subject and recipient, as committed when the message was claimed."""

    clinic: Clinic
    #: None when the person is gone or disabled
    addressee: Addressee | None
    #: None when the message is not about one, or it no longer exists
    appointment: Appointment | None = None
    #: for a day sheet, when each of the day's appointments starts and ends
    day: tuple[tuple[datetime, datetime], ...] = ()
    #: for a kind that is sent at once: how many of those the mailbox got within the last hour,
    #: counted up to `SENT_PER_HOUR_MAX`
    sent_lately: int = 0
    #: what patients should know or bring, of the appointment's type as it is now
    instructions: str | None = None
    #: where the appointment is; None is the clinic's own address
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that one worker may send until its lease runs out."""

    message: Message
    token: UUID
    #: how often it has been claimed, this time included
    attempts: int
    #: an earlier attempt may have been delivered, such as one that was interrupted
    ambiguous: bool
    #: the previous attempt ended, with no result recorded, while the message was being handed over
    interrupted: bool
    snapshot: DeliverySnapshot
    #: by the database's clock, which alone decides what is due and what is too late
    claimed_at: datetime

    @property
    def look(self) -> DeliverySnapshot:
        """Deprecated: use `snapshot`."""
        _warn("Claim.look", "Claim.snapshot", stacklevel=3)
        return self.snapshot


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the permanent log: a message that was sent or has finally failed."""

    message: Message
    status: Outcome
    attempts: int
    #: an earlier copy may have been delivered, with the same Message-ID
    maybe_twice: bool
    message_id: str | None
    error: str | None
    #: the channel that it was sent on
    channel: str = EMAIL


@dataclass(frozen=True, slots=True)
class Links:
    """URLs of pages where the reader of a message can act; None where there is none."""

    confirm: str | None = None
    cancel: str | None = None
    move: str | None = None
    #: for an account's invitation, verification or reset
    account: str | None = None
    unsubscribe: str | None = None
    #: the front end, where people book and doctors read their calendar; empty when there is none
    home: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """Everything that a channel needs to write a message out and hand it over."""

    message: Message
    addressee: Addressee
    clinic: Clinic
    links: Links
    #: the same for every attempt at the same message
    message_id: str
    appointment: Appointment | None = None
    day: tuple[tuple[datetime, datetime], ...] = ()
    #: when it is handed over, from which "today" is computed; None: when it is due
    sent_at: datetime | None = None
    #: what patients should know or bring; for confirmations and reminders
    instructions: str | None = None
    #: where the appointment is; None is the clinic's own address
    location: Location | None = None

    @property
    def zone(self) -> ZoneInfo:
        return self.clinic.zone


def judged(claim: Claim) -> DeliveryVerdict:
    """Return what to do with a claimed message."""
    message, snapshot = claim.message, claim.snapshot
    appointment = snapshot.appointment
    verdict = verdict_on(
        message.kind,
        status=appointment.status if appointment else None,
        message_version=message.version,
        schedule_version=appointment.schedule_version if appointment else None,
        expires_at=message.expires_at,
        now=claim.claimed_at,
    )
    if verdict is not DeliveryVerdict.SEND:
        return verdict
    if snapshot.addressee is None or not snapshot.addressee.preferences.wants(message.kind):
        return DeliveryVerdict.STALE
    if message.kind == EMAIL_VERIFICATION and snapshot.addressee.is_verified:
        return DeliveryVerdict.STALE
    if message.kind == ADDRESS_CHANGED and message.to_email is None:
        return DeliveryVerdict.STALE
    if message.appointment_id is None and message.family == DAY_SHEET and not snapshot.day:
        return DeliveryVerdict.STALE
    # Never hold an ambiguous one: it may have arrived, and the use case decides about resending.
    return (
        DeliveryVerdict.SEND
        if claim.ambiguous
        else _held(message, snapshot.addressee, snapshot.sent_lately)
    )


def _held(message: Message, addressee: Addressee, sent_lately: int) -> DeliveryVerdict:
    """Return SEND, or why a valid message has to wait for its mailbox."""
    if addressee.awaits_proof and message.kind not in ACCOUNT_KINDS:
        return DeliveryVerdict.UNPROVEN
    return DeliveryVerdict.TOO_MANY if sent_lately >= SENT_PER_HOUR_MAX else DeliveryVerdict.SEND


def backoff(attempts: int, chance: Callable[[], float] = random.random) -> timedelta:
    """Return how long to wait after attempt number `attempts`: doubling, half of it random.

    From 1–2 s up to 7.5–15 min.
    """
    full = min(BACKOFF_FIRST_S * 2 ** (max(attempts, 1) - 1), BACKOFF_MAX_S)
    return timedelta(seconds=full * (0.5 + chance() / 2))


def message_id_of(message: Message, domain: str) -> str:
    """Return the Message-ID of every attempt at `message`, which identifies second copies."""
    return f"<{message.id}@{domain}>"


def shortened(error: str) -> str:
    """Return `error` on one line and short enough for the log."""
    return " ".join(error.split())[:ERROR_MAX_CHARS]


_OLD_NAMES = {"Letter": OutgoingMessage, "Look": DeliverySnapshot, "Fit": DeliveryVerdict}


def __getattr__(name: str) -> object:
    if name in _OLD_NAMES:
        _warn(name, _OLD_NAMES[name].__name__, stacklevel=3)
        return _OLD_NAMES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _warn(old: str, new: str, *, stacklevel: int) -> None:
    message = f"{old} is now {new}; the old name is gone in version 0.2"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)

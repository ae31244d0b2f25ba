"""Whether a message is still right when its time comes, and what becomes of each attempt.

Everything here is decided from one snapshot; `docs/notifications.md` draws the states.
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

#: a message that has been tried this often is set aside as a dead letter
ATTEMPTS_MAX = 20
BACKOFF_FIRST_S = 2.0
BACKOFF_MAX_S = 15 * 60.0
ERROR_MAX_CHARS = 500
#: messages that bookings, moves and cancellations cause to one mailbox within an hour
SENT_PER_HOUR_MAX = 30

_AHEAD = frozenset({Status.BOOKED, Status.CONFIRMED})
#: the statuses that a kind may be sent in; other kinds are not about an appointment
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
    #: what it says is no longer so: discard it without a trace but a count
    STALE = "discard it"
    #: it came too late to be of use: log it as failed
    EXPIRED = "log it as expired"
    #: only its user claims the address: keep it until the address is verified
    UNPROVEN = "hold it until the email address is verified"
    #: the mailbox got its share for now: keep it until there is room again
    TOO_MANY = "hold it until the mailbox has room for more"


class OutboxState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    #: handed to the mail server, whose answer is awaited
    SENDING = "sending"
    #: given up until somebody retries or drops it
    DEAD = "dead"


class Outcome(StrEnum):
    """How a message ended, in the permanent log."""

    SENT = "SENT"
    FAILED = "FAILED"


class AmbiguousMail(StrEnum):
    """What to do when a process died between handing a message over and hearing the answer."""

    #: send it again with the same Message-ID, flagged: nothing is lost
    RESEND = "resend"
    #: never send it again, set it aside as unknown: nothing comes twice
    HOLD = "hold"
    #: ask the provider whether it took the Message-ID; hold it where the provider cannot tell
    ASK = "ask"


def fitting_statuses(kind: str) -> frozenset[Status] | None:
    """Return the statuses in which a message of this kind is right; None when it is about none."""
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
    """Say whether a message of `kind` is still right, stale or too late.

    `status` and `schedule_version` are the appointment's as committed now, None when it is gone or
    the message is about none.
    """
    statuses = fitting_statuses(kind)
    if statuses is not None and (status not in statuses or schedule_version != message_version):
        return DeliveryVerdict.STALE
    return DeliveryVerdict.EXPIRED if now >= expires_at else DeliveryVerdict.SEND


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person chose about messages from one clinic."""

    language: str = LANGUAGES[0]
    channel: str = EMAIL
    #: families of optional messages that this person does not want
    opted_out: frozenset[str] = frozenset()

    def wants(self, kind: str) -> bool:
        """Say whether a message of `kind` may be sent to this person."""
        family = family_of(kind)
        return family not in OPTIONAL or family not in self.opted_out


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a message goes to."""

    user_id: UUID
    name: str
    email: str
    phone: str | None = None
    preferences: Preferences = field(default_factory=Preferences)
    #: what the links of account mail are bound to, so that they work once
    password_hash: str | None = field(default=None, repr=False)
    link_version: int = 0
    #: the address is proven, so that nobody need be asked about it
    is_verified: bool = False
    #: only the user claims the address so far: nothing but account mail goes there
    awaits_proof: bool = False


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """What a message is about and who gets it, as committed when the message was claimed."""

    clinic: Clinic
    #: None when the person is gone or disabled
    addressee: Addressee | None
    #: None when the message is about none, or it is gone
    appointment: Appointment | None = None
    #: of a day sheet, when the day's appointments start and end
    day: tuple[tuple[datetime, datetime], ...] = ()
    #: of a message that is sent at once: how many of those the mailbox got within the last hour,
    #: counted up to `SENT_PER_HOUR_MAX`
    sent_lately: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that one worker may send until its lease runs out."""

    message: Message
    token: UUID
    #: how often it has been claimed, this time included
    attempts: int
    #: an earlier attempt may have been delivered, such as one that was interrupted
    ambiguous: bool
    #: the attempt before this one ended without a word while it was handed over
    interrupted: bool
    snapshot: DeliverySnapshot
    #: by the database's clock, which alone says what is due and what is too late
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
    #: who got it may have got it before, under the same message id
    maybe_twice: bool
    message_id: str | None
    error: str | None
    #: on which channel it went out
    channel: str = EMAIL


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of pages where the reader of a message can act; None where there is none."""

    confirm: str | None = None
    cancel: str | None = None
    move: str | None = None
    #: of an account's invitation, verification or reset
    account: str | None = None
    unsubscribe: str | None = None
    #: the front end, where people book and doctors read their calendar; empty when there is none
    home: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """All that a channel needs in order to write a message out and hand it over."""

    message: Message
    addressee: Addressee
    clinic: Clinic
    links: Links
    #: the same for every attempt at the same message
    message_id: str
    appointment: Appointment | None = None
    day: tuple[tuple[datetime, datetime], ...] = ()
    #: when it is handed over, which "today" is about; when it is due where nobody says
    sent_at: datetime | None = None

    @property
    def zone(self) -> ZoneInfo:
        return self.clinic.zone


def judged(claim: Claim) -> DeliveryVerdict:
    """Say what to do with a claimed message."""
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
    # Whether an ambiguous one is sent again is decided elsewhere: it may be there already.
    return (
        DeliveryVerdict.SEND
        if claim.ambiguous
        else _held(message, snapshot.addressee, snapshot.sent_lately)
    )


def _held(message: Message, addressee: Addressee, sent_lately: int) -> DeliveryVerdict:
    """Say whether a message that is right has to wait for its mailbox."""
    if addressee.awaits_proof and message.kind not in ACCOUNT_KINDS:
        return DeliveryVerdict.UNPROVEN
    return DeliveryVerdict.TOO_MANY if sent_lately >= SENT_PER_HOUR_MAX else DeliveryVerdict.SEND


def backoff(attempts: int, chance: Callable[[], float] = random.random) -> timedelta:
    """Return how long to wait after attempt number `attempts`: doubling, the half of it by chance.

    From 1–2 s up to 7.5–15 min.
    """
    full = min(BACKOFF_FIRST_S * 2 ** (max(attempts, 1) - 1), BACKOFF_MAX_S)
    return timedelta(seconds=full * (0.5 + chance() / 2))


def message_id_of(message: Message, domain: str) -> str:
    """Return the Message-ID of every attempt at `message`, so that a second copy can be told."""
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

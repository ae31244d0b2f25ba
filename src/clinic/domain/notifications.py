"""Which messages a change causes, who gets each, and when it is due and expires."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.clinic import Policy

CONFIRMATION = "confirmation"
RESCHEDULE = "reschedule"
CANCELLATION = "cancellation"
#: every reminder_<lead>m
REMINDER = "reminder"
#: to the appointment's doctor, when it changes after the day's sheet went out
DOCTOR_CHANGE = "doctor_change"
#: to the doctor who loses the appointment in a late change
DOCTOR_LEFT = "doctor_left"
DAY_SHEET = "day_sheet"
INVITATION = "invitation"
EMAIL_VERIFICATION = "email_verification"
PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a message
#: to the account's previous address
ADDRESS_CHANGED = "address_changed"

EMAIL = "email"
SMS = "sms"
CHANNELS = (EMAIL, SMS)

#: the local time at which a doctor gets the next day's sheet
DAY_SHEET_AT = time(18)
ACCOUNT_KINDS = frozenset({INVITATION, EMAIL_VERIFICATION, PASSWORD_RESET, ADDRESS_CHANGED})
#: caused by each booking, move and cancellation, and therefore counted per mailbox
TO_PATIENT_AT_ONCE = frozenset({CONFIRMATION, RESCHEDULE, CANCELLATION})
TO_DOCTOR_AT_ONCE = frozenset({DOCTOR_CHANGE, DOCTOR_LEFT})

_REMINDER = re.compile(r"reminder_[1-9][0-9]*m")


class Recipient(Enum):
    """Who gets a kind of message."""

    PATIENT = "the appointment's patient"
    DOCTOR = "the appointment's doctor"
    USER = "the user whom the message names"


#: who gets each kind; there are no other kinds
RECIPIENTS = {
    CONFIRMATION: Recipient.PATIENT,
    RESCHEDULE: Recipient.PATIENT,
    CANCELLATION: Recipient.PATIENT,
    REMINDER: Recipient.PATIENT,
    DOCTOR_CHANGE: Recipient.DOCTOR,
    DOCTOR_LEFT: Recipient.USER,
    DAY_SHEET: Recipient.USER,
    INVITATION: Recipient.USER,
    EMAIL_VERIFICATION: Recipient.USER,
    PASSWORD_RESET: Recipient.USER,
    ADDRESS_CHANGED: Recipient.USER,
}
#: kinds that people can opt out of, with their numbers in unsubscribe links; every other kind is
#: sent whatever they chose
OPTIONAL = {REMINDER: 1, DAY_SHEET: 2}


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send, written in the statement or transaction that causes it."""

    id: UUID
    clinic_id: UUID
    #: the appointment it is about; None for day sheets and account mail
    appointment_id: UUID | None
    kind: str
    #: the appointment's schedule_version that the message was made for; the day's ordinal for a day
    #: sheet, 0 for account mail
    version: int
    scheduled_for: datetime
    #: from this instant on it is not sent, but logged as failed
    expires_at: datetime
    created_at: datetime
    channel: str = EMAIL
    #: who gets it, where appointment and kind do not determine that
    user_id: UUID | None = None
    #: the user who had the link sent to someone else
    issued_by: UUID | None = None
    #: used instead of the user's address; only ADDRESS_CHANGED has one, until erasure
    to_email: str | None = field(default=None, repr=False)

    @property
    def family(self) -> str:
        """The kind without its lead time, as templates and preferences use it."""
        return family_of(self.kind)

    @property
    def recipient(self) -> Recipient:
        return RECIPIENTS[self.family]


def reminder_kind(lead_min: int) -> str:
    """Return the kind of a reminder due `lead_min` minutes before the start."""
    return f"{REMINDER}_{lead_min}m"


def family_of(kind: str) -> str:
    """Return `kind`, or "reminder" for every reminder."""
    return REMINDER if _REMINDER.fullmatch(kind) else kind


def day_sheet_due(day: date, zone: ZoneInfo) -> datetime:
    """Return when the sheet of `day` goes out: the evening before, in the clinic's time zone."""
    eve = datetime.combine(day - timedelta(days=1), DAY_SHEET_AT, zone)
    return eve.astimezone(UTC)


def is_last_minute(starts_at: datetime, zone: ZoneInfo, now: datetime) -> bool:
    """Return whether doctors must be notified of a change: the sheet of the day of `starts_at` has
    gone out, and `starts_at` is still ahead."""
    return starts_at > now >= day_sheet_due(starts_at.astimezone(zone).date(), zone)


def messages_for_schedule(
    *,
    kind: str,
    clinic_id: UUID,
    appointment_id: UUID,
    version: int,
    starts_at: datetime,
    policy: Policy,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return a message of `kind` due now, and the reminders still ahead."""
    expires_at = max(starts_at, now + timedelta(hours=1))
    first = Message(
        new_id(), clinic_id, appointment_id, kind, version, now, expires_at, created_at=now
    )
    reminders = reminders_for_schedule(
        clinic_id=clinic_id,
        appointment_id=appointment_id,
        version=version,
        starts_at=starts_at,
        policy=policy,
        now=now,
        new_id=new_id,
    )
    return (first, *reminders)


def reminders_for_schedule(
    *,
    clinic_id: UUID,
    appointment_id: UUID,
    version: int,
    starts_at: datetime,
    policy: Policy,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return the reminders still ahead, the first due first.

    Lead times are elapsed time, not local time. A reminder whose time has passed is not made; each
    expires when the next one is due, the last one at the start.
    """
    leads = sorted(policy.reminder_leads_min, reverse=True)
    dues = [starts_at - timedelta(minutes=lead) for lead in leads]
    return tuple(
        Message(
            new_id(),
            clinic_id,
            appointment_id,
            reminder_kind(lead),
            version,
            due,
            expires_at,
            created_at=now,
        )
        for lead, due, expires_at in zip(leads, dues, [*dues[1:], starts_at], strict=True)
        if due > now
    )


def message_for_cancellation(
    *,
    clinic_id: UUID,
    appointment_id: UUID,
    version: int,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Message:
    """Return the message that the appointment is cancelled; it expires after a day."""
    return Message(
        new_id(),
        clinic_id,
        appointment_id,
        CANCELLATION,
        version,
        now,
        now + timedelta(days=1),
        created_at=now,
    )


def messages_for_doctors(
    *,
    clinic_id: UUID,
    appointment_id: UUID,
    version: int,
    zone: ZoneInfo,
    before: tuple[UUID, datetime] | None,
    after: tuple[UUID, datetime],
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return the messages to doctors whose day sheet is wrong after a change of an appointment.

    `before` and `after` are the doctor and the start; `before` is None for a new appointment and
    equal to `after` for a cancelled one.
    """

    def message(kind: str, starts_at: datetime, user_id: UUID | None) -> Message:
        return Message(
            new_id(),
            clinic_id,
            appointment_id,
            kind,
            version,
            now,
            # A change in the last minutes must still reach the doctor.
            max(starts_at, now + timedelta(hours=1)),
            created_at=now,
            user_id=user_id,
        )

    doctor_id, starts_at = after
    late = is_last_minute(starts_at, zone, now)
    if before is None:
        return (message(DOCTOR_CHANGE, starts_at, None),) if late else ()
    late_before = is_last_minute(before[1], zone, now)
    if before[0] == doctor_id:
        is_late = late or late_before
        return (message(DOCTOR_CHANGE, min(starts_at, before[1]), None),) if is_late else ()
    made = [message(DOCTOR_CHANGE, starts_at, None)] if late else []
    if late_before:
        made.append(message(DOCTOR_LEFT, before[1], before[0]))
    return tuple(made)


def day_sheet_times(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return when the sheet of `day` is due, and when it expires: at the end of the day."""
    ends_at = datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)
    return day_sheet_due(day, zone), ends_at


def day_sheets(
    *,
    clinic_id: UUID,
    doctor_id: UUID,
    days: Iterable[date],
    zone: ZoneInfo,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return the sheets for those of `days` whose evening before is still ahead."""
    made = []
    for day in sorted(set(days)):
        due, ends = day_sheet_times(day, zone)
        if due > now:
            made.append(
                Message(
                    new_id(),
                    clinic_id,
                    None,
                    DAY_SHEET,
                    day.toordinal(),
                    due,
                    ends,
                    created_at=now,
                    user_id=doctor_id,
                )
            )
    return tuple(made)


def account_mail(
    kind: str,
    *,
    clinic_id: UUID,
    user_id: UUID,
    valid_for: timedelta,
    now: datetime,
    new_id: Callable[[], UUID],
    issued_by: UUID | None = None,
    to_email: str | None = None,
) -> Message:
    """Return account mail due now that expires, like the link in it, after `valid_for`."""
    assert kind in ACCOUNT_KINDS
    assert (to_email is not None) == (kind == ADDRESS_CHANGED)
    return Message(
        new_id(),
        clinic_id,
        None,
        kind,
        0,
        now,
        now + valid_for,
        created_at=now,
        user_id=user_id,
        issued_by=issued_by,
        to_email=to_email,
    )

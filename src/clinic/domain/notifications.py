"""Which messages an appointment's change calls for, and when each is due and pointless."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.clinic import Policy

CONFIRMATION = "confirmation"
RESCHEDULE = "reschedule"
CANCELLATION = "cancellation"
EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send about an appointment, written in the statement that changes it."""

    id: UUID
    clinic_id: UUID
    appointment_id: UUID
    kind: str
    #: the appointment's schedule_version that the message was made for
    version: int
    scheduled_for: datetime
    #: after this instant it is pointless and logged as failed
    expires_at: datetime
    created_at: datetime
    channel: str = EMAIL


def reminder_kind(lead_min: int) -> str:
    """Return the kind of a reminder due `lead_min` minutes before the start."""
    return f"reminder_{lead_min}m"


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
    """Return `kind` due now, and the reminders still ahead.

    Leads count elapsed time, not wall time. A reminder already past is not made; each expires when
    the next one is due, the last at the start.
    """

    def message(kind: str, due: datetime, expires_at: datetime) -> Message:
        return Message(
            new_id(), clinic_id, appointment_id, kind, version, due, expires_at, created_at=now
        )

    made = [message(kind, now, max(starts_at, now + timedelta(hours=1)))]
    leads = sorted(policy.reminder_leads_min, reverse=True)
    dues = [starts_at - timedelta(minutes=lead) for lead in leads]
    for lead, due, expires_at in zip(leads, dues, [*dues[1:], starts_at], strict=True):
        if due > now:
            made.append(message(reminder_kind(lead), due, expires_at))
    return tuple(made)


def message_for_cancellation(
    *,
    clinic_id: UUID,
    appointment_id: UUID,
    version: int,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Message:
    """Return the word that the appointment is off; it is worth sending for a day."""
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

"""The audit trail: one entry per change of an appointment, one event per any other action."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from clinic.domain.people.people import Actor, Role
from clinic.domain.status import Status
from clinic.domain.text import checked_line

REASON_MAX_CHARS = 500
NO_REASON = "No reason given"
#: replaces free text about an erased patient
ERASED = "Erased"
ERASE_USER = "erase_user"
#: how many texts one erasure event lists
TEXTS_MAX = 200


class Action(StrEnum):
    """What was done to an appointment."""

    BOOK = "BOOK"
    CHANGE_STATUS = "CHANGE_STATUS"
    RESCHEDULE = "RESCHEDULE"
    SWAP = "SWAP"
    UNDO = "UNDO"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of one appointment: who, what, when, from where, why."""

    id: UUID
    clinic_id: UUID
    appointment_id: UUID
    at: datetime
    actor_id: UUID
    actor_role: Role
    action: Action
    from_status: Status | None
    to_status: Status
    from_slot_id: UUID | None
    to_slot_id: UUID
    #: the appointment's version after the change
    version: int
    reason: str
    request_id: str | None = None
    ip: str | None = None
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """An audited action on anything else: hours, slots, people, settings. `detail` holds ids and
    names of fields, never personal data."""

    id: UUID
    clinic_id: UUID
    at: datetime
    actor_id: UUID
    actor_role: Role
    #: a verb, such as "block"
    action: str
    #: the kind of entity, such as "slot"
    entity: str
    entity_id: UUID | None
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "done"
    patient_id: UUID | None = None
    request_id: str | None = None
    ip: str | None = None
    session_id: UUID | None = None


def checked_reason(value: str | None, pointer: str = "/reason") -> str:
    """Return the reason to store, NO_REASON when empty. Raises InvalidInput when it is too long or
    has a character that is not accepted."""
    if not value:
        return NO_REASON
    return (
        checked_line(value, "reason", max_chars=REASON_MAX_CHARS, min_chars=0, pointer=pointer)
        or NO_REASON
    )


@dataclass(frozen=True, slots=True)
class Replayed:
    """The state of an appointment according to its trail alone."""

    status: Status
    slot_id: UUID
    version: int


def replay(entries: Iterable[AuditEntry]) -> Replayed:
    """Return the state after the entries, given oldest first.

    Raises ValueError when the trail is empty or an entry does not follow from the one before.
    """
    state: Replayed | None = None
    for entry in entries:
        before = (state.status, state.slot_id, state.version) if state else (None, None, 0)
        if (entry.from_status, entry.from_slot_id, entry.version - 1) != before:
            raise ValueError(f"audit entry {entry.id} does not follow from the one before")
        state = Replayed(entry.to_status, entry.to_slot_id, entry.version)
    if state is None:
        raise ValueError("an appointment without a trail")
    return state


def event_by(
    actor: Actor,
    action: str,
    entity: str,
    entity_id: UUID | None,
    *,
    now: datetime,
    event_id: UUID,
    reason: str | None = None,
    clinic_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
    outcome: str = "done",
    patient_id: UUID | None = None,
) -> AuditEvent:
    """Return the event to append for an action of `actor`. Raises InvalidInput for a bad reason."""
    return AuditEvent(
        id=event_id,
        clinic_id=clinic_id or actor.clinic_id,
        at=now,
        actor_id=actor.user_id,
        actor_role=actor.role,
        action=action,
        entity=entity,
        entity_id=entity_id,
        reason=checked_reason(reason),
        detail=detail or {},
        outcome=outcome,
        patient_id=patient_id,
        request_id=actor.request_id,
        ip=actor.ip,
        session_id=actor.session_id,
    )

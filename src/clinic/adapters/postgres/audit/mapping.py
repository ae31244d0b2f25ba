"""Entries and events of the trails as rows, and rows as entries."""

import msgspec

from clinic.adapters.postgres.engine.mapping import SqlRow, Values
from clinic.domain.appointments.appointments import Status
from clinic.domain.audit.audit import Action, AuditEntry, AuditEvent
from clinic.domain.people.people import Role


def entry_of(row: SqlRow) -> AuditEntry:
    """Return the audit entry of a row of the whole table."""
    values = dict(row._mapping)
    for name in ("xid", "reason_salt", "reason_digest"):
        del values[name]
    values["actor_role"] = Role(row.actor_role)
    values["action"] = Action(row.action)
    values["from_status"] = Status(row.from_status) if row.from_status else None
    values["to_status"] = Status(row.to_status)
    return AuditEntry(**values)


def entry_values(entry: AuditEntry) -> Values:
    """Return the audit entry's row."""
    return {
        "clinic_id": entry.clinic_id,
        "id": entry.id,
        "appointment_id": entry.appointment_id,
        "at": entry.at,
        "actor_id": entry.actor_id,
        "actor_role": entry.actor_role.value,
        "action": entry.action.value,
        "from_status": entry.from_status.value if entry.from_status else None,
        "to_status": entry.to_status.value,
        "from_slot_id": entry.from_slot_id,
        "to_slot_id": entry.to_slot_id,
        "version": entry.version,
        "reason": entry.reason,
        "request_id": entry.request_id,
        "ip": entry.ip,
        "session_id": entry.session_id,
    }


def event_values(event: AuditEvent) -> Values:
    """Return the event's row."""
    detail = msgspec.to_builtins(dict(event.detail), enc_hook=str)
    return {**event_facts(event), "detail": detail}


def event_facts(event: AuditEvent) -> Values:
    """Return the event's row without its details."""
    return {
        "id": event.id,
        "clinic_id": event.clinic_id,
        "at": event.at,
        "actor_id": event.actor_id,
        "actor_role": event.actor_role.value,
        "action": event.action,
        "entity": event.entity,
        "entity_id": event.entity_id,
        "patient_id": event.patient_id,
        "reason": event.reason,
        "outcome": event.outcome,
        "request_id": event.request_id,
        "ip": event.ip,
        "session_id": event.session_id,
    }

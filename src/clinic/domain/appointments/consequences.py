"""What is written along with every change of an appointment: audit entry and messages."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.audit.audit import Action, AuditEntry
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.notifications import Message, messages_for_doctors, messages_for_schedule
from clinic.domain.people.people import Actor


def audit_entry(
    actor: Actor,
    action: Action,
    before: Appointment | None,
    after: Appointment,
    *,
    reason: str,
    now: datetime,
    entry_id: UUID,
) -> AuditEntry:
    """Return the audit entry for an appointment's change from `before` to `after`."""
    return AuditEntry(
        id=entry_id,
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        at=now,
        actor_id=actor.user_id,
        actor_role=actor.role,
        action=action,
        from_status=before.status if before else None,
        to_status=after.status,
        from_slot_id=before.slot_id if before else None,
        to_slot_id=after.slot_id,
        version=after.version,
        reason=reason,
        request_id=actor.request_id,
        ip=actor.ip,
        session_id=actor.session_id,
    )


def messages_of_time(
    kind: str,
    before: Appointment | None,
    after: Appointment,
    *,
    clinic: Clinic,
    policy: Policy,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return the messages of an appointment that gets a time, or another one: to the patient, one
    of this kind and the reminders that the policy has, and to doctors."""
    to_patient = messages_for_schedule(
        kind=kind,
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        version=after.schedule_version,
        starts_at=after.starts_at,
        policy=policy,
        now=now,
        new_id=new_id,
    )
    return to_patient + messages_to_doctors(before, after, clinic, now, new_id)


def messages_to_doctors(
    before: Appointment | None,
    after: Appointment,
    clinic: Clinic,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    """Return the messages that notify doctors of a change shortly before the appointment."""
    return messages_for_doctors(
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        version=after.schedule_version,
        zone=clinic.zone,
        before=(before.doctor_id, before.starts_at) if before else None,
        after=(after.doctor_id, after.starts_at),
        now=now,
        new_id=new_id,
    )

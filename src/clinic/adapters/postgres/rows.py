"""Rows as the domain's values, and values as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select

from clinic.domain.appointments import Appointment, AppointmentView, Status
from clinic.domain.audit import Action, AuditEntry
from clinic.domain.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.clinic import Clinic, Policy, zone_named
from clinic.domain.contact import Contact
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer
from clinic.domain.notifications import Message
from clinic.domain.people import Actor, Role
from clinic.domain.slots import Slot, SlotState
from clinic.ports.calendars import SlotView

Values = dict[str, Any]
SqlRow = Row[*tuple[Any, ...]]
Query = Select[*tuple[Any, ...]]
AnyRow = SqlRow | Sequence[Any]
STATUSES = {status.value: status for status in Status}


#: of clinics, as `c`: what clinic_of takes
CLINIC_COLUMNS = """c.name, c.time_zone, c.notice_min, c.horizon_days, c.cancel_notice_min,
       c.hold_min, c.max_open_appointments, c.reminder_leads_min"""
#: how many columns those are
CLINIC_WIDTH = 8
#: with the contact, which only messages, pages and settings need: what whole_clinic_of takes
WHOLE_CLINIC_COLUMNS = f"{CLINIC_COLUMNS}, c.address, c.phone, c.language"
WHOLE_CLINIC_WIDTH = CLINIC_WIDTH + 3


def clinic_of(clinic_id: UUID, row: AnyRow) -> Clinic:
    """Return the clinic from name, zone, the policy's five numbers and its reminder leads."""
    return _clinic(clinic_id, *row[:-1], tuple(row[-1]))


def whole_clinic_of(clinic_id: UUID, row: AnyRow) -> Clinic:
    """Return the clinic from what `clinic_of` takes, and address, phone and language."""
    *settings, address, phone, language = row
    clinic = clinic_of(clinic_id, settings)
    return replace(clinic, contact=Contact(address, phone, language))


# Nearly every request makes one, of the few that there are.
@lru_cache(maxsize=256)
def _clinic(
    clinic_id: UUID,
    name: str,
    zone: str,
    notice_min: int,
    horizon_days: int,
    cancel_notice_min: int,
    hold_min: int,
    max_open_appointments: int,
    leads: tuple[int, ...],
) -> Clinic:
    policy = Policy(
        notice_min, horizon_days, cancel_notice_min, hold_min, leads, max_open_appointments
    )
    return Clinic(clinic_id, name, zone, policy)


def is_proven(actor: Actor, proven: AnyRow) -> bool:
    """Say whether user and role of a session that counts, NULL without one, are the actor's."""
    user_id, role = proven
    return bool(user_id == actor.user_id and role == actor.role)


def clinic_values(clinic: Clinic) -> Values:
    """Return the clinic's row."""
    policy = clinic.policy
    return {
        "id": clinic.id,
        "name": clinic.name,
        "time_zone": clinic.time_zone,
        "notice_min": policy.notice_min,
        "horizon_days": policy.horizon_days,
        "cancel_notice_min": policy.cancel_notice_min,
        "hold_min": policy.hold_min,
        "max_open_appointments": policy.max_open_appointments,
        "reminder_leads_min": list(policy.reminder_leads_min),
        "address": clinic.contact.address,
        "phone": clinic.contact.phone,
        "language": clinic.contact.language,
    }


def slot_of(row: SqlRow) -> Slot:
    """Return the slot of a row of the whole table."""
    return Slot(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        specialty=row.specialty,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        state=SlotState(row.state),
        taken=row.taken,
    )


def free_slot_view(clinic_id: UUID, row: AnyRow) -> SlotView:
    """Return the view from id, doctor, specialty, start, end and the doctor's name."""
    slot_id, doctor_id, specialty, starts_at, ends_at, doctor_name = row
    slot = Slot(slot_id, clinic_id, doctor_id, specialty, starts_at, ends_at)
    return SlotView(slot, doctor_name)


def appointment_of(row: SqlRow) -> Appointment:
    """Return the appointment of a row that holds its columns."""
    return Appointment(
        id=row.id,
        clinic_id=row.clinic_id,
        slot_id=row.slot_id,
        doctor_id=row.doctor_id,
        patient_id=row.patient_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        type=row.type,
        status=Status(row.status),
        version=row.version,
        schedule_version=row.schedule_version,
        status_by=row.status_by,
        created_at=row.created_at,
    )


def view_of(clinic_id: UUID, row: AnyRow) -> AppointmentView:
    """Return the view from the columns that hot.APPOINTMENT names."""
    appointment_id, slot_id, doctor_id, patient_id, starts_at, ends_at, kind, status = row[:8]
    version, schedule_version, status_by, created_at, doctor_name, patient_name, zone = row[8:]
    appointment = Appointment(
        id=appointment_id,
        clinic_id=clinic_id,
        slot_id=slot_id,
        doctor_id=doctor_id,
        patient_id=patient_id,
        starts_at=starts_at,
        ends_at=ends_at,
        type=kind,
        status=STATUSES[status],
        version=version,
        schedule_version=schedule_version,
        status_by=status_by,
        created_at=created_at,
    )
    return AppointmentView(appointment, doctor_name, patient_name, zone_named(zone))


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


def message_values(message: Message) -> Values:
    """Return the message's row in the outbox; the rest of its columns have defaults."""
    return {
        "clinic_id": message.clinic_id,
        "id": message.id,
        "appointment_id": message.appointment_id,
        "user_id": message.user_id,
        "kind": message.kind,
        "channel": message.channel,
        "version": message.version,
        "scheduled_for": message.scheduled_for,
        "next_at": message.scheduled_for,
        "expires_at": message.expires_at,
        "created_at": message.created_at,
    }


def answer_of(request: IdempotentRequest, row: AnyRow) -> StoredAnswer:
    """Return the answer from fingerprint, status, body, location, ETag and time."""
    fingerprint, status, body, location, etag, created_at = row
    asked = IdempotentRequest(request.clinic_id, request.principal_id, request.key, fingerprint)
    return StoredAnswer(asked, Answer(status, body, location, etag), created_at)


def answer_values(stored: StoredAnswer) -> Values:
    """Return the answer's row."""
    request, answer = stored.request, stored.answer
    return {
        "clinic_id": request.clinic_id,
        "principal_id": request.principal_id,
        "key": request.key,
        "fingerprint": request.fingerprint,
        "status": answer.status,
        "body": answer.body,
        "location": answer.location,
        "etag": answer.etag,
        "created_at": stored.created_at,
    }


def availability_of(row: SqlRow) -> Availability:
    """Return the hours of a row of the whole table."""
    return Availability(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        start=row.start_time,
        end=row.end_time,
        slot_min=row.slot_min,
        weekdays=tuple(row.weekdays),
        on_date=row.on_date,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )


def availability_values(hours: Availability) -> Values:
    """Return the hours' row."""
    return {
        "clinic_id": hours.clinic_id,
        "id": hours.id,
        "doctor_id": hours.doctor_id,
        "start_time": hours.start,
        "end_time": hours.end,
        "slot_min": hours.slot_min,
        "weekdays": list(hours.weekdays),
        "on_date": hours.on_date,
        "valid_from": hours.valid_from,
        "valid_until": hours.valid_until,
    }


def exception_of(row: SqlRow) -> AvailabilityException:
    """Return the exception of a row of the whole table."""
    return AvailabilityException(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        on_date=row.on_date,
        kind=ExceptionKind(row.kind),
        start=row.start_time,
        end=row.end_time,
        slot_min=row.slot_min,
    )


def exception_values(exception: AvailabilityException) -> Values:
    """Return the exception's row."""
    return {
        "clinic_id": exception.clinic_id,
        "id": exception.id,
        "doctor_id": exception.doctor_id,
        "on_date": exception.on_date,
        "kind": exception.kind.value,
        "start_time": exception.start,
        "end_time": exception.end,
        "slot_min": exception.slot_min,
    }


def columns_of(rows: Sequence[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    """Return the rows turned into one list for each column, as unnest takes them."""
    return [[row[name] for row in rows] for name in names]

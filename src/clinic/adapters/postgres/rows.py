"""Rows as the domain's values, and values as rows."""

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from clinic.adapters.postgres.engine.mapping import (
    AnyRow,
    Columns,
    Layout,
    SqlRow,
    Values,
    of_table,
)
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

STATUSES = {status.value: status for status in Status}

_POLICY = tuple(field.name for field in fields(Policy))
#: of clinics, as `c`: what clinic_of takes. Each field of Policy is a column of its name.
CLINIC = of_table("c", "name", "time_zone", *_POLICY)
#: what only messages, pages and settings need beside it
CONTACT = of_table("c", *(field.name for field in fields(Contact)))
WHOLE_CLINIC = Layout(CLINIC, CONTACT)
#: a list, which the cache of clinics cannot have in its key
_LEADS = CLINIC.names.index("reminder_leads_min")


def clinic_of(clinic_id: UUID, part: AnyRow) -> Clinic:
    """Return the clinic from the columns of CLINIC."""
    return _clinic(clinic_id, (*part[:_LEADS], tuple(part[_LEADS]), *part[_LEADS + 1 :]))


def whole_clinic_of(clinic_id: UUID, clinic: AnyRow, contact: AnyRow) -> Clinic:
    """Return the clinic from the columns of CLINIC and of CONTACT."""
    return replace(clinic_of(clinic_id, clinic), contact=Contact(**CONTACT.named(contact)))


# Nearly every request makes one, of the few that there are.
@lru_cache(maxsize=256)
def _clinic(clinic_id: UUID, values: tuple[Any, ...]) -> Clinic:
    named = CLINIC.named(values)
    policy = Policy(**{name: named[name] for name in _POLICY})
    return Clinic(clinic_id, named["name"], named["time_zone"], policy)


def is_proven(actor: Actor, proven: AnyRow) -> bool:
    """Say whether user and role of a session that counts, NULL without one, are the actor's."""
    user_id, role = proven
    return bool(user_id == actor.user_id and role == actor.role)


def clinic_values(clinic: Clinic) -> Values:
    """Return the clinic's row."""
    values: Values = {"id": clinic.id, "name": clinic.name, "time_zone": clinic.time_zone}
    values |= {name: getattr(clinic.policy, name) for name in _POLICY}
    values["reminder_leads_min"] = list(clinic.policy.reminder_leads_min)
    return values | {name: getattr(clinic.contact, name) for name in CONTACT.names}


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


def appointment_values(appointment: Appointment) -> Values:
    """Return the row of a new appointment."""
    return {
        "clinic_id": appointment.clinic_id,
        "id": appointment.id,
        "slot_id": appointment.slot_id,
        "doctor_id": appointment.doctor_id,
        "patient_id": appointment.patient_id,
        "starts_at": appointment.starts_at,
        "ends_at": appointment.ends_at,
        "type": appointment.type,
        "status": appointment.status.value,
        "version": appointment.version,
        "schedule_version": appointment.schedule_version,
        "status_by": appointment.status_by,
        "created_at": appointment.created_at,
        "updated_at": appointment.created_at,
    }


#: of appointments as `a`, a doctor's profile as `d`, a patient's user as `pu`, and clinics as `c`
VIEW = Columns(
    id="a.id",
    slot_id="a.slot_id",
    doctor_id="a.doctor_id",
    patient_id="a.patient_id",
    starts_at="a.starts_at",
    ends_at="a.ends_at",
    type="a.type",
    status="a.status",
    version="a.version",
    schedule_version="a.schedule_version",
    status_by="a.status_by",
    created_at="a.created_at",
    doctor_name="d.name",
    patient_name="pu.name",
    zone="c.time_zone",
)


def view_of(clinic_id: UUID, row: AnyRow) -> AppointmentView:
    """Return the view from the columns of VIEW."""
    appointment_id, slot_id, doctor_id, patient_id, starts_at, ends_at, kind, status, *rest = row
    version, schedule_version, status_by, created_at, doctor_name, patient_name, zone = rest
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


#: of idempotency_keys
ANSWER = of_table("k", "fingerprint", "status", "body", "location", "etag", "created_at")


def answer_of(request: IdempotentRequest, part: AnyRow) -> StoredAnswer:
    """Return the answer from the columns of ANSWER."""
    fingerprint, status, body, location, etag, created_at = part
    asked = request._replace(fingerprint=fingerprint)
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

"""Appointments as rows, and rows as appointments."""

from datetime import timedelta
from uuid import UUID

from clinic.adapters.postgres.engine.mapping import AnyRow, Columns, SqlRow, Values
from clinic.domain.appointments.appointments import Appointment, AppointmentView, Status
from clinic.domain.appointments.resources import HeldResource
from clinic.domain.clinic import zone_named

STATUSES = {status.value: status for status in Status}


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
        type_id=row.type_id,
        before_min=_minutes(row.starts_at - row.busy_from),
        after_min=_minutes(row.busy_until - row.ends_at),
        lane=row.lane,
    )


def _minutes(time: timedelta) -> int:
    return time // timedelta(minutes=1)


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
        "lane": appointment.lane,
        "busy_from": appointment.busy.starts_at,
        "busy_until": appointment.busy.ends_at,
        "type": appointment.type,
        "type_id": appointment.type_id,
        "status": appointment.status.value,
        "version": appointment.version,
        "schedule_version": appointment.schedule_version,
        "status_by": appointment.status_by,
        "created_at": appointment.created_at,
        "updated_at": appointment.created_at,
    }


#: columns of the appointment `a`, the doctor's profile `d`, the patient's user `pu`, the clinic
#: `c`, the location `l`
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
    type_id="a.type_id",
    busy_from="a.busy_from",
    busy_until="a.busy_until",
    lane="a.lane",
    doctor_name="d.name",
    patient_name="pu.name",
    zone="c.time_zone",
    location_id="l.id",
    location_name="l.name",
    # Only of those that can have any: a page has hundreds.
    resources="""CASE WHEN a.type_id IS NOT NULL THEN (
        SELECT json_agg(json_build_array(r.id, r.name, r.kind) ORDER BY r.kind, r.id)
        FROM appointment_resources h
        JOIN resources r ON r.clinic_id = h.clinic_id AND r.id = h.resource_id
        WHERE h.clinic_id = a.clinic_id AND h.appointment_id = a.id AND h.occupying
    ) END""",
)


def view_of(clinic_id: UUID, row: AnyRow) -> AppointmentView:
    """Return the view from the columns of VIEW."""
    appointment_id, slot_id, doctor_id, patient_id, starts_at, ends_at, kind, status, *rest = row
    version, schedule_version, status_by, created_at, type_id, *rest = rest
    busy_from, busy_until, lane, *names = rest
    doctor_name, patient_name, zone, location_id, location_name, held = names
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
        type_id=type_id,
        # Nearly all are busy while they are visible, and a page has hundreds.
        before_min=0 if busy_from == starts_at else _minutes(starts_at - busy_from),
        after_min=0 if busy_until == ends_at else _minutes(busy_until - ends_at),
        lane=lane,
    )
    resources = tuple(HeldResource(UUID(id), name, kind) for id, name, kind in held or ())
    return AppointmentView(
        appointment,
        doctor_name,
        patient_name,
        zone_named(zone),
        resources,
        location_id,
        location_name,
    )

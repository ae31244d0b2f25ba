"""Appointments."""

from sqlalchemy import (
    Index,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from clinic.adapters.postgres.schema.base import (
    TIME_RANGE,
    check,
    id_,
    instant,
    int_,
    key,
    metadata,
    one_of,
    references,
    text_,
)
from clinic.domain.appointments.appointments import OCCUPYING, Status

_OCCUPIES = f"status IN {one_of(OCCUPYING)}"

appointments = Table(
    "appointments",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("slot_id"),
    id_("doctor_id"),
    id_("patient_id"),
    instant("starts_at"),
    instant("ends_at"),
    text_("type", nullable=True),
    text_("status"),
    int_("version"),
    int_("schedule_version"),
    id_("status_by"),
    instant("created_at"),
    instant("updated_at"),
    key("appointments_pkey", "clinic_id", "id"),
    references(
        "appointments_slot_fkey",
        ["clinic_id", "slot_id", "doctor_id", "starts_at", "ends_at"],
        "slots",
        ["clinic_id", "id", "doctor_id", "starts_at", "ends_at"],
        onupdate="CASCADE",
    ),
    references(
        "appointments_patient_fkey",
        ["clinic_id", "patient_id"],
        "patients_profiles",
        ["clinic_id", "user_id"],
    ),
    check("appointments_status_known", f"status IN {one_of(Status)}"),
    check("appointments_type_length", "char_length(type) BETWEEN 1 AND 80"),
    check("appointments_version_range", "version >= 1 AND schedule_version >= 0"),
    check("appointments_end_after_start", "ends_at > starts_at"),
    # The backstop behind slots.taken.
    Index(
        "appointments_occupied_slot_key",
        "clinic_id",
        "slot_id",
        unique=True,
        postgresql_where=text(_OCCUPIES),
    ),
    ExcludeConstraint(
        ("clinic_id", "="),
        ("patient_id", "="),
        (text(TIME_RANGE), "&&"),
        name="appointments_patient_excl",
        using="gist",
        where=text(_OCCUPIES),
    ),
    Index("appointments_slot_idx", "clinic_id", "slot_id", "doctor_id", "starts_at", "ends_at"),
    Index("appointments_patient_idx", "clinic_id", "patient_id", "starts_at", "id"),
    Index("appointments_doctor_idx", "clinic_id", "doctor_id", "starts_at", "id"),
    Index("appointments_starts_idx", "clinic_id", "starts_at", "id"),
)

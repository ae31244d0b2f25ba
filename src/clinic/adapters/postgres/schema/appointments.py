"""Appointments."""

from sqlalchemy import (
    Index,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from clinic.adapters.postgres.schema.base import (
    BUSY_RANGE,
    LANE_KEY,
    PAIR_KEY,
    TIME_RANGE,
    check,
    id_,
    instant,
    int_,
    key,
    lane,
    metadata,
    one_of,
    references,
    text_,
)
from clinic.domain.appointments.appointments import OCCUPYING, Status

_OCCUPIES = f"status IN {one_of(OCCUPYING)}"
# Since every appointment has a busy time, the same; so that the migration could make them empty.
KEEPS_TIME = f"{_OCCUPIES} AND busy_from IS NOT NULL"

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
    lane(),
    instant("busy_from"),
    instant("busy_until"),
    text_("type", nullable=True),
    text_("status"),
    int_("version"),
    int_("schedule_version"),
    id_("status_by"),
    instant("created_at"),
    instant("updated_at"),
    # Without a foreign key, for which every booking would lock the type's row: types are never
    # deleted.
    id_("type_id", nullable=True),
    key("appointments_pkey", "clinic_id", "id"),
    references(
        "appointments_place_fkey",
        ["clinic_id", "slot_id", "doctor_id", "lane", "starts_at"],
        "slots",
        ["clinic_id", "id", "doctor_id", "lane", "starts_at"],
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
    check("appointments_lane_range", "lane >= 1"),
    check("appointments_busy_around", "busy_from <= starts_at AND busy_until >= ends_at"),
    # The backstop behind slots.taken.
    Index(
        "appointments_occupied_slot_key",
        "clinic_id",
        "slot_id",
        unique=True,
        postgresql_where=text(_OCCUPIES),
    ),
    # What a slot that is no longer planned leaves of it: whatever becomes of slots, no two
    # appointments are at one time in one lane.
    ExcludeConstraint(
        (text(f"{LANE_KEY}(clinic_id, doctor_id, lane)"), "="),
        (text(BUSY_RANGE), "&&"),
        name="appointments_busy_excl",
        using="gist",
        where=text(KEEPS_TIME),
    ),
    ExcludeConstraint(
        (text(f"{PAIR_KEY}(clinic_id, patient_id)"), "="),
        (text(TIME_RANGE), "&&"),
        name="appointments_patient_excl",
        using="gist",
        where=text(KEEPS_TIME),
    ),
    Index("appointments_patient_idx", "clinic_id", "patient_id", "starts_at", "id"),
    Index("appointments_doctor_idx", "clinic_id", "doctor_id", "starts_at", "id"),
    Index("appointments_starts_idx", "clinic_id", "starts_at", "id"),
)

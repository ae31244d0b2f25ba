"""Types of appointments, and the doctors who offer them."""

from sqlalchemy import Boolean, Column, Index, Table, func, text

from clinic.adapters.postgres.schema.base import (
    check,
    created_at,
    id_,
    int_,
    key,
    metadata,
    one_of,
    references,
    text_,
)
from clinic.domain.appointments.appointments import TYPE_MAX_CHARS
from clinic.domain.appointments.types import (
    BUFFER_MAX_MIN,
    BUSY_MAX_MIN,
    INSTRUCTIONS_MAX_CHARS,
    BookableBy,
)
from clinic.domain.calendar.availability import SLOT_MAX_MIN, SLOT_MIN_MIN
from clinic.domain.clinic import HORIZON_MAX_DAYS, NOTICE_MAX_MIN

_LENGTH = f"visible_min BETWEEN {SLOT_MIN_MIN} AND {SLOT_MAX_MIN}"

# No foreign key refers to a type, and the application's role may delete none: decisions/076.
appointment_types = Table(
    "appointment_types",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("name"),
    int_("visible_min"),
    int_("before_min"),
    int_("after_min"),
    # NULL is the clinic's.
    int_("notice_min", nullable=True),
    int_("horizon_days", nullable=True),
    text_("bookable_by"),
    # Whether every doctor of the clinic offers it; else those in appointment_type_offers do.
    Column("all_doctors", Boolean(), nullable=False),
    text_("instructions", nullable=True),
    text_("color", nullable=True),
    Column("is_default", Boolean(), nullable=False),
    Column("is_active", Boolean(), nullable=False),
    created_at(),
    key("appointment_types_pkey", "clinic_id", "id"),
    references("appointment_types_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    check("appointment_types_name_length", f"char_length(name) BETWEEN 1 AND {TYPE_MAX_CHARS}"),
    check("appointment_types_length_range", _LENGTH),
    check("appointment_types_before_range", f"before_min BETWEEN 0 AND {BUFFER_MAX_MIN}"),
    check("appointment_types_after_range", f"after_min BETWEEN 0 AND {BUFFER_MAX_MIN}"),
    check(
        "appointment_types_busy_range",
        f"visible_min + before_min + after_min <= {BUSY_MAX_MIN}",
    ),
    check("appointment_types_notice_range", f"notice_min BETWEEN 0 AND {NOTICE_MAX_MIN}"),
    check("appointment_types_horizon_range", f"horizon_days BETWEEN 1 AND {HORIZON_MAX_DAYS}"),
    check("appointment_types_bookable_by_known", f"bookable_by IN {one_of(BookableBy)}"),
    check(
        "appointment_types_instructions_length",
        f"char_length(instructions) BETWEEN 1 AND {INSTRUCTIONS_MAX_CHARS}",
    ),
    check("appointment_types_color_code", "color ~ '^#[0-9a-f]{6}$'"),
)

_ACTIVE = appointment_types.c.is_active
Index(
    "appointment_types_name_key",
    appointment_types.c.clinic_id,
    func.lower(appointment_types.c.name),
    unique=True,
    postgresql_where=_ACTIVE,
)
Index(
    "appointment_types_default_key",
    appointment_types.c.clinic_id,
    unique=True,
    postgresql_where=text("is_default AND is_active"),
)

appointment_type_offers = Table(
    "appointment_type_offers",
    metadata,
    id_("clinic_id"),
    id_("type_id"),
    id_("doctor_id"),
    # NULL is the type's.
    int_("visible_min", nullable=True),
    key("appointment_type_offers_pkey", "clinic_id", "type_id", "doctor_id"),
    references(
        "appointment_type_offers_type_fkey",
        ["clinic_id", "type_id"],
        "appointment_types",
        ["clinic_id", "id"],
    ),
    references(
        "appointment_type_offers_doctor_fkey",
        ["clinic_id", "doctor_id"],
        "doctors_profiles",
        ["clinic_id", "user_id"],
    ),
    check("appointment_type_offers_length_range", _LENGTH),
    Index("appointment_type_offers_doctor_idx", "clinic_id", "doctor_id"),
)

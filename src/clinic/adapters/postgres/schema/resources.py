"""Rooms and equipment, their closures, the kinds that types need, and what appointments hold."""

from sqlalchemy import Boolean, Column, Index, Table, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from clinic.adapters.postgres.schema.base import (
    BUSY_RANGE,
    PAIR_KEY,
    check,
    created_at,
    id_,
    instant,
    int_,
    key,
    metadata,
    references,
    text_,
)
from clinic.domain.appointments.resources import (
    CAPACITY_MAX,
    KIND_MAX_CHARS,
    REASON_MAX_CHARS,
    RESOURCE_NAME_MAX_CHARS,
)

# The application's role may delete none: appointments have had them.
resources = Table(
    "resources",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("kind"),
    text_("name"),
    int_("capacity"),
    id_("location_id", nullable=True),
    Column("is_active", Boolean(), nullable=False),
    created_at(),
    key("resources_pkey", "clinic_id", "id"),
    references("resources_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    references(
        "resources_location_fkey", ["clinic_id", "location_id"], "locations", ["clinic_id", "id"]
    ),
    check("resources_kind_length", f"char_length(kind) BETWEEN 1 AND {KIND_MAX_CHARS}"),
    check("resources_name_length", f"char_length(name) BETWEEN 1 AND {RESOURCE_NAME_MAX_CHARS}"),
    check("resources_capacity_range", f"capacity BETWEEN 1 AND {CAPACITY_MAX}"),
    Index("resources_location_idx", "clinic_id", "location_id"),
)

resource_closures = Table(
    "resource_closures",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("resource_id"),
    instant("starts_at"),
    instant("ends_at"),
    text_("reason", nullable=True),
    created_at(),
    key("resource_closures_pkey", "clinic_id", "id"),
    references(
        "resource_closures_resource_fkey",
        ["clinic_id", "resource_id"],
        "resources",
        ["clinic_id", "id"],
    ),
    check("resource_closures_end_after_start", "ends_at > starts_at"),
    check(
        "resource_closures_reason_length", f"char_length(reason) BETWEEN 1 AND {REASON_MAX_CHARS}"
    ),
    Index("resource_closures_resource_idx", "clinic_id", "resource_id", "ends_at"),
)

appointment_type_needs = Table(
    "appointment_type_needs",
    metadata,
    id_("clinic_id"),
    id_("type_id"),
    text_("kind"),
    key("appointment_type_needs_pkey", "clinic_id", "type_id", "kind"),
    references(
        "appointment_type_needs_type_fkey",
        ["clinic_id", "type_id"],
        "appointment_types",
        ["clinic_id", "id"],
    ),
    check(
        "appointment_type_needs_kind_length", f"char_length(kind) BETWEEN 1 AND {KIND_MAX_CHARS}"
    ),
)

# Triggers copy everything but the ids and the place from the appointment.
appointment_resources = Table(
    "appointment_resources",
    metadata,
    id_("clinic_id"),
    id_("appointment_id"),
    id_("resource_id"),
    # Which of the resource's places for its occasion it has, from 1.
    int_("place"),
    id_("occasion_id"),
    instant("busy_from"),
    instant("busy_until"),
    Column("occupying", Boolean(), nullable=False),
    key("appointment_resources_pkey", "clinic_id", "appointment_id", "resource_id"),
    references(
        "appointment_resources_appointment_fkey",
        ["clinic_id", "appointment_id"],
        "appointments",
        ["clinic_id", "id"],
    ),
    references(
        "appointment_resources_resource_fkey",
        ["clinic_id", "resource_id"],
        "resources",
        ["clinic_id", "id"],
    ),
    check("appointment_resources_place_range", "place >= 1"),
    # No resource has two occasions at one time, nor two appointments in one place of an occasion.
    ExcludeConstraint(
        (text(f"{PAIR_KEY}(clinic_id, resource_id)"), "="),
        ("occasion_id", "<>"),
        (text(BUSY_RANGE), "&&"),
        name="appointment_resources_excl",
        using="gist",
        where=text("occupying"),
    ),
    Index(
        "appointment_resources_place_key",
        "clinic_id",
        "resource_id",
        "occasion_id",
        "place",
        unique=True,
        postgresql_where=text("occupying"),
    ),
    Index("appointment_resources_times_idx", "clinic_id", "resource_id", "busy_from"),
)

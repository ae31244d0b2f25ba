"""Locations: where a clinic's doctors work."""

from sqlalchemy import Boolean, Column, Index, Table, func

from clinic.adapters.postgres.schema.base import (
    check,
    created_at,
    id_,
    key,
    metadata,
    references,
    text_,
)
from clinic.domain.calendar.locations import DIRECTIONS_MAX_CHARS, LOCATION_NAME_MAX_CHARS
from clinic.domain.contact import ADDRESS_MAX_CHARS

# The application's role may delete none: slots and appointments have been there.
locations = Table(
    "locations",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("name"),
    text_("address", nullable=True),
    text_("directions", nullable=True),
    text_("phone", nullable=True),
    # Of its public holidays; NULL are those of the clinic.
    text_("country", nullable=True),
    text_("subdivision", nullable=True),
    Column("is_active", Boolean(), nullable=False),
    created_at(),
    key("locations_pkey", "clinic_id", "id"),
    references("locations_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    check("locations_name_length", f"char_length(name) BETWEEN 1 AND {LOCATION_NAME_MAX_CHARS}"),
    check("locations_address_length", f"char_length(address) BETWEEN 1 AND {ADDRESS_MAX_CHARS}"),
    check(
        "locations_directions_length",
        f"char_length(directions) BETWEEN 1 AND {DIRECTIONS_MAX_CHARS}",
    ),
    check(
        "locations_country_code",
        "country ~ '^[A-Z]{2}$' AND (subdivision IS NULL OR subdivision ~ '^[A-Z0-9]{1,4}$')",
    ),
    check("locations_subdivision_of_country", "subdivision IS NULL OR country IS NOT NULL"),
)

Index(
    "locations_name_key",
    locations.c.clinic_id,
    func.lower(locations.c.name),
    unique=True,
    postgresql_where=locations.c.is_active,
)

"""Locations: where a clinic's doctors work."""

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE IF NOT EXISTS locations (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        name TEXT NOT NULL,
        address TEXT,
        directions TEXT,
        phone TEXT,
        country TEXT,
        subdivision TEXT,
        is_active BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT locations_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT locations_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
        CONSTRAINT locations_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
        CONSTRAINT locations_address_length CHECK (char_length(address) BETWEEN 1 AND 300),
        CONSTRAINT locations_directions_length CHECK (
            char_length(directions) BETWEEN 1 AND 1000
        ),
        CONSTRAINT locations_country_code CHECK (
            country ~ '^[A-Z]{2}$' AND (subdivision IS NULL OR subdivision ~ '^[A-Z0-9]{1,4}$')
        ),
        CONSTRAINT locations_subdivision_of_country CHECK (
            subdivision IS NULL OR country IS NOT NULL
        )
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS locations_name_key"
    " ON locations (clinic_id, lower(name)) WHERE is_active",
)


def upgrade() -> None:
    """Add a table that the previous release does not read."""
    with online():
        for statement in _STATEMENTS:
            briefly(statement)

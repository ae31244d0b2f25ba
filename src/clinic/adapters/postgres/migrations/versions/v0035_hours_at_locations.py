"""Hours, added places and closures may be at a location, and so are slots."""

from alembic import op

from clinic.adapters.postgres.migrations.online import briefly, online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_COLUMNS = (
    "availabilities ADD COLUMN IF NOT EXISTS location_id UUID",
    "availability_exceptions ADD COLUMN IF NOT EXISTS location_id UUID",
    "added_places ADD COLUMN IF NOT EXISTS location_id UUID",
    "closures ADD COLUMN IF NOT EXISTS location_id UUID",
    "clinics ADD COLUMN IF NOT EXISTS travel_min INTEGER DEFAULT 0 NOT NULL",
    "calendar_changes ADD COLUMN IF NOT EXISTS relocated INTEGER DEFAULT 0 NOT NULL",
)
_KEY = "FOREIGN KEY (clinic_id, location_id) REFERENCES locations (clinic_id, id)"
_CONSTRAINTS = (
    ("availabilities", "availabilities_location_fkey", _KEY),
    ("availability_exceptions", "availability_exceptions_location_fkey", _KEY),
    (
        "availability_exceptions",
        "availability_exceptions_location_when_added",
        "CHECK (location_id IS NULL OR kind = 'ADD')",
    ),
    ("added_places", "added_places_location_fkey", _KEY),
    ("closures", "closures_location_fkey", _KEY),
    ("slots", "slots_location_fkey", _KEY),
    ("clinics", "clinics_travel_range", "CHECK (travel_min BETWEEN 0 AND 480)"),
)
# No slot has a location yet, so it is empty, and quickly built.
_APART = """
ALTER TABLE slots ADD CONSTRAINT slots_location_excl EXCLUDE USING gist (
    {schema}.clinic_pair_key(clinic_id, doctor_id) WITH =, location_id WITH <>,
    tstzrange(starts_at, ends_at, '[)') WITH &&
) WHERE (calendar_lane IS NOT NULL AND location_id IS NOT NULL) DEFERRABLE
"""


def upgrade() -> None:
    """Add columns that the previous release leaves empty, and constraints that no row breaks."""
    schema = quoted_schema(op.get_bind())
    with online():
        for column in _COLUMNS:
            briefly(f"ALTER TABLE {column}")
        for table, name, constraint in _CONSTRAINTS:
            briefly(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            briefly(f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint} NOT VALID")
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
        briefly("ALTER TABLE slots DROP CONSTRAINT IF EXISTS slots_location_excl")
        briefly(_APART.format(schema=schema))

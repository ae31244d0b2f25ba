"""Hours with several places at a time, and free slots by lane.

What is listed gets columns for the lane and the location, so a new table of free slots is filled
beside the old one, as in 0008.
"""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.filling import fill
from clinic.adapters.postgres.migrations.online import briefly, online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_COLUMNS = (
    "slots ADD COLUMN IF NOT EXISTS location_id UUID",
    "availabilities ADD COLUMN IF NOT EXISTS capacity SMALLINT DEFAULT 1 NOT NULL",
    "availability_exceptions ADD COLUMN IF NOT EXISTS capacity SMALLINT DEFAULT 1 NOT NULL",
    "added_places ADD COLUMN IF NOT EXISTS lane SMALLINT DEFAULT 1 NOT NULL",
    "clinics ADD COLUMN IF NOT EXISTS squeeze_max INTEGER DEFAULT 0 NOT NULL",
)
_CHECKS = {
    "availabilities": ("availabilities_capacity_range", "capacity BETWEEN 1 AND 20"),
    "availability_exceptions": (
        "availability_exceptions_capacity_range",
        "capacity BETWEEN 1 AND 20 AND (kind = 'ADD' OR capacity = 1)",
    ),
    "added_places": ("added_places_lane_range", "lane BETWEEN 1 AND 64"),
    "clinics": ("clinics_squeeze_range", "squeeze_max BETWEEN 0 AND 10"),
}
# Packed as before, since servers of the previous release read it: the lane, from 0, is in the
# microseconds of the end, of which the last six bits are free when it is a whole second.
_TABLE = """
CREATE TABLE IF NOT EXISTS free_slots_next (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    specialty TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lane SMALLINT DEFAULT 1 NOT NULL,
    location_id UUID,
    packed BYTEA NOT NULL GENERATED ALWAYS AS (
        uuid_send(id) || timestamptz_send(starts_at)
        || set_byte(timestamptz_send(ends_at), 7,
                    get_byte(timestamptz_send(ends_at), 7) | (lane - 1))
    ) STORED,
    CONSTRAINT free_slots_next_pkey PRIMARY KEY (clinic_id, doctor_id, starts_at, lane)
        INCLUDE (packed, location_id)
)
"""
_INDEXES = {
    "specialty_idx": "(clinic_id, lower(specialty), starts_at, doctor_id, lane)",
    "starts_idx": "(clinic_id, starts_at, doctor_id, lane)",
}
# Roles that may read the old table may read the new one from the start.
_RIGHTS = """
DO $$ DECLARE reader text; BEGIN
    FOR reader IN
        SELECT grantee::regrole FROM pg_class c, aclexplode(c.relacl)
        WHERE c.oid = 'free_slots'::regclass AND privilege_type = 'SELECT' AND grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON free_slots_next TO %s', reader);
    END LOOP;
END $$
"""
# Every slot is in lane 1 until servers of this release run, and has no location.
_COPYING = """
CREATE OR REPLACE FUNCTION clinic_copy_free_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM {schema}.free_slots_next
        WHERE clinic_id = OLD.clinic_id AND doctor_id = OLD.doctor_id
          AND starts_at = OLD.starts_at AND id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {schema}.free_slots_next
            (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
        VALUES (NEW.clinic_id, NEW.id, NEW.doctor_id, NEW.specialty, NEW.starts_at, NEW.ends_at)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$
"""
_COPY_TRIGGER = """
CREATE OR REPLACE TRIGGER free_slots_copy AFTER INSERT OR UPDATE OR DELETE ON free_slots
FOR EACH ROW EXECUTE FUNCTION clinic_copy_free_slots()
"""
# One transaction, in which what keeps the list begins to write lanes.
_SWITCH = """
DROP TABLE free_slots;
DROP FUNCTION clinic_copy_free_slots();
ALTER TABLE free_slots_next RENAME TO free_slots;
ALTER INDEX free_slots_next_pkey RENAME TO free_slots_pkey;
ALTER INDEX free_slots_next_specialty_idx RENAME TO free_slots_specialty_idx;
ALTER INDEX free_slots_next_starts_idx RENAME TO free_slots_starts_idx;
CREATE OR REPLACE FUNCTION clinic_keep_free_slots() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF OLD.state = 'OPEN' AND NOT OLD.taken THEN
        DELETE FROM {schema}.free_slots
        WHERE clinic_id = OLD.clinic_id AND doctor_id = OLD.doctor_id
          AND starts_at = OLD.starts_at AND lane = OLD.lane AND id = OLD.id;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = 'OPEN' AND NOT NEW.taken THEN
            INSERT INTO {schema}.free_slots
                (clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id)
            VALUES (NEW.clinic_id, NEW.id, NEW.doctor_id, NEW.specialty, NEW.starts_at,
                    NEW.ends_at, NEW.lane, NEW.location_id);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION clinic_add_free_slots() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO {schema}.free_slots
        (clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id)
    SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at, lane, location_id FROM added
    WHERE state = 'OPEN' AND NOT taken;
    RETURN NULL;
END $$
"""
_KNOWS_LANES = text(
    "SELECT FROM pg_attribute WHERE attrelid = 'free_slots'::regclass AND attname = 'lane'"
)


def upgrade() -> None:
    """Add columns, then fill a new table of free slots and put it in the old one's place.

    Servers of the previous release go on: they leave out the columns that are new, and read from
    the list what they read before. A rerun goes over everything once more.
    """
    schema = quoted_schema(op.get_bind())
    with online():
        for column in _COLUMNS:
            briefly(f"ALTER TABLE {column}")
        for table, (name, condition) in _CHECKS.items():
            briefly(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            briefly(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
        if op.get_bind().execute(_KNOWS_LANES).first() is not None:
            return
        op.execute(_TABLE)
        op.execute(_RIGHTS)
        op.execute(_COPYING.format(schema=schema))
        briefly(_COPY_TRIGGER)
        fill("free_slots_next")
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS free_slots_next_{name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY free_slots_next_{name} ON free_slots_next {columns}"
                " INCLUDE (id, ends_at, specialty, location_id)"
            )
        # For accurate plans, and scans of the indexes alone.
        op.execute("VACUUM (ANALYZE) free_slots_next")
        briefly(_SWITCH.format(schema=schema))

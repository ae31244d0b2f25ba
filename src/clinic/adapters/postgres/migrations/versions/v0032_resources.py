"""Rooms and equipment: no resource is given to two occasions at one time."""

from alembic import op

from clinic.adapters.postgres.migrations.online import briefly, online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS resources (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        capacity INTEGER NOT NULL,
        location_id UUID,
        is_active BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT resources_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT resources_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
        CONSTRAINT resources_location_fkey FOREIGN KEY (clinic_id, location_id)
            REFERENCES locations (clinic_id, id),
        CONSTRAINT resources_kind_length CHECK (char_length(kind) BETWEEN 1 AND 80),
        CONSTRAINT resources_name_length CHECK (char_length(name) BETWEEN 1 AND 80),
        CONSTRAINT resources_capacity_range CHECK (capacity BETWEEN 1 AND 100)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS resource_closures (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        resource_id UUID NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        reason TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT resource_closures_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT resource_closures_resource_fkey FOREIGN KEY (clinic_id, resource_id)
            REFERENCES resources (clinic_id, id),
        CONSTRAINT resource_closures_end_after_start CHECK (ends_at > starts_at),
        CONSTRAINT resource_closures_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS appointment_type_needs (
        clinic_id UUID NOT NULL,
        type_id UUID NOT NULL,
        kind TEXT NOT NULL,
        CONSTRAINT appointment_type_needs_pkey PRIMARY KEY (clinic_id, type_id, kind),
        CONSTRAINT appointment_type_needs_type_fkey FOREIGN KEY (clinic_id, type_id)
            REFERENCES appointment_types (clinic_id, id),
        CONSTRAINT appointment_type_needs_kind_length CHECK (char_length(kind) BETWEEN 1 AND 80)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS appointment_resources (
        clinic_id UUID NOT NULL,
        appointment_id UUID NOT NULL,
        resource_id UUID NOT NULL,
        place INTEGER NOT NULL,
        occasion_id UUID NOT NULL,
        busy_from TIMESTAMP WITH TIME ZONE NOT NULL,
        busy_until TIMESTAMP WITH TIME ZONE NOT NULL,
        occupying BOOLEAN NOT NULL,
        CONSTRAINT appointment_resources_pkey PRIMARY KEY (clinic_id, appointment_id, resource_id),
        CONSTRAINT appointment_resources_appointment_fkey FOREIGN KEY (clinic_id, appointment_id)
            REFERENCES appointments (clinic_id, id),
        CONSTRAINT appointment_resources_resource_fkey FOREIGN KEY (clinic_id, resource_id)
            REFERENCES resources (clinic_id, id),
        CONSTRAINT appointment_resources_place_range CHECK (place >= 1),
        CONSTRAINT appointment_resources_excl EXCLUDE USING gist (
            {schema}.clinic_pair_key(clinic_id, resource_id) WITH =,
            occasion_id WITH <>,
            tstzrange(busy_from, busy_until, '[)') WITH &&
        ) WHERE (occupying)
    )
    """,
    "CREATE INDEX IF NOT EXISTS resources_location_idx ON resources (clinic_id, location_id)",
    "CREATE INDEX IF NOT EXISTS resource_closures_resource_idx"
    " ON resource_closures (clinic_id, resource_id, ends_at)",
    "CREATE UNIQUE INDEX IF NOT EXISTS appointment_resources_place_key"
    " ON appointment_resources (clinic_id, resource_id, occasion_id, place) WHERE occupying",
    "CREATE INDEX IF NOT EXISTS appointment_resources_times_idx"
    " ON appointment_resources (clinic_id, resource_id, busy_from)",
)
# The functions of triggers run as their owner: the application may not write what they copy.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION clinic_occasion(doctor uuid, starts_at timestamptz, type uuid)
RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN encode(substr(sha256(convert_to(
    doctor || '/' || (extract(epoch FROM starts_at) * 1000000)::bigint || '/'
    || coalesce(type::text, ''), 'UTF8')), 1, 16), 'hex')::uuid;

CREATE OR REPLACE FUNCTION clinic_hold_resource() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    mine {schema}.appointments;
    room {schema}.resources;
BEGIN
    SELECT * INTO mine FROM {schema}.appointments
    WHERE clinic_id = NEW.clinic_id AND id = NEW.appointment_id FOR SHARE;
    SELECT * INTO room FROM {schema}.resources
    WHERE clinic_id = NEW.clinic_id AND id = NEW.resource_id FOR KEY SHARE;
    IF mine.id IS NULL OR room.id IS NULL THEN
        RAISE foreign_key_violation USING
            MESSAGE = 'there is no such appointment or resource in this clinic',
            CONSTRAINT = CASE WHEN mine.id IS NULL THEN 'appointment_resources_appointment_fkey'
                ELSE 'appointment_resources_resource_fkey' END;
    END IF;
    IF mine.type_id IS NULL OR NEW.place > room.capacity THEN
        RAISE check_violation USING
            MESSAGE = 'only appointments with a type have resources, in one of their places',
            CONSTRAINT = 'appointment_resources_place_range';
    END IF;
    NEW.busy_from := mine.busy_from;
    NEW.busy_until := mine.busy_until;
    NEW.occupying := mine.status NOT IN ('CANCELLED', 'EXPIRED');
    NEW.occasion_id := {schema}.clinic_occasion(mine.doctor_id, mine.starts_at, mine.type_id);
    -- Read after the lock: one that closes or ends the resource has committed by now.
    IF NEW.occupying AND (NOT room.is_active OR EXISTS (
        SELECT FROM {schema}.resource_closures c
        WHERE c.clinic_id = NEW.clinic_id AND c.resource_id = NEW.resource_id
          AND c.starts_at < NEW.busy_until AND c.ends_at > NEW.busy_from
    )) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION clinic_keep_resources() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE {schema}.appointment_resources
    SET busy_from = NEW.busy_from, busy_until = NEW.busy_until,
        occupying = NEW.status NOT IN ('CANCELLED', 'EXPIRED'),
        occasion_id = {schema}.clinic_occasion(NEW.doctor_id, NEW.starts_at, NEW.type_id)
    WHERE clinic_id = NEW.clinic_id AND appointment_id = NEW.id;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION clinic_hold_resource(), clinic_keep_resources() FROM PUBLIC
"""
_TRIGGERS = (
    "CREATE OR REPLACE TRIGGER appointment_resources_hold BEFORE INSERT ON appointment_resources"
    " FOR EACH ROW EXECUTE FUNCTION clinic_hold_resource()",
    "CREATE OR REPLACE TRIGGER appointments_keep_resources"
    " AFTER UPDATE OF status, busy_from, busy_until, doctor_id, starts_at, type_id ON appointments"
    " FOR EACH ROW WHEN (OLD.type_id IS NOT NULL AND ("
    "(OLD.status IN ('CANCELLED', 'EXPIRED')) <> (NEW.status IN ('CANCELLED', 'EXPIRED'))"
    " OR (OLD.busy_from, OLD.busy_until, OLD.doctor_id, OLD.starts_at, OLD.type_id)"
    " IS DISTINCT FROM"
    " (NEW.busy_from, NEW.busy_until, NEW.doctor_id, NEW.starts_at, NEW.type_id)))"
    " EXECUTE FUNCTION clinic_keep_resources()",
    "CREATE OR REPLACE TRIGGER appointment_type_needs_version"
    " AFTER INSERT OR UPDATE OR DELETE ON appointment_type_needs"
    " FOR EACH ROW EXECUTE FUNCTION clinic_note_types()",
)


def upgrade() -> None:
    """Add tables that the previous release does not read. Of appointments that have no type, or
    keep their time, the trigger on appointments does nothing."""
    schema = quoted_schema(op.get_bind())
    with online():
        for statement in _TABLES:
            briefly(statement.format(schema=schema))
        op.execute(_FUNCTIONS.format(schema=schema))
        for trigger in _TRIGGERS:
            briefly(trigger)

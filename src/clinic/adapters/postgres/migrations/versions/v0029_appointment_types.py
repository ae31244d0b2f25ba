"""Types of appointments, and the doctors who offer them."""

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE IF NOT EXISTS appointment_types (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        name TEXT NOT NULL,
        visible_min INTEGER NOT NULL,
        before_min INTEGER NOT NULL,
        after_min INTEGER NOT NULL,
        notice_min INTEGER,
        horizon_days INTEGER,
        bookable_by TEXT NOT NULL,
        all_doctors BOOLEAN NOT NULL,
        instructions TEXT,
        color TEXT,
        is_default BOOLEAN NOT NULL,
        is_active BOOLEAN NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT appointment_types_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT appointment_types_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
        CONSTRAINT appointment_types_name_length CHECK (char_length(name) BETWEEN 1 AND 80),
        CONSTRAINT appointment_types_length_range CHECK (visible_min BETWEEN 5 AND 480),
        CONSTRAINT appointment_types_before_range CHECK (before_min BETWEEN 0 AND 240),
        CONSTRAINT appointment_types_after_range CHECK (after_min BETWEEN 0 AND 240),
        CONSTRAINT appointment_types_busy_range CHECK (
            visible_min + before_min + after_min <= 720
        ),
        CONSTRAINT appointment_types_notice_range CHECK (notice_min BETWEEN 0 AND 527040),
        CONSTRAINT appointment_types_horizon_range CHECK (horizon_days BETWEEN 1 AND 730),
        CONSTRAINT appointment_types_bookable_by_known CHECK (
            bookable_by IN ('PATIENTS', 'KNOWN_PATIENTS', 'STAFF')
        ),
        CONSTRAINT appointment_types_instructions_length CHECK (
            char_length(instructions) BETWEEN 1 AND 1000
        ),
        CONSTRAINT appointment_types_color_code CHECK (color ~ '^#[0-9a-f]{6}$')
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS appointment_type_offers (
        clinic_id UUID NOT NULL,
        type_id UUID NOT NULL,
        doctor_id UUID NOT NULL,
        visible_min INTEGER,
        CONSTRAINT appointment_type_offers_pkey PRIMARY KEY (clinic_id, type_id, doctor_id),
        CONSTRAINT appointment_type_offers_type_fkey FOREIGN KEY (clinic_id, type_id)
            REFERENCES appointment_types (clinic_id, id),
        CONSTRAINT appointment_type_offers_doctor_fkey FOREIGN KEY (clinic_id, doctor_id)
            REFERENCES doctors_profiles (clinic_id, user_id),
        CONSTRAINT appointment_type_offers_length_range CHECK (visible_min BETWEEN 5 AND 480)
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS appointment_types_name_key"
    " ON appointment_types (clinic_id, lower(name)) WHERE is_active",
    "CREATE UNIQUE INDEX IF NOT EXISTS appointment_types_default_key"
    " ON appointment_types (clinic_id) WHERE is_default AND is_active",
    "CREATE INDEX IF NOT EXISTS appointment_type_offers_doctor_idx"
    " ON appointment_type_offers (clinic_id, doctor_id)",
    "ALTER TABLE clinics ADD COLUMN IF NOT EXISTS types_version INTEGER DEFAULT 0 NOT NULL",
    """
    CREATE OR REPLACE FUNCTION clinic_note_types() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE clinics SET types_version = types_version + 1
        WHERE id = coalesce(NEW.clinic_id, OLD.clinic_id);
        RETURN NULL;
    END $$
    """,
    *(
        f"CREATE OR REPLACE TRIGGER {table}_version AFTER INSERT OR UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION clinic_note_types()"
        for table in ("appointment_types", "appointment_type_offers")
    ),
)


def upgrade() -> None:
    """Add tables that the previous release does not read, and a number by which servers see that
    the types they have read are still the clinic's."""
    with online():
        for statement in _STATEMENTS:
            briefly(statement)

"""Added places: slots beside a doctor's hours."""

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE IF NOT EXISTS added_places (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        doctor_id UUID NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        reason TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT added_places_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT added_places_doctor_fkey FOREIGN KEY (clinic_id, doctor_id)
            REFERENCES doctors_profiles (clinic_id, user_id),
        CONSTRAINT added_places_times_order CHECK (
            ends_at >= starts_at + interval '5 minutes'
            AND ends_at <= starts_at + interval '480 minutes'
        ),
        CONSTRAINT added_places_times_accepted CHECK (
            starts_at >= '2000-01-01 00:00+00' AND ends_at < '2200-01-01 00:00+00'
        ),
        CONSTRAINT added_places_whole_minutes CHECK (
            extract(epoch FROM starts_at) % 60 = 0 AND extract(epoch FROM ends_at) % 60 = 0
        ),
        CONSTRAINT added_places_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200)
    )
    """,
    "CREATE INDEX IF NOT EXISTS added_places_doctor_idx"
    " ON added_places (clinic_id, doctor_id, ends_at)",
)


def upgrade() -> None:
    """Add a table that the previous release does not read: its slots are planned by hours alone, so
    places are added once all servers run this one."""
    with online():
        for statement in _STATEMENTS:
            briefly(statement)

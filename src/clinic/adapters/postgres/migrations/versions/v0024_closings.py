"""Closures, leave, blocks, a doctor's last day, hours over midnight, and changes of calendars."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS closures (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        first_day DATE,
        last_day DATE,
        start_time TIME WITHOUT TIME ZONE,
        end_time TIME WITHOUT TIME ZONE,
        country TEXT,
        subdivision TEXT,
        open_on DATE[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT closures_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT closures_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
        CONSTRAINT closures_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
        CONSTRAINT closures_kind_known CHECK (kind IN ('ONCE', 'YEARLY', 'HOLIDAYS')),
        CONSTRAINT closures_days_or_country CHECK (
            CASE WHEN kind = 'HOLIDAYS' THEN country IS NOT NULL AND first_day IS NULL
                AND last_day IS NULL AND start_time IS NULL AND end_time IS NULL
            ELSE country IS NULL AND subdivision IS NULL AND first_day IS NOT NULL
                AND last_day IS NOT NULL END
        ),
        CONSTRAINT closures_days_order CHECK (
            last_day >= first_day AND last_day < first_day + 731
        ),
        CONSTRAINT closures_days_accepted CHECK (
            first_day >= '2000-01-01' AND last_day < '2200-01-01'
        ),
        CONSTRAINT closures_times_accepted CHECK (
            extract(second FROM start_time) = 0 AND extract(second FROM end_time) = 0
            AND start_time < '24:00' AND end_time < '24:00'
        ),
        CONSTRAINT closures_times_order CHECK (
            first_day < last_day OR end_time IS NULL OR end_time > coalesce(start_time, '00:00')
        ),
        CONSTRAINT closures_yearly_length CHECK (
            kind <> 'YEARLY' OR last_day < first_day + interval '1 year'
        ),
        CONSTRAINT closures_open_on_days CHECK (
            array_position(open_on, NULL) IS NULL AND cardinality(open_on) <= 100
        ),
        CONSTRAINT closures_country_code CHECK (
            country ~ '^[A-Z]{2}$'
            AND (subdivision IS NULL OR subdivision ~ '^[A-Z0-9]{1,4}$')
        )
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS leaves (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        doctor_id UUID NOT NULL,
        first_day DATE NOT NULL,
        last_day DATE NOT NULL,
        start_time TIME WITHOUT TIME ZONE,
        end_time TIME WITHOUT TIME ZONE,
        reason TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT leaves_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT leaves_doctor_fkey FOREIGN KEY (clinic_id, doctor_id)
            REFERENCES doctors_profiles (clinic_id, user_id),
        CONSTRAINT leaves_days_order CHECK (
            last_day >= first_day AND last_day < first_day + 1100
        ),
        CONSTRAINT leaves_days_accepted CHECK (
            first_day >= '2000-01-01' AND last_day < '2200-01-01'
        ),
        CONSTRAINT leaves_times_accepted CHECK (
            extract(second FROM start_time) = 0 AND extract(second FROM end_time) = 0
            AND start_time < '24:00' AND end_time < '24:00'
        ),
        CONSTRAINT leaves_times_order CHECK (
            first_day < last_day OR end_time IS NULL OR end_time > coalesce(start_time, '00:00')
        ),
        CONSTRAINT leaves_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS blocks (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        doctor_id UUID NOT NULL,
        starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        lane SMALLINT,
        reason TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT blocks_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT blocks_doctor_fkey FOREIGN KEY (clinic_id, doctor_id)
            REFERENCES doctors_profiles (clinic_id, user_id),
        CONSTRAINT blocks_times_order CHECK (
            ends_at > starts_at AND ends_at <= starts_at + interval '731 days'
        ),
        CONSTRAINT blocks_times_accepted CHECK (
            starts_at >= '2000-01-01 00:00+00' AND ends_at < '2200-01-01 00:00+00'
        ),
        CONSTRAINT blocks_lane_range CHECK (lane >= 1),
        CONSTRAINT blocks_reason_length CHECK (char_length(reason) BETWEEN 1 AND 200)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS calendar_changes (
        clinic_id UUID NOT NULL,
        id UUID NOT NULL,
        action TEXT NOT NULL,
        entity TEXT NOT NULL,
        entity_id UUID NOT NULL,
        requested_by UUID NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        first_day DATE NOT NULL,
        last_day DATE NOT NULL,
        doctors INTEGER NOT NULL,
        added INTEGER DEFAULT 0 NOT NULL,
        retired INTEGER DEFAULT 0 NOT NULL,
        blocked INTEGER DEFAULT 0 NOT NULL,
        unblocked INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT calendar_changes_pkey PRIMARY KEY (clinic_id, id),
        CONSTRAINT calendar_changes_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
        CONSTRAINT calendar_changes_days_order CHECK (last_day >= first_day)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS calendar_work (
        clinic_id UUID NOT NULL,
        change_id UUID NOT NULL,
        doctor_id UUID NOT NULL,
        next_day DATE NOT NULL,
        last_day DATE NOT NULL,
        CONSTRAINT calendar_work_pkey PRIMARY KEY (clinic_id, change_id, doctor_id),
        CONSTRAINT calendar_work_change_fkey FOREIGN KEY (clinic_id, change_id)
            REFERENCES calendar_changes (clinic_id, id),
        CONSTRAINT calendar_work_doctor_fkey FOREIGN KEY (clinic_id, doctor_id)
            REFERENCES doctors_profiles (clinic_id, user_id),
        CONSTRAINT calendar_work_days_order CHECK (last_day >= next_day)
    )
    """,
    "CREATE INDEX IF NOT EXISTS leaves_doctor_idx ON leaves (clinic_id, doctor_id, id)",
    "CREATE INDEX IF NOT EXISTS blocks_doctor_idx ON blocks (clinic_id, doctor_id, ends_at)",
    "CREATE INDEX IF NOT EXISTS calendar_work_turn_idx ON calendar_work (next_day, doctor_id)",
    "CREATE INDEX IF NOT EXISTS calendar_work_doctor_idx ON calendar_work (clinic_id, doctor_id)",
)
_COLUMNS = (
    "doctors_profiles ADD COLUMN IF NOT EXISTS last_day DATE",
    "availabilities ADD COLUMN IF NOT EXISTS overnight BOOLEAN DEFAULT false NOT NULL",
    "availability_exceptions ADD COLUMN IF NOT EXISTS overnight BOOLEAN DEFAULT false NOT NULL",
)
_TIMES_ORDER = {
    "availabilities": "CASE WHEN overnight THEN end_time <= start_time"
    " ELSE end_time > start_time END",
    "availability_exceptions": "(start_time IS NULL) = (end_time IS NULL)"
    " AND CASE WHEN start_time IS NULL THEN NOT overnight"
    " WHEN overnight THEN end_time <= start_time ELSE end_time > start_time END",
}


def upgrade() -> None:
    """Add what the previous release does not use. Hours over midnight, which it cannot read, must
    wait until all servers run this one."""
    with online():
        for statement in _TABLES:
            briefly(statement)
        for column in _COLUMNS:
            briefly(f"ALTER TABLE {column}")
        for table, condition in _TIMES_ORDER.items():
            name = f"{table}_times_order"
            briefly(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            briefly(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
            op.execute(text(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"))
            briefly(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_end_after_start")

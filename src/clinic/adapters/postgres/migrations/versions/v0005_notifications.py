"""Dead letters, messages about an appointment to a named person, day sheets, and preferences."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import online

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: table, constraint, the new condition
CHECKS = (
    (
        "notification_outbox",
        "notification_outbox_state_known",
        "state IN ('pending', 'claimed', 'sending', 'dead')",
    ),
    (
        "notification_outbox",
        "notification_outbox_one_subject",
        "num_nonnulls(appointment_id, user_id) >= 1",
    ),
    ("notification", "notification_one_subject", "num_nonnulls(appointment_id, user_id) >= 1"),
)
_PARTS = text(
    """
    SELECT part.inhrelid::regclass::text
    FROM pg_inherits part
    WHERE part.inhparent = 'notification'::regclass AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index i ON i.indexrelid = attached.inhrelid
        WHERE attached.inhparent = 'notification_due_idx'::regclass
          AND i.indrelid = part.inhrelid
    )
    """
)


def upgrade() -> None:
    """Widen the checks (every row satisfies the new ones), make the table and the indexes."""
    for table, name, condition in CHECKS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS notification_preferences (
            clinic_id UUID NOT NULL,
            user_id UUID NOT NULL,
            language TEXT NOT NULL,
            channel TEXT NOT NULL,
            opted_out TEXT[] NOT NULL,
            CONSTRAINT notification_preferences_pkey PRIMARY KEY (clinic_id, user_id),
            CONSTRAINT notification_preferences_clinic_fkey FOREIGN KEY (clinic_id)
                REFERENCES clinics (id),
            CONSTRAINT notification_preferences_user_fkey FOREIGN KEY (user_id)
                REFERENCES users (id),
            CONSTRAINT notification_preferences_language_length
                CHECK (char_length(language) BETWEEN 2 AND 35),
            CONSTRAINT notification_preferences_channel_known CHECK (channel IN ('email', 'sms')),
            CONSTRAINT notification_preferences_opted_out_size CHECK (cardinality(opted_out) <= 20)
        )
        """
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS notification_preferences_user_idx"
        " ON notification_preferences (user_id)"
    )
    with online():
        for table, name, _ in CHECKS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notification_outbox_sheet_key")
        op.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY notification_outbox_sheet_key"
            " ON notification_outbox (clinic_id, user_id, version) WHERE kind = 'day_sheet'"
        )
        columns = "(clinic_id, scheduled_for, id)"
        op.execute(
            f"CREATE INDEX IF NOT EXISTS notification_due_idx ON ONLY notification {columns}"
        )
        for part in op.get_bind().scalars(_PARTS).all():
            index = f"{part}_due_idx"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            op.execute(f"CREATE INDEX CONCURRENTLY {index} ON {part} {columns}")
            op.execute(f"ALTER INDEX notification_due_idx ATTACH PARTITION {index}")

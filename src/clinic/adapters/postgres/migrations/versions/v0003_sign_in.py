"""Staff of a clinic, kinds of sessions, and the seals over the audit trail."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TRAILS = ("audit_appointment", "audit_event")


def upgrade() -> None:
    """Make the tables and columns."""
    op.execute(
        """
        CREATE TABLE staff_profiles (
            clinic_id UUID NOT NULL,
            user_id UUID NOT NULL,
            CONSTRAINT staff_profiles_pkey PRIMARY KEY (clinic_id, user_id),
            CONSTRAINT staff_profiles_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
            CONSTRAINT staff_profiles_user_fkey FOREIGN KEY (user_id) REFERENCES users (id)
        )
        """
    )
    op.execute("CREATE INDEX staff_profiles_user_idx ON staff_profiles (user_id)")
    op.execute(
        "ALTER TABLE sessions ADD COLUMN kind TEXT DEFAULT 'bearer' NOT NULL"
        " CONSTRAINT sessions_kind_known CHECK (kind IN ('bearer', 'cookie'))"
    )
    op.execute(
        """
        CREATE TABLE audit_seals (
            seq BIGINT NOT NULL,
            sealed_at TIMESTAMP WITH TIME ZONE NOT NULL,
            xid_from BIGINT NOT NULL,
            xid_to BIGINT NOT NULL,
            row_count INTEGER NOT NULL,
            root BYTEA NOT NULL,
            previous BYTEA NOT NULL,
            chain BYTEA NOT NULL,
            keys BYTEA NOT NULL,
            leaves BYTEA NOT NULL,
            CONSTRAINT audit_seals_pkey PRIMARY KEY (seq),
            CONSTRAINT audit_seals_from_key UNIQUE (xid_from),
            CONSTRAINT audit_seals_range CHECK (xid_to > xid_from AND row_count >= 1)
        )
        """
    )
    op.execute(
        "CREATE TRIGGER audit_seals_no_change BEFORE UPDATE OR DELETE ON audit_seals"
        " FOR EACH ROW EXECUTE FUNCTION clinic_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_seals_no_truncate BEFORE TRUNCATE ON audit_seals"
        " EXECUTE FUNCTION clinic_refuse_change()"
    )
    for table in TRAILS:
        # The default is the same for every existing row, so nothing is rewritten.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN xid BIGINT"
            " DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL"
        )

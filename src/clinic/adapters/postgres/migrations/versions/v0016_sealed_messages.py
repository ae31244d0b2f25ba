"""The log of messages is sealed and append-only; every row names a possible transaction."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import index_by_parts, online

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TRAILS = ("audit_appointment", "audit_event", "notification")
_PARTS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'notification'::regclass"
)
# A row that breaks the constraint was put there by hand: `clinic audit verify` names it, and the
# constraint still holds for later rows.
_VALIDATE = """
DO $$ BEGIN
    ALTER TABLE {table} VALIDATE CONSTRAINT {table}_xid_range;
EXCEPTION
    WHEN check_violation THEN
        RAISE WARNING '{table} holds rows of transactions that never were; run clinic audit verify';
END $$
"""


def upgrade() -> None:
    """Add columns that are NULL in existing rows, then constraints and triggers."""
    op.execute("ALTER TABLE audit_seals ADD COLUMN IF NOT EXISTS format SMALLINT")
    op.execute("ALTER TABLE notification ADD COLUMN IF NOT EXISTS xid BIGINT")
    # Separately from its column, so that no row is rewritten.
    op.execute(
        "ALTER TABLE notification ALTER COLUMN xid SET DEFAULT (pg_current_xact_id()::text)::bigint"
    )
    for table in TRAILS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_xid_range")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_xid_range CHECK (xid > 0) NOT VALID"
        )
    op.execute(
        "CREATE OR REPLACE TRIGGER notification_no_change BEFORE UPDATE OR DELETE ON notification"
        " FOR EACH ROW EXECUTE FUNCTION clinic_refuse_change()"
    )
    # TRUNCATE triggers are not inherited.
    for table in ("notification", *op.get_bind().scalars(_PARTS).all()):
        op.execute(
            f"CREATE OR REPLACE TRIGGER notification_no_truncate BEFORE TRUNCATE ON {table}"
            " EXECUTE FUNCTION clinic_refuse_change()"
        )
    with online():
        for table in TRAILS:
            op.execute(_VALIDATE.format(table=table))
        index_by_parts("notification_xid_idx", "notification", "USING brin (xid)")

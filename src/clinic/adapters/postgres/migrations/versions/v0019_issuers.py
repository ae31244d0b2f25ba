"""Who had a link sent to another person, and mail to an address that its user has given up."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_CHECKS = {
    "notification_outbox_to_email_length": "char_length(to_email) BETWEEN 3 AND 254",
    "notification_outbox_to_email_kind": "to_email IS NULL OR kind = 'address_changed'",
}


def upgrade() -> None:
    """Add columns that are NULL in every row, and in those that the previous release writes."""
    op.execute("ALTER TABLE notification_outbox ADD COLUMN IF NOT EXISTS issued_by UUID")
    op.execute("ALTER TABLE notification_outbox ADD COLUMN IF NOT EXISTS to_email TEXT")
    for name, rule in _CHECKS.items():
        op.execute(f"ALTER TABLE notification_outbox DROP CONSTRAINT IF EXISTS {name}")
        op.execute(
            f"ALTER TABLE notification_outbox ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID"
        )
        op.execute(f"ALTER TABLE notification_outbox VALIDATE CONSTRAINT {name}")

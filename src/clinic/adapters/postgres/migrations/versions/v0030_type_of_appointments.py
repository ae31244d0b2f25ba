"""Appointments remember their type."""

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that the previous release does not write."""
    with online():
        briefly("ALTER TABLE appointments ADD COLUMN IF NOT EXISTS type_id UUID")

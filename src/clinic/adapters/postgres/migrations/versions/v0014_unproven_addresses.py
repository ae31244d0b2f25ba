"""Email addresses that their users claim but have not proven, which get only account mail."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that is NULL for existing users; nothing is rewritten."""
    op.execute(
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS email_unproven_since TIMESTAMP WITH TIME ZONE"
    )

"""Which email addresses only their users claim, so that nothing but account mail goes there."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that is empty for everybody there is; nothing is rewritten."""
    op.execute(
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS email_unproven_since TIMESTAMP WITH TIME ZONE"
    )

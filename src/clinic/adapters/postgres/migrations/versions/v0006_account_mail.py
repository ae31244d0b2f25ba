"""Whose email address is proven, and which links of account mail still hold."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; nothing is rewritten, and the role of the service may write them already."""
    op.execute("ALTER TABLE users ADD COLUMN email_verified_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE users ADD COLUMN link_version INTEGER DEFAULT 0 NOT NULL")

"""Which email addresses are verified, and which links in account mail are still valid."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; nothing is rewritten, and the service's role may already write them."""
    op.execute("ALTER TABLE users ADD COLUMN email_verified_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE users ADD COLUMN link_version INTEGER DEFAULT 0 NOT NULL")

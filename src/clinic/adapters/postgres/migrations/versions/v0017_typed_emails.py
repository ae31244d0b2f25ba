"""An email address as it was typed, where its domain is not ASCII."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; the previous release ignores it, and shows the address in ASCII."""
    op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS email_typed TEXT")
    op.execute("ALTER TABLE users DROP CONSTRAINT IF EXISTS users_email_typed_length")
    op.execute(
        "ALTER TABLE users ADD CONSTRAINT users_email_typed_length"
        " CHECK (char_length(email_typed) BETWEEN 3 AND 254) NOT VALID"
    )
    op.execute("ALTER TABLE users VALIDATE CONSTRAINT users_email_typed_length")

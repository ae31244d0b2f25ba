"""A clinic's contact details and language, and which accounts' older links are still valid."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that are empty or have a default; nothing is rewritten, and the previous release
    ignores them."""
    op.execute("ALTER TABLE clinics ADD COLUMN IF NOT EXISTS address TEXT")
    op.execute("ALTER TABLE clinics ADD COLUMN IF NOT EXISTS phone TEXT")
    op.execute("ALTER TABLE clinics ADD COLUMN IF NOT EXISTS language TEXT DEFAULT 'en' NOT NULL")
    op.execute("ALTER TABLE clinics DROP CONSTRAINT IF EXISTS clinics_address_length")
    op.execute(
        "ALTER TABLE clinics ADD CONSTRAINT clinics_address_length"
        " CHECK (char_length(address) BETWEEN 1 AND 300) NOT VALID"
    )
    op.execute("ALTER TABLE clinics VALIDATE CONSTRAINT clinics_address_length")
    op.execute(
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS unbound_link_version INTEGER DEFAULT 0 NOT NULL"
    )
    # The few users whose address or standing has changed: links mailed since are still valid.
    op.execute("UPDATE users SET unbound_link_version = link_version WHERE link_version <> 0")

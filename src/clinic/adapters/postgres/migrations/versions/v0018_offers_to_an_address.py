"""A tag of the recipient's email address on offers of membership, to find a person's offers."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an empty column, which the previous release leaves empty, and an index."""
    op.execute("ALTER TABLE membership_offers ADD COLUMN IF NOT EXISTS address_tag BYTEA")
    with online():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS membership_offers_address_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY membership_offers_address_idx"
            " ON membership_offers (address_tag)"
        )

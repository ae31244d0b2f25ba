"""An index to find ended sessions, which are removed."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index outside a transaction; a rerun rebuilds it."""
    with online():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sessions_ended_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY sessions_ended_idx"
            " ON sessions (LEAST(expires_at, revoked_at))"
        )

"""An index by which sessions that have ended are found, to be removed."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index outside of a transaction; begun again, it builds it again."""
    with online():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sessions_ended_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY sessions_ended_idx"
            " ON sessions (LEAST(expires_at, revoked_at))"
        )

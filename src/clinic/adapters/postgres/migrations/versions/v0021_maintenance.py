"""A record of maintenance services, and a function that makes partitions as the owner."""

from alembic import op

from clinic.adapters.postgres.migrations.partitions import make_functions

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table and functions that the previous release does not use."""
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS maintenance_runs (
            service TEXT NOT NULL,
            token UUID,
            started_at TIMESTAMP WITH TIME ZONE,
            lease_until TIMESTAMP WITH TIME ZONE,
            succeeded_at TIMESTAMP WITH TIME ZONE,
            duration_ms INTEGER,
            row_count INTEGER,
            failures INTEGER DEFAULT 0 NOT NULL,
            CONSTRAINT maintenance_runs_pkey PRIMARY KEY (service),
            CONSTRAINT maintenance_runs_service_length
                CHECK (char_length(service) BETWEEN 1 AND 50),
            CONSTRAINT maintenance_runs_lease CHECK ((token IS NULL) = (lease_until IS NULL)),
            CONSTRAINT maintenance_runs_counts_range
                CHECK (duration_ms >= 0 AND row_count >= 0 AND failures >= 0)
        )
        """
    )
    make_functions(op.get_bind())

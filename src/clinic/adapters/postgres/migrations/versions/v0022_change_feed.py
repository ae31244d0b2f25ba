"""Cursors of the change feed, and indexes of the trails that are summarized as they grow."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import online
from clinic.adapters.postgres.migrations.partitions import make_functions

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

#: the longest that this migration may block a booking
LOCK_TIMEOUT_MS = 1_000
_INDEXES = text(
    """
    SELECT i.indexrelid::regclass::text
    FROM pg_inherits part
    JOIN pg_index i ON i.indrelid = part.inhrelid
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam
    WHERE a.amname = 'brin'
      AND part.inhparent IN ('audit_appointment'::regclass, 'audit_event'::regclass)
      AND NOT coalesce('autosummarize=on' = ANY (c.reloptions), false)
    """
)


def upgrade() -> None:
    """Add a table that the previous release does not use, then let the indexes of partitions be
    summarized while they grow; a rerun continues where it stopped."""
    op.execute(
        r"""
        CREATE TABLE IF NOT EXISTS change_feeds (
            consumer TEXT NOT NULL,
            seen TEXT NOT NULL,
            system TEXT NOT NULL,
            advanced_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            CONSTRAINT change_feeds_pkey PRIMARY KEY (consumer),
            CONSTRAINT change_feeds_consumer_length CHECK (char_length(consumer) BETWEEN 1 AND 50),
            CONSTRAINT change_feeds_seen_form CHECK (seen ~ '^\d+:\d+:(\d+(,\d+)*)?$')
        )
        """
    )
    make_functions(op.get_bind())
    with online():
        op.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        for index in op.get_bind().scalars(_INDEXES).all():
            op.execute(f"ALTER INDEX {index} SET (autosummarize = on)")

"""Indexes to list the audit log by time and to read it by transaction."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import online

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: name, table, columns and method
INDEXES = (
    ("audit_appointment_time_idx", "audit_appointment", "USING btree (clinic_id, at, id)"),
    ("audit_appointment_xid_idx", "audit_appointment", "USING brin (xid)"),
    ("audit_event_xid_idx", "audit_event", "USING brin (xid)"),
)
_PARTS = text(
    """
    SELECT part.inhrelid::regclass::text
    FROM pg_inherits part
    WHERE part.inhparent = CAST(:divided AS regclass) AND NOT EXISTS (
        SELECT FROM pg_inherits attached JOIN pg_index i ON i.indexrelid = attached.inhrelid
        WHERE attached.inhparent = CAST(:index AS regclass) AND i.indrelid = part.inhrelid
    )
    """
)


def upgrade() -> None:
    """Make the indexes outside of a transaction; begun again, it goes on where it stopped."""
    with online():
        for name, table, how in INDEXES:
            _index_by_parts(name, table, how)


def _index_by_parts(name: str, table: str, how: str) -> None:
    """Index a divided table without stopping its writers: part by part, then the whole."""
    op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {how}")
    parts = op.get_bind().scalars(_PARTS, {"divided": table, "index": name}).all()
    for part in parts:
        part_index = f"{part}{name.removeprefix(table)}"
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {part_index}")
        op.execute(f"CREATE INDEX CONCURRENTLY {part_index} ON {part} {how}")
        op.execute(f"ALTER INDEX {name} ATTACH PARTITION {part_index}")

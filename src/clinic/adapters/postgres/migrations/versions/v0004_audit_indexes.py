"""Indexes to list the audit log by time and to read it by transaction."""

from clinic.adapters.postgres.migrations.online import index_by_parts, online

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


def upgrade() -> None:
    """Build the indexes outside a transaction; a rerun continues where it stopped."""
    with online():
        for name, table, how in INDEXES:
            index_by_parts(name, table, how)

"""The first key from appointments to slots goes, and columns say that there is a busy time."""

from alembic import op

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_CHECKED = "appointments_busy_known"


def upgrade() -> None:
    """Drop the key that 0023 replaced, and a CHECK, for NOT NULL: both cost each booking more."""
    with online():
        briefly("ALTER TABLE appointments DROP CONSTRAINT IF EXISTS appointments_slot_fkey")
        briefly("ALTER TABLE slots DROP CONSTRAINT IF EXISTS slots_place_key")
        # A valid CHECK spares SET NOT NULL its scan, which would lock out everybody.
        briefly(f"ALTER TABLE appointments DROP CONSTRAINT IF EXISTS {_CHECKED}")
        briefly(
            f"ALTER TABLE appointments ADD CONSTRAINT {_CHECKED}"
            " CHECK (busy_from IS NOT NULL AND busy_until IS NOT NULL) NOT VALID"
        )
        op.execute(f"ALTER TABLE appointments VALIDATE CONSTRAINT {_CHECKED}")
        briefly(
            "ALTER TABLE appointments ALTER busy_from SET NOT NULL, ALTER busy_until SET NOT NULL"
        )
        briefly(f"ALTER TABLE appointments DROP CONSTRAINT {_CHECKED}")

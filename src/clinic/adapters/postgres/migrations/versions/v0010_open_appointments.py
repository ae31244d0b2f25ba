"""How many upcoming appointments a patient may have, in the clinic's policy."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column with its default; nothing is rewritten, and the previous release ignores it."""
    op.execute(
        "ALTER TABLE clinics"
        " ADD COLUMN IF NOT EXISTS max_open_appointments INTEGER DEFAULT 10 NOT NULL"
    )
    op.execute("ALTER TABLE clinics DROP CONSTRAINT IF EXISTS clinics_max_open_range")
    op.execute(
        "ALTER TABLE clinics ADD CONSTRAINT clinics_max_open_range"
        " CHECK (max_open_appointments BETWEEN 1 AND 1000) NOT VALID"
    )
    op.execute("ALTER TABLE clinics VALIDATE CONSTRAINT clinics_max_open_range")

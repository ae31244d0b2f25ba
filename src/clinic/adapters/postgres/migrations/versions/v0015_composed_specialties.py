"""Specialties in the one spelling that filters have: accents composed with their letters."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Slots follow by their foreign key. PostgreSQL composes in UTF-8 alone; elsewhere nothing that can
# be composed was stored.
_COMPOSE = """
DO $$
BEGIN
    IF current_setting('server_encoding') = 'UTF8' THEN
        UPDATE doctors_profiles SET specialty = normalize(specialty)
        WHERE specialty IS NOT NORMALIZED;
    END IF;
END $$
"""


def upgrade() -> None:
    """Change the few that differ, and their slots; run again it finds none."""
    with online():
        op.execute(_COMPOSE)

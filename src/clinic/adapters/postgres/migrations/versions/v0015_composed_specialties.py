"""Specialties in the Unicode form that filters use: accents composed with their letters."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Slots follow through their foreign key. PostgreSQL composes only in UTF-8; in other encodings,
# nothing that could be composed was stored.
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
    """Change the few that differ, and their slots; a rerun finds none."""
    with online():
        op.execute(_COMPOSE)

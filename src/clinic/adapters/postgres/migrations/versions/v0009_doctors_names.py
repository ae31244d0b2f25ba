"""A doctor's name beside the specialty, kept by triggers, so that a listing reads one row."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Whatever name a profile is written with, the user's is stored. The lock waits for a transaction
# that is changing that name, and reads the result; later ones find the profile. If there is no such
# user, the foreign key refuses the row.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION clinic_name_doctor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name := coalesce(
        (SELECT u.name FROM {schema}.users u WHERE u.id = NEW.user_id FOR SHARE), ''
    );
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION clinic_rename_doctor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.doctors_profiles SET name = NEW.name WHERE user_id = NEW.id;
    RETURN NULL;
END $$
"""
_TRIGGERS = (
    "CREATE OR REPLACE TRIGGER doctors_profiles_name"
    " BEFORE INSERT OR UPDATE OF name, user_id ON doctors_profiles"
    " FOR EACH ROW EXECUTE FUNCTION clinic_name_doctor()",
    "CREATE OR REPLACE TRIGGER users_rename_doctor AFTER UPDATE OF name ON users"
    " FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name)"
    " EXECUTE FUNCTION clinic_rename_doctor()",
)
# Lock users first, as transactions that change a name do.
_FILL = """
WITH named AS (
    SELECT id, name FROM users WHERE id IN (SELECT user_id FROM doctors_profiles)
    ORDER BY id FOR SHARE
)
UPDATE doctors_profiles p SET name = named.name FROM named
WHERE p.user_id = named.id AND p.name <> named.name
"""


def upgrade() -> None:
    """Add the column and its triggers, then fill in the existing names."""
    op.execute(
        "ALTER TABLE doctors_profiles ADD COLUMN IF NOT EXISTS name TEXT NOT NULL DEFAULT ''"
    )
    schema = quoted_schema(op.get_bind())
    op.execute(_FUNCTIONS.format(schema=schema))
    for trigger in _TRIGGERS:
        op.execute(trigger)
    with online():
        op.execute(_FILL)
        op.execute("VACUUM (ANALYZE) doctors_profiles")

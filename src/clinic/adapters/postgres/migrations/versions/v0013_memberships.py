"""Ends of memberships, offers of membership, and whether a patient may be booked for."""

from alembic import op

from clinic.adapters.postgres.migrations.online import online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OFFERS = """
CREATE TABLE IF NOT EXISTS membership_offers (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    role TEXT NOT NULL,
    specialty TEXT,
    offered_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT membership_offers_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT membership_offers_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
    CONSTRAINT membership_offers_expiry_after_start CHECK (expires_at > created_at)
)
"""
# The lock waits for a transaction that is disabling or enabling the user, and reads the result;
# later ones find the profile.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION clinic_disable_new_patient() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.disabled_at := (
        SELECT u.disabled_at FROM {schema}.users u WHERE u.id = NEW.user_id FOR SHARE
    );
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION clinic_disable_patient() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.patients_profiles SET disabled_at = NEW.disabled_at WHERE user_id = NEW.id;
    RETURN NULL;
END $$
"""
_TRIGGERS = (
    "CREATE OR REPLACE TRIGGER patients_profiles_disabled"
    " BEFORE INSERT OR UPDATE OF disabled_at, user_id ON patients_profiles"
    " FOR EACH ROW EXECUTE FUNCTION clinic_disable_new_patient()",
    "CREATE OR REPLACE TRIGGER users_disable_patient AFTER UPDATE OF disabled_at ON users"
    " FOR EACH ROW WHEN (OLD.disabled_at IS DISTINCT FROM NEW.disabled_at)"
    " EXECUTE FUNCTION clinic_disable_patient()",
)
# Lock users first, as transactions that disable one do.
_FILL = """
WITH disabled AS (
    SELECT id FROM users WHERE disabled_at IS NOT NULL ORDER BY id FOR SHARE
)
UPDATE patients_profiles p SET disabled_at = now() FROM disabled
WHERE p.user_id = disabled.id AND p.disabled_at IS NULL
"""


def upgrade() -> None:
    """Add empty columns and a table; the previous release ignores them, and triggers keep
    patients_profiles.disabled_at right while it runs."""
    for table in ("doctors_profiles", "patients_profiles", "staff_profiles"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS ended_at TIMESTAMP WITH TIME ZONE"
        )
    op.execute(
        "ALTER TABLE patients_profiles"
        " ADD COLUMN IF NOT EXISTS disabled_at TIMESTAMP WITH TIME ZONE"
    )
    op.execute(_OFFERS)
    op.execute(_FUNCTIONS.format(schema=quoted_schema(op.get_bind())))
    for trigger in _TRIGGERS:
        op.execute(trigger)
    with online():
        op.execute(_FILL)

"""A separate table of free slots, kept by triggers, so that taking one touches few indexes."""

from alembic import op

from clinic.adapters.postgres.migrations.filling import fill
from clinic.adapters.postgres.migrations.online import online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE IF NOT EXISTS free_slots (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    specialty TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT free_slots_pkey PRIMARY KEY (clinic_id, doctor_id, starts_at, id) INCLUDE (ends_at)
)
"""
# These run as the owner: the service may read the table, but change it only by changing slots, not
# through another table with these triggers. Names include the schema, so that no search_path leads
# elsewhere.
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION clinic_keep_free_slots() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF OLD.state = 'OPEN' AND NOT OLD.taken THEN
        DELETE FROM {schema}.free_slots
        WHERE clinic_id = OLD.clinic_id AND doctor_id = OLD.doctor_id
          AND starts_at = OLD.starts_at AND id = OLD.id;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state = 'OPEN' AND NOT NEW.taken THEN
            INSERT INTO {schema}.free_slots
                (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
            VALUES (NEW.clinic_id, NEW.id, NEW.doctor_id, NEW.specialty, NEW.starts_at,
                    NEW.ends_at);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION clinic_add_free_slots() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO {schema}.free_slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
    SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at FROM added
    WHERE state = 'OPEN' AND NOT taken;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION clinic_empty_free_slots() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM {schema}.free_slots;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION clinic_keep_free_slots(), clinic_add_free_slots(), clinic_empty_free_slots()
FROM PUBLIC
"""
_TRIGGERS = (
    "CREATE OR REPLACE TRIGGER slots_keep_free AFTER UPDATE OR DELETE ON slots"
    " FOR EACH ROW EXECUTE FUNCTION clinic_keep_free_slots()",
    "CREATE OR REPLACE TRIGGER slots_add_free AFTER INSERT ON slots"
    " REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION clinic_add_free_slots()",
    "CREATE OR REPLACE TRIGGER slots_empty_free AFTER TRUNCATE ON slots"
    " FOR EACH STATEMENT EXECUTE FUNCTION clinic_empty_free_slots()",
)
_INDEXES = {
    "free_slots_specialty_idx": "(clinic_id, lower(specialty), starts_at, id)",
    "free_slots_starts_idx": "(clinic_id, starts_at, id)",
}
_REPLACED = ("slots_free_by_doctor_idx", "slots_free_by_specialty_idx", "slots_free_idx")


def upgrade() -> None:
    """Make the table and its triggers, fill it, then drop the indexes that it replaces.

    The triggers handle every change from then on; existing slots are filled in after that.
    A rerun goes over everything once more.
    """
    op.execute(_TABLE)
    schema = quoted_schema(op.get_bind())
    op.execute(_FUNCTIONS.format(schema=schema))
    for trigger in _TRIGGERS:
        op.execute(trigger)
    # Leave room on each page for new versions of its rows, which then need no index entries.
    op.execute("ALTER TABLE slots SET (fillfactor = 90)")
    with online():
        fill("free_slots")
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY {name} ON free_slots {columns}"
                " INCLUDE (doctor_id, ends_at, specialty)"
            )
        for name in _REPLACED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

"""What a doctor's listing shows of a free slot in one column, so that it is read as one value.

Adding a computed column would rewrite the whole table under a lock. So a new table is filled beside
the old one, from which triggers copy every change until the new one takes its place.
"""

from alembic import op

from clinic.adapters.postgres.migrations.filling import fill
from clinic.adapters.postgres.migrations.online import online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE IF NOT EXISTS free_slots_next (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    specialty TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    packed BYTEA NOT NULL GENERATED ALWAYS AS
        (uuid_send(id) || timestamptz_send(starts_at) || timestamptz_send(ends_at)) STORED,
    CONSTRAINT free_slots_next_pkey PRIMARY KEY (clinic_id, doctor_id, starts_at) INCLUDE (packed)
)
"""
_INDEXES = {
    "specialty_idx": "(clinic_id, lower(specialty), starts_at, id)",
    "starts_idx": "(clinic_id, starts_at, id)",
}
# Roles that may read the old table may read the new one from the start.
_RIGHTS = """
DO $$ DECLARE reader text; BEGIN
    FOR reader IN
        SELECT grantee::regrole FROM pg_class c, aclexplode(c.relacl)
        WHERE c.oid = 'free_slots'::regclass AND privilege_type = 'SELECT' AND grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON free_slots_next TO %s', reader);
    END LOOP;
END $$
"""
_COPYING = """
CREATE OR REPLACE FUNCTION clinic_copy_free_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM {schema}.free_slots_next
        WHERE clinic_id = OLD.clinic_id AND doctor_id = OLD.doctor_id
          AND starts_at = OLD.starts_at AND id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {schema}.free_slots_next
            (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
        VALUES (NEW.clinic_id, NEW.id, NEW.doctor_id, NEW.specialty, NEW.starts_at, NEW.ends_at)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER free_slots_copy AFTER INSERT OR UPDATE OR DELETE ON free_slots
FOR EACH ROW EXECUTE FUNCTION clinic_copy_free_slots()
"""


def upgrade() -> None:
    """Make the new table and its triggers, fill it, and put it in the old one's place.

    The functions that keep the list use the table's name, so they write to the new one from then
    on. A rerun goes over everything once more.
    """
    op.execute(_TABLE)
    op.execute(_RIGHTS)
    schema = quoted_schema(op.get_bind())
    op.execute(_COPYING.format(schema=schema))
    op.execute(_TRIGGER)
    with online():
        fill("free_slots_next")
        for name, columns in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS free_slots_next_{name}")
            op.execute(
                f"CREATE INDEX CONCURRENTLY free_slots_next_{name} ON free_slots_next {columns}"
                " INCLUDE (doctor_id, ends_at, specialty)"
            )
        # For accurate plans, and scans of the indexes alone.
        op.execute("VACUUM (ANALYZE) free_slots_next")
    # Waits for transactions that use the old table; those that come meanwhile find the new one.
    op.execute("DROP TABLE free_slots")
    op.execute("DROP FUNCTION clinic_copy_free_slots()")
    op.execute("ALTER TABLE free_slots_next RENAME TO free_slots")
    op.execute("ALTER INDEX free_slots_next_pkey RENAME TO free_slots_pkey")
    for name in _INDEXES:
        op.execute(f"ALTER INDEX free_slots_next_{name} RENAME TO free_slots_{name}")

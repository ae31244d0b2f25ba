"""Makes the trails' texts erasable: seals cover a salted digest, and triggers permit erasures."""

from alembic import op

from clinic.adapters.postgres.migrations.online import index_by_parts, online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: the text column of each table, and the condition for a row to have a text of its author's
TEXTS = {
    "audit_appointment": ("reason", "NEW.reason <> 'No reason given'"),
    "audit_event": ("reason", "NEW.reason <> 'No reason given'"),
    "notification": ("error", "NEW.error IS NOT NULL"),
}
_SALT = """
CREATE OR REPLACE FUNCTION clinic_salt_{text}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.{text}_salt := uuid_send(gen_random_uuid());
    NEW.{text}_digest := sha256(NEW.{text}_salt || convert_to(NEW.{text}, 'UTF8'));
    RETURN NEW;
END $$
"""
# An erasure sets whom it erases, and its events, in the same transaction, name each row: whatever
# is erased is recorded by a row that will be sealed.
_REFUSE = """
CREATE OR REPLACE FUNCTION clinic_refuse_all_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    erased text[] := ARRAY[TG_ARGV[0], TG_ARGV[0] || '_salt'];
BEGIN
    IF TG_OP = 'UPDATE'
        AND to_jsonb(NEW) - erased = to_jsonb(OLD) - erased
        AND to_jsonb(NEW) ->> erased[1] = 'Erased' AND to_jsonb(NEW) ->> erased[2] IS NULL
        AND EXISTS (
            SELECT FROM {schema}.audit_event e
            WHERE e.clinic_id = OLD.clinic_id
              AND e.entity_id = nullif(current_setting('clinic.erasing', true), '')::uuid
              AND e.action = 'erase_user' AND e.xid = (pg_current_xact_id()::text)::bigint
              AND e.detail -> 'texts' ? OLD.id::text
        )
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'append_only';
END $$
"""


def upgrade() -> None:
    """Add columns that are NULL in existing rows; nothing is rewritten.

    The previous release can go on writing and reading: the triggers salt what it inserts, too.
    """
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS erasures (
            clinic_id UUID NOT NULL,
            user_id UUID NOT NULL,
            erased_at TIMESTAMP WITH TIME ZONE NOT NULL,
            copies BYTEA NOT NULL,
            CONSTRAINT erasures_pkey PRIMARY KEY (clinic_id, user_id),
            CONSTRAINT erasures_copies_length CHECK (octet_length(copies) % 32 = 0)
        )
        """
    )
    op.execute(_REFUSE.format(schema=quoted_schema(op.get_bind())))
    for text in ("reason", "error"):
        op.execute(_SALT.format(text=text))
    for table, (text, is_written) in TEXTS.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {text}_salt BYTEA")
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {text}_digest BYTEA")
        op.execute(
            f"CREATE OR REPLACE TRIGGER {table}_salt BEFORE INSERT ON {table}"
            f" FOR EACH ROW WHEN ({is_written}) EXECUTE FUNCTION clinic_salt_{text}()"
        )
        op.execute(
            f"CREATE OR REPLACE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION clinic_refuse_all_but_erasure('{text}')"
        )
    with online():
        index_by_parts(
            "audit_event_reason_idx",
            "audit_event",
            "USING btree (clinic_id, patient_id, actor_id) WHERE reason <> 'No reason given'",
        )

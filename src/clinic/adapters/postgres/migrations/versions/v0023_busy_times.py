"""Lanes and busy times: no two appointments at one time in one lane of a doctor."""

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from clinic.adapters.postgres.migrations.online import briefly, fill_in, online
from clinic.adapters.postgres.migrations.schema import quoted_schema
from clinic.domain.errors import Conflict

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_COLUMNS = (
    "slots ADD COLUMN IF NOT EXISTS lane SMALLINT DEFAULT 1 NOT NULL",
    "appointments ADD COLUMN IF NOT EXISTS lane SMALLINT DEFAULT 1 NOT NULL",
    "appointments ADD COLUMN IF NOT EXISTS busy_from TIMESTAMP WITH TIME ZONE",
    "appointments ADD COLUMN IF NOT EXISTS busy_until TIMESTAMP WITH TIME ZONE",
)
_KEYS = """
CREATE OR REPLACE FUNCTION clinic_pair_key(uuid, uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN uuid_hash_extended($1, uuid_hash_extended($2, 0));
CREATE OR REPLACE FUNCTION clinic_lane_key(uuid, uuid, smallint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN uuid_hash_extended($1, uuid_hash_extended($2, $3))
"""
# For the previous release, which knows no busy times: its appointments are busy while visible.
_VISIBLE = """
CREATE OR REPLACE FUNCTION clinic_busy_while_visible() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.busy_from := NEW.starts_at;
    NEW.busy_until := NEW.ends_at;
    RETURN NEW;
END $$
"""
# In this order: once new appointments have busy times, moving them must move these.
_TRIGGERS = (
    "CREATE OR REPLACE TRIGGER appointments_busy_moved"
    " BEFORE UPDATE OF starts_at, ends_at ON appointments FOR EACH ROW"
    " WHEN (NEW.busy_from = OLD.busy_from AND NEW.busy_until = OLD.busy_until"
    " AND (NEW.starts_at, NEW.ends_at) <> (OLD.starts_at, OLD.ends_at))"
    " EXECUTE FUNCTION clinic_busy_while_visible()",
    "CREATE OR REPLACE TRIGGER appointments_busy_added BEFORE INSERT ON appointments"
    " FOR EACH ROW WHEN (NEW.busy_from IS NULL) EXECUTE FUNCTION clinic_busy_while_visible()",
)
_CHECKS = {
    "slots": {"slots_lane_range": "lane >= 1"},
    "appointments": {
        "appointments_lane_range": "lane >= 1",
        "appointments_busy_around": "busy_from <= starts_at AND busy_until >= ends_at",
    },
}
_OCCUPYING = (
    "status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW')"
    " AND busy_from IS NOT NULL"
)
#: under the name that both releases know
_SWITCH = """
DO $$ BEGIN
    ALTER TABLE appointments DROP CONSTRAINT appointments_patient_excl;
    ALTER TABLE appointments
        RENAME CONSTRAINT appointments_patient_busy_excl TO appointments_patient_excl;
END $$
"""
#: rows that are locked together, few enough for others to wait only milliseconds
_BATCH = 2_000
_FILL = text(
    """
    WITH batch AS (
        SELECT clinic_id, id FROM appointments
        WHERE (clinic_id, id) > (CAST(:clinic_id AS uuid), CAST(:id AS uuid))
        ORDER BY clinic_id, id LIMIT :batch FOR NO KEY UPDATE
    ),
    filled AS (
        UPDATE appointments a SET busy_from = a.starts_at, busy_until = a.ends_at FROM batch b
        WHERE a.clinic_id = b.clinic_id AND a.id = b.id AND a.busy_from IS NULL
    )
    SELECT clinic_id, id FROM batch ORDER BY clinic_id DESC, id DESC LIMIT 1
    """
)


def upgrade() -> None:
    """Add columns, then constraints that no row is subject to yet, then make every row so.

    PostgreSQL cannot build an exclusion constraint CONCURRENTLY, and checking a million rows takes
    it 40 s, in which nobody could read appointments. Without rows it takes 0.2 s, and each row is
    checked when its busy time is filled in. Until then the previous constraints hold.
    """
    schema = quoted_schema(op.get_bind())
    with online():
        for column in _COLUMNS:
            briefly(f"ALTER TABLE {column}")
        op.execute(_KEYS)
        op.execute(_VISIBLE)
        for trigger in _TRIGGERS:
            briefly(trigger)
        for table, checks in _CHECKS.items():
            for name, condition in checks.items():
                _check(table, name, condition)
        _refer_to_places()
        _exclude(
            "appointments_busy_excl",
            f"{schema}.clinic_lane_key(clinic_id, doctor_id, lane) WITH =,"
            " tstzrange(busy_from, busy_until, '[)') WITH &&",
        )
        if not _is_switched():
            _exclude(
                "appointments_patient_busy_excl",
                f"{schema}.clinic_pair_key(clinic_id, patient_id) WITH =,"
                " tstzrange(starts_at, ends_at, '[)') WITH &&",
            )
        _fill()
        _check("appointments", "appointments_busy_known", "busy_from IS NOT NULL")
        if not _is_switched():
            briefly(_SWITCH)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS appointments_slot_idx")


def _check(table: str, name: str, condition: str) -> None:
    briefly(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    briefly(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def _refer_to_places() -> None:
    """Add the foreign key that keeps an appointment's doctor, lane and start those of its slot."""
    briefly("ALTER TABLE appointments DROP CONSTRAINT IF EXISTS appointments_place_fkey")
    briefly("ALTER TABLE slots DROP CONSTRAINT IF EXISTS slots_lane_key")
    op.execute("DROP INDEX CONCURRENTLY IF EXISTS slots_lane_key")
    op.execute(
        "CREATE UNIQUE INDEX CONCURRENTLY slots_lane_key"
        " ON slots (clinic_id, id, doctor_id, lane, starts_at)"
    )
    briefly("ALTER TABLE slots ADD CONSTRAINT slots_lane_key UNIQUE USING INDEX slots_lane_key")
    briefly(
        "ALTER TABLE appointments ADD CONSTRAINT appointments_place_fkey"
        " FOREIGN KEY (clinic_id, slot_id, doctor_id, lane, starts_at)"
        " REFERENCES slots (clinic_id, id, doctor_id, lane, starts_at) NOT VALID"
    )
    op.execute("ALTER TABLE appointments VALIDATE CONSTRAINT appointments_place_fkey")


def _exclude(name: str, elements: str) -> None:
    """Add an exclusion of appointments with a busy time, unless a run that stopped has added it:
    there may be such rows by now, which would be checked in one go."""
    known = text(
        "SELECT FROM pg_constraint WHERE conname = :name AND conrelid = 'appointments'::regclass"
    )
    if op.get_bind().execute(known, {"name": name}).first() is None:
        briefly(
            f"ALTER TABLE appointments ADD CONSTRAINT {name}"
            f" EXCLUDE USING gist ({elements}) WHERE ({_OCCUPYING})"
        )


def _is_switched() -> bool:
    """Return whether a run that stopped has already put the patients' exclusion in its place."""
    definition = text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid ="
        " 'appointments'::regclass AND conname = 'appointments_patient_excl'"
    )
    return "clinic_pair_key" in op.get_bind().execute(definition).scalar_one()


def _fill() -> None:
    """Fill in the busy times, in batches. Raises Conflict for appointments that overlap."""
    try:
        fill_in(_FILL, _BATCH)
    except IntegrityError as error:
        detail = " ".join(str(error.orig).split())
        raise Conflict(
            "Two appointments of one doctor overlap, which only changes past the service can cause."
            f" Cancel one of them, and migrate again: {detail}"
        ) from error

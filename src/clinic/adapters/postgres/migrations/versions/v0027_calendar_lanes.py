"""Slots are kept apart by lane; blocking one no longer touches what keeps them apart."""

from alembic import op
from sqlalchemy import text

from clinic.adapters.postgres.migrations.online import briefly, online
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_FUNCTION = """
CREATE OR REPLACE FUNCTION clinic_set_calendar_lane() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.calendar_lane := CASE WHEN NEW.state <> 'RETIRED' THEN NEW.lane END;
    RETURN NEW;
END $$
"""
_TRIGGER = (
    "CREATE OR REPLACE TRIGGER slots_calendar_lane"
    " BEFORE INSERT OR UPDATE OF state, lane, calendar_lane ON slots FOR EACH ROW"
    " WHEN (NEW.calendar_lane IS DISTINCT FROM CASE WHEN NEW.state <> 'RETIRED' THEN NEW.lane END)"
    " EXECUTE FUNCTION clinic_set_calendar_lane()"
)
#: rows that are locked together, few enough for others to wait only milliseconds
_BATCH = 500
_FILL = text(
    """
    WITH batch AS (
        SELECT clinic_id, id FROM slots
        WHERE (clinic_id, id) > (CAST(:clinic_id AS uuid), CAST(:id AS uuid))
        ORDER BY clinic_id, id LIMIT :batch FOR NO KEY UPDATE
    ),
    filled AS (
        UPDATE slots s SET calendar_lane = s.lane FROM batch b
        WHERE s.clinic_id = b.clinic_id AND s.id = b.id
          AND s.calendar_lane IS NULL AND s.state <> 'RETIRED'
    )
    SELECT clinic_id, id FROM batch ORDER BY clinic_id DESC, id DESC LIMIT 1
    """
)
_NIL = "00000000-0000-0000-0000-000000000000"
#: under the names that both releases know
_SWITCH_EXCLUSION = """
DO $$ BEGIN
    ALTER TABLE slots DROP CONSTRAINT slots_doctor_excl;
    ALTER TABLE slots RENAME CONSTRAINT slots_lane_excl TO slots_doctor_excl;
END $$
"""


def upgrade() -> None:
    """Add constraints that no row is subject to yet, then make every row so, as 0023 did for
    appointments. Until then the previous ones hold; the trigger serves the previous release."""
    schema = quoted_schema(op.get_bind())
    with online():
        briefly("ALTER TABLE slots ADD COLUMN IF NOT EXISTS calendar_lane SMALLINT")
        op.execute(_FUNCTION)
        briefly(_TRIGGER)
        if not (_knows_lanes("slots_doctor_excl") or _knows_lanes("slots_lane_excl")):
            briefly(
                "ALTER TABLE slots ADD CONSTRAINT slots_lane_excl EXCLUDE USING gist"
                f" ({schema}.clinic_lane_key(clinic_id, doctor_id, calendar_lane) WITH =,"
                " tstzrange(starts_at, ends_at, '[)') WITH &&) WHERE (calendar_lane IS NOT NULL)"
            )
        _fill()
        if not _knows_lanes("slots_doctor_excl"):
            briefly(_SWITCH_EXCLUSION)
        if not _knows_lanes("slots_doctor_starts_key"):
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS slots_lane_starts_key")
            op.execute(
                "CREATE UNIQUE INDEX CONCURRENTLY slots_lane_starts_key"
                " ON slots (clinic_id, doctor_id, starts_at, calendar_lane)"
            )
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS slots_doctor_starts_key")
            briefly("ALTER INDEX slots_lane_starts_key RENAME TO slots_doctor_starts_key")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS slots_doctor_idx")


def _knows_lanes(index: str) -> bool:
    """Return whether the index is there and has the lane in it, as after a run that stopped."""
    definition = text("SELECT pg_get_indexdef(to_regclass(:index))")
    return "calendar_lane" in (op.get_bind().execute(definition, {"index": index}).scalar() or "")


def _fill() -> None:
    place = {"clinic_id": _NIL, "id": _NIL}
    while found := op.get_bind().execute(_FILL, place | {"batch": _BATCH}).first():
        place = {"clinic_id": found.clinic_id, "id": found.id}

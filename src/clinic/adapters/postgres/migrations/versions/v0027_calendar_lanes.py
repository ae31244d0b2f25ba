"""Slots are kept apart by lane; blocking one no longer touches what keeps them apart."""

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from clinic.adapters.postgres.migrations.online import briefly, fill_in, online
from clinic.adapters.postgres.migrations.schema import quoted_schema
from clinic.domain.errors import Conflict

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
#: slots that begin before an earlier one of their lane ends, each with the first that it overlaps
_OVERLAPPING = text(
    """
    SELECT concat_ws(' and ', other.id, late.id) FROM (
        SELECT *, max(ends_at) OVER (
            PARTITION BY clinic_id, doctor_id, lane ORDER BY starts_at, ends_at, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier_end
        FROM slots WHERE state <> 'RETIRED'
    ) late,
    LATERAL (
        SELECT id FROM slots s
        WHERE (s.clinic_id, s.doctor_id, s.lane) = (late.clinic_id, late.doctor_id, late.lane)
          AND s.state <> 'RETIRED' AND s.id <> late.id
          AND s.starts_at < late.ends_at AND s.ends_at > late.starts_at
        ORDER BY s.starts_at, s.ends_at, s.id LIMIT 1
    ) other
    WHERE late.starts_at < earlier_end ORDER BY late.starts_at, late.id LIMIT :named
    """
)
_NAMED_MAX = 10
#: under the names that both releases know
_SWITCH_EXCLUSION = """
DO $$ BEGIN
    ALTER TABLE slots DROP CONSTRAINT IF EXISTS slots_doctor_excl;
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
    """Fill in the lanes, in batches. Raises Conflict for slots that overlap."""
    try:
        fill_in(_FILL, _BATCH)
    except IntegrityError as error:
        pairs = op.get_bind().scalars(_OVERLAPPING, {"named": _NAMED_MAX})
        raise Conflict(
            "Slots of one doctor overlap, which only changes past the service can cause."
            " Retire one of each two (UPDATE slots SET state = 'RETIRED'), and migrate again:"
            f" {'; '.join(pairs)}."
        ) from error

"""What people blocked becomes blocks; slots that no hours plan are retired instead of blocked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from alembic import op
from psycopg.rows import class_row

from clinic.adapters.postgres.migrations.online import briefly, online
from clinic.adapters.postgres.migrations.plan_v0025 import DayException, Hours, Times, plan
from clinic.adapters.postgres.migrations.schema import quoted_schema

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

#: the longest block and the longest reason of one
_BLOCK_MAX = timedelta(days=731)
_REASON_MAX_CHARS = 200
#: the reason of a block, from the reason of an audit event; cut at a space
_REASON = f"""
    CASE WHEN {{reason}} IN ('No reason given', 'Erased') OR {{reason}} ~ '[[:cntrl:]]' THEN NULL
    WHEN char_length({{reason}}) <= {_REASON_MAX_CHARS} THEN {{reason}}
    ELSE regexp_replace(left({{reason}}, {_REASON_MAX_CHARS - 1}), ' ?[^ ]*$', '') || '…' END
"""
_UUID7 = """
CREATE OR REPLACE FUNCTION clinic_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE RETURN
encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid())
    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
    FROM 1 FOR 6
), 52, 1), 53, 1), 'hex')::uuid
"""
# It runs as the owner: until the migration has ended, the service has no right to blocks. The
# transaction that blocks slots has locked the doctor's row, so no other one changes these blocks.
_FOLLOW = """
CREATE OR REPLACE FUNCTION clinic_keep_blocks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    stretch record;
BEGIN
    FOR stretch IN
        SELECT min(starts_at) AS since, max(ends_at) AS until FROM (
            SELECT starts_at, ends_at, count(*) FILTER (WHERE begins) OVER (ORDER BY starts_at) AS n
            FROM (
                SELECT starts_at, ends_at,
                       starts_at IS DISTINCT FROM lag(ends_at) OVER (ORDER BY starts_at) AS begins
                FROM slots
                WHERE clinic_id = NEW.clinic_id AND doctor_id = NEW.entity_id
                  AND id IN (SELECT value::uuid FROM jsonb_array_elements_text(
                      NEW.detail -> 'slots'))
                  AND ends_at > clock_timestamp()
            ) slot
        ) run GROUP BY n
    LOOP
        IF NEW.action = 'block_slots' THEN
            INSERT INTO blocks (clinic_id, id, doctor_id, starts_at, ends_at, reason)
            SELECT NEW.clinic_id, clinic_uuid7(), NEW.entity_id, stretch.since, stretch.until,
                   {reason}
            WHERE NOT EXISTS (
                SELECT FROM blocks
                WHERE clinic_id = NEW.clinic_id AND doctor_id = NEW.entity_id
                  AND coalesce(lane, 1) = 1
                  AND starts_at <= stretch.since AND ends_at >= stretch.until
            );
        ELSE
            INSERT INTO blocks
                (clinic_id, id, doctor_id, starts_at, ends_at, lane, reason, created_at)
            SELECT clinic_id, clinic_uuid7(), doctor_id, stretch.until, ends_at, lane, reason,
                   created_at
            FROM blocks
            WHERE clinic_id = NEW.clinic_id AND doctor_id = NEW.entity_id
              AND starts_at < stretch.since AND ends_at > stretch.until;
            DELETE FROM blocks
            WHERE clinic_id = NEW.clinic_id AND doctor_id = NEW.entity_id
              AND starts_at >= stretch.since AND ends_at <= stretch.until;
            UPDATE blocks
            SET starts_at = CASE WHEN starts_at < stretch.since THEN starts_at
                    ELSE stretch.until END,
                ends_at = CASE WHEN starts_at < stretch.since THEN stretch.since ELSE ends_at END
            WHERE clinic_id = NEW.clinic_id AND doctor_id = NEW.entity_id
              AND starts_at < stretch.until AND ends_at > stretch.since;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION clinic_keep_blocks(), clinic_uuid7() FROM PUBLIC
"""
# For the previous release. What this one does to blocks has other names in the trail.
_TRIGGER = (
    "CREATE OR REPLACE TRIGGER audit_event_blocks AFTER INSERT ON audit_event FOR EACH ROW"
    " WHEN (NEW.action IN ('block_slots', 'unblock_slots')) EXECUTE FUNCTION clinic_keep_blocks()"
)
_DOCTORS = """
    SELECT DISTINCT clinic_id, doctor_id FROM slots
    WHERE state = 'BLOCKED' AND ends_at > clock_timestamp() ORDER BY clinic_id, doctor_id
"""
_LOCK_DOCTOR = """
    SELECT FROM doctors_profiles WHERE clinic_id = %(clinic_id)s AND user_id = %(doctor_id)s
    FOR NO KEY UPDATE
"""
_DOCTOR = """
    SELECT clock_timestamp() AS now, c.time_zone, d.last_day,
           u.disabled_at IS NULL AND d.ended_at IS NULL AS works_here
    FROM doctors_profiles d JOIN users u ON u.id = d.user_id JOIN clinics c ON c.id = d.clinic_id
    WHERE d.clinic_id = %(clinic_id)s AND d.user_id = %(doctor_id)s
"""
_LOCK_BLOCKED = """
    SELECT id, starts_at, ends_at FROM slots
    WHERE clinic_id = %(clinic_id)s AND doctor_id = %(doctor_id)s AND state = 'BLOCKED'
      AND starts_at > %(now)s - interval '1 day' AND ends_at > %(now)s
    ORDER BY id FOR NO KEY UPDATE
"""
_OF_DOCTOR = "WHERE clinic_id = %(clinic_id)s AND doctor_id = %(doctor_id)s"
# No slot has another lane yet.
_BLOCKS = f"SELECT starts_at, ends_at FROM blocks {_OF_DOCTOR} AND coalesce(lane, 1) = 1"
_REASONS = f"""
    SELECT DISTINCT ON (slot) slot::uuid, {_REASON.format(reason="reason")}
    FROM audit_event, jsonb_array_elements_text(detail -> 'slots') slot
    WHERE clinic_id = %(clinic_id)s AND entity_id = %(doctor_id)s AND action = 'block_slots'
      AND slot = ANY (%(slots)s)
    ORDER BY slot, at DESC, id DESC
"""
_ADD_BLOCK = """
    INSERT INTO blocks (clinic_id, id, doctor_id, starts_at, ends_at, reason)
    VALUES (%s, clinic_uuid7(), %s, %s, %s, %s)
"""
# Retired slots are taken while their own appointment occupies them.
_RETIRE = """
    UPDATE slots s SET state = 'RETIRED', taken = EXISTS (
        SELECT FROM appointments a WHERE a.clinic_id = s.clinic_id AND a.slot_id = s.id
        AND a.status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW')
    )
    WHERE s.clinic_id = %(clinic_id)s AND s.id = ANY (%(slots)s)
"""

R = TypeVar("R", Hours, DayException)


class _Doctor(NamedTuple):
    now: datetime
    time_zone: str
    last_day: date | None
    works_here: bool


class _Blocked(NamedTuple):
    """A slot that is blocked."""

    id: UUID
    starts_at: datetime
    ends_at: datetime

    @property
    def times(self) -> Times:
        return self.starts_at, self.ends_at


@dataclass
class _Block:
    starts_at: datetime
    ends_at: datetime
    reason: str | None


def upgrade() -> None:
    """Let a trigger follow what the previous release blocks and opens from now on, then store what
    is blocked already, in a transaction for each doctor.

    It may stop anywhere and be run again: what has a block gets no second one. Closures and leave
    are not looked at: no release enters them before this migration has ended.
    """
    connection = op.get_bind()
    schema = quoted_schema(connection)
    with online():
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute(_UUID7)
        follow = _FOLLOW.format(schema=schema, reason=_REASON.format(reason="NEW.reason"))
        driver.execute(follow.encode())
        briefly(_TRIGGER)
        for clinic_id, doctor_id in driver.execute(_DOCTORS).fetchall():
            with driver.transaction():
                _store_blocks(driver, {"clinic_id": clinic_id, "doctor_id": doctor_id})


def _store_blocks(driver: psycopg.Connection[Any], whose: Mapping[str, UUID]) -> None:
    """Store blocks for the blocked slots of a doctor that end in the future, and retire those that
    are not planned. A slot that has already begun is left alone."""
    # Everybody locks in this order.
    driver.execute("SELECT FROM clinics WHERE id = %(clinic_id)s FOR SHARE", whose)
    driver.execute(_LOCK_DOCTOR, whose)
    doctor = driver.cursor(row_factory=class_row(_Doctor)).execute(_DOCTOR, whose).fetchone()
    assert doctor is not None
    blocked = (
        driver.cursor(row_factory=class_row(_Blocked))
        .execute(_LOCK_BLOCKED, {**whose, "now": doctor.now})
        .fetchall()
    )
    if not blocked:
        return
    planned = _planned(driver, whose, doctor, blocked)
    stored = driver.execute(_BLOCKS, whose).fetchall()
    wanted = [
        slot
        for slot in sorted(blocked, key=lambda slot: slot.starts_at)
        if slot.times in planned
        and not any(since <= slot.starts_at and slot.ends_at <= until for since, until in stored)
    ]
    reasons = _reasons(driver, whose, wanted)
    with driver.cursor() as cursor:
        cursor.executemany(
            _ADD_BLOCK,
            [
                (whose["clinic_id"], whose["doctor_id"], new.starts_at, new.ends_at, new.reason)
                for new in _merged(wanted, reasons)
            ],
        )
    retired = [
        slot.id
        for slot in blocked
        if slot.starts_at > doctor.now and not _is_offered(slot, planned, doctor)
    ]
    driver.execute(_RETIRE, {**whose, "slots": retired})


def _planned(
    driver: psycopg.Connection[Any],
    whose: Mapping[str, UUID],
    doctor: _Doctor,
    blocked: Sequence[_Blocked],
) -> set[Times]:
    """Return the slots that the doctor's hours plan in the time of these, whether or not the doctor
    works here: a doctor who returns still has these blocks."""
    hours = _rows(driver, Hours, "availabilities", whose)
    exceptions = _rows(driver, DayException, "availability_exceptions", whose)
    zone = ZoneInfo(doctor.time_zone)
    today = doctor.now.astimezone(zone).date()
    days = [slot.starts_at.astimezone(zone).date() for slot in blocked]
    return set(plan(min(today, *days), max(days), hours, exceptions, zone))


def _rows(
    driver: psycopg.Connection[Any], kind: type[R], table: str, whose: Mapping[str, UUID]
) -> list[R]:
    query = f"SELECT {', '.join(kind._fields)} FROM {table} {_OF_DOCTOR}"
    return driver.cursor(row_factory=class_row(kind)).execute(query.encode(), whose).fetchall()


def _is_offered(slot: _Blocked, planned: set[Times], doctor: _Doctor) -> bool:
    """Return whether the slot is part of the calendar."""
    day = slot.starts_at.astimezone(ZoneInfo(doctor.time_zone)).date()
    is_over = doctor.last_day is not None and day > doctor.last_day
    return doctor.works_here and not is_over and slot.times in planned


def _reasons(
    driver: psycopg.Connection[Any], whose: Mapping[str, UUID], slots: Sequence[_Blocked]
) -> Mapping[UUID, str | None]:
    """Return why each slot was last blocked, for those that the trail names."""
    ids = [str(slot.id) for slot in slots]
    return dict(driver.execute(_REASONS, {**whose, "slots": ids}).fetchall()) if ids else {}


def _merged(slots: Sequence[_Blocked], reasons: Mapping[UUID, str | None]) -> list[_Block]:
    """Return blocks for `slots`, which come earliest first: one for those that touch and were
    blocked for the same reason."""
    blocks: list[_Block] = []
    for slot in slots:
        reason = reasons.get(slot.id)
        last = blocks[-1] if blocks else None
        if (
            last is not None
            and (last.ends_at, last.reason) == (slot.starts_at, reason)
            and slot.ends_at <= last.starts_at + _BLOCK_MAX
        ):
            last.ends_at = slot.ends_at
        else:
            blocks.append(_Block(slot.starts_at, slot.ends_at, reason))
    return blocks

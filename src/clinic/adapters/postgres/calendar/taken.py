"""Keeps `taken` of slots true to the appointments; only booking's statement writes it besides.

A slot on the calendar is taken while an occupying appointment of its doctor and lane is busy in its
time; a retired one, while its own appointment occupies it. Each statement here runs after the one
that locked the slots, so that it sees what was committed while that one waited.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import ARRAY, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.calendar.mapping import slot_of_values
from clinic.adapters.postgres.engine.executors import driver_of
from clinic.adapters.postgres.schema.appointments import KEEPS_TIME
from clinic.adapters.postgres.schema.base import BUSY_RANGE, LANE_KEY, TIME_RANGE
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.availability import SLOT_MAX_MIN
from clinic.domain.calendar.slots import Slot, SlotState

#: longer than an appointment can be busy
BUSY_MAX_DAYS = 2


def _of(alias: str, expression: str) -> str:
    """Return the expression with its columns as those of a table's alias."""
    for column in ("status", "busy_from", "busy_until", "starts_at", "ends_at"):
        expression = expression.replace(column, f"{alias}.{column}")
    return expression


_SLOTS_TIME, _BUSY = _of("s", TIME_RANGE), _of("a", BUSY_RANGE)
# The doctor as well, since two lanes may have one key.
_IN_LANE = f"""
    SELECT FROM appointments a
    WHERE {LANE_KEY}(a.clinic_id, a.doctor_id, a.lane)
          = {LANE_KEY}(s.clinic_id, s.doctor_id, s.lane)
      AND {_BUSY} && {_SLOTS_TIME} AND {_of("a", KEEPS_TIME)} AND a.doctor_id = s.doctor_id
"""
_IN_SLOT = f"""
    SELECT FROM appointments a
    WHERE a.clinic_id = s.clinic_id AND a.slot_id = s.id AND {_of("a", KEEPS_TIME)}
"""
#: whether the slot `s` is taken, which is on the calendar, or retired
IS_TAKEN = {False: f"EXISTS ({_IN_LANE})", True: f"EXISTS ({_IN_SLOT})"}

_TAKE = text(
    "UPDATE slots SET taken = true"
    " WHERE clinic_id = :clinic_id AND id = ANY (:ids) AND state = 'OPEN' AND NOT taken"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
_LEAVE = text(
    f"UPDATE slots s SET taken = {IS_TAKEN[True]}"
    " WHERE s.clinic_id = :clinic_id AND s.id = ANY (:ids) AND s.state = 'RETIRED'"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
#: by PostgreSQL's placeholders, since it may select slots by the thousand
_LOCK_ON_CALENDAR = f"""
    SELECT id, doctor_id, lane, starts_at, ends_at, taken FROM slots
    WHERE clinic_id = $1 AND doctor_id = ANY ($2::uuid[]) AND state <> 'RETIRED'
      AND starts_at > $3::timestamptz - interval '{SLOT_MAX_MIN} min'
      AND starts_at < $4::timestamptz AND ends_at > $3::timestamptz
      AND ($5::smallint IS NULL OR lane = $5)
    ORDER BY id FOR NO KEY UPDATE
"""
_BENEATH = f"""
    SELECT DISTINCT s.id, s.clinic_id, s.doctor_id, s.specialty, s.starts_at, s.ends_at, s.state,
           s.taken, s.lane, s.location_id
    FROM unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::smallint[])
         AS w (doctor_id, since, until, lane)
    JOIN slots s ON s.clinic_id = $1 AND s.doctor_id = w.doctor_id AND s.state <> 'RETIRED'
      AND s.lane = w.lane
      AND s.starts_at > w.since - interval '{SLOT_MAX_MIN} min'
      AND s.starts_at < w.until AND s.ends_at > w.since
"""
_BUSY_TIMES = text(
    f"""
    SELECT doctor_id, lane, busy_from, busy_until FROM appointments
    WHERE clinic_id = :clinic_id AND doctor_id = ANY (:doctor_ids) AND {KEEPS_TIME}
      AND starts_at > CAST(:since AS timestamptz) - interval '{BUSY_MAX_DAYS} days'
      AND starts_at < CAST(:until AS timestamptz) + interval '{BUSY_MAX_DAYS} days'
    ORDER BY busy_from
    """
).bindparams(bindparam("doctor_ids", type_=ARRAY(Uuid())))
_SET_TAKEN = text(
    "UPDATE slots SET taken = :taken WHERE clinic_id = :clinic_id AND id = ANY (:ids)"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
_SET_STATE = {
    is_retired: text(
        # It is true already of those that stay on the calendar, or stay retired.
        "UPDATE slots s SET state = :state, taken = CASE"
        f" WHEN (s.state = 'RETIRED') = {str(is_retired).lower()} THEN s.taken"
        f" ELSE {is_taken} END"
        " WHERE s.clinic_id = :clinic_id AND s.id = ANY (:ids)"
    ).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
    for is_retired, is_taken in IS_TAKEN.items()
}


async def slots_beneath(
    connection: AsyncConnection, clinic_id: UUID, wanted: Sequence[Appointment]
) -> list[Slot]:
    """Return the slots on the calendar that the busy times of these appointments overlap, each in
    its lane."""
    busy = [one.busy for one in wanted]
    values = [
        clinic_id,
        [one.doctor_id for one in wanted],
        [each.starts_at for each in busy],
        [each.ends_at for each in busy],
        [one.lane for one in wanted],
    ]
    async with psycopg.AsyncRawCursor(await driver_of(connection)) as cursor:
        await cursor.execute(_BENEATH, values, binary=True)
        return [slot_of_values(row) for row in await cursor.fetchall()]


async def take(connection: AsyncConnection, clinic_id: UUID, slot_ids: Collection[UUID]) -> int:
    """Take those of the slots that are open and free; return how many."""
    if not slot_ids:
        return 0
    values = {"clinic_id": clinic_id, "ids": list(slot_ids)}
    return (await connection.execute(_TAKE, values)).rowcount


async def leave(connection: AsyncConnection, left: Sequence[Appointment]) -> None:
    """Free what these appointments, as they were, had taken and no other one has."""
    if not left:
        return
    clinic_id = left[0].clinic_id
    await connection.execute(_LEAVE, {"clinic_id": clinic_id, "ids": [one.slot_id for one in left]})
    for one in left:
        busy = one.busy
        since, until = busy.starts_at, busy.ends_at
        await retake(connection, clinic_id, [one.doctor_id], since, until, lane=one.lane)


async def take_added(connection: AsyncConnection, slots: Iterable[Slot]) -> None:
    """Take those of new slots in whose time there is an appointment already."""
    by_clinic: dict[UUID, list[Slot]] = {}
    for slot in slots:
        if slot.state is not SlotState.RETIRED:
            by_clinic.setdefault(slot.clinic_id, []).append(slot)
    for clinic_id, added in by_clinic.items():
        since = min(slot.starts_at for slot in added)
        until = max(slot.ends_at for slot in added)
        await retake(connection, clinic_id, {slot.doctor_id for slot in added}, since, until)


async def set_state(
    connection: AsyncConnection, clinic_id: UUID, slot_ids: Sequence[UUID], state: SlotState
) -> None:
    """Put locked slots into `state`."""
    values = {"clinic_id": clinic_id, "ids": list(slot_ids), "state": state.value}
    await connection.execute(_SET_STATE[state is SlotState.RETIRED], values)


async def retake(
    connection: AsyncConnection,
    clinic_id: UUID,
    doctor_ids: Collection[UUID],
    since: datetime,
    until: datetime,
    *,
    lane: int | None = None,
) -> None:
    """Make `taken` true of these doctors' slots on the calendar that overlap `[since, until)`, in
    one lane or in all.

    They are compared here: as a join on overlapping times it would be quadratic under some plans,
    and a year of slots is planned at once. Locked first, so that of two who free one slot the
    second sees what the first did.
    """
    values = {
        "clinic_id": clinic_id,
        "doctor_ids": list(doctor_ids),
        "since": since,
        "until": until,
    }
    async with psycopg.AsyncRawCursor(await driver_of(connection)) as cursor:
        await cursor.execute(_LOCK_ON_CALENDAR, [*values.values(), lane], binary=True)
        slots = await cursor.fetchall()
    lanes: dict[tuple[UUID, int], tuple[list[datetime], list[datetime]]] = {}
    for doctor_id, own_lane, busy_from, busy_until in await connection.execute(_BUSY_TIMES, values):
        starts, ends = lanes.setdefault((doctor_id, own_lane), ([], []))
        starts.append(busy_from)
        ends.append(busy_until)
    wrong: dict[bool, list[UUID]] = {True: [], False: []}
    for slot_id, doctor_id, own_lane, starts_at, ends_at, taken in slots:
        starts, ends = lanes.get((doctor_id, own_lane), ([], []))
        # No two overlap in a lane, so the last that begins before the slot ends also ends last.
        before = bisect_left(starts, ends_at)
        is_taken = before > 0 and ends[before - 1] > starts_at
        if is_taken != taken:
            wrong[is_taken].append(slot_id)
    for is_taken, ids in wrong.items():
        if ids:
            changed = {"clinic_id": clinic_id, "taken": is_taken, "ids": ids}
            await connection.execute(_SET_TAKEN, changed)

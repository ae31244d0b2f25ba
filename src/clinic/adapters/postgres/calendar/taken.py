"""Keeps `taken` of slots true to the appointments; only booking's statement writes it besides.

A slot on the calendar is taken while an occupying appointment of its doctor and lane is busy in its
time; a retired one, while its own appointment occupies it. Each statement here runs after the one
that locked the slots, so that it sees what was committed while that one waited.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.schema.appointments import KEEPS_TIME
from clinic.adapters.postgres.schema.base import BUSY_RANGE, LANE_KEY, TIME_RANGE
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.availability import SLOT_MAX_MIN
from clinic.domain.calendar.slots import Slot, SlotState


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
_ON_CALENDAR = f"""
    s.clinic_id = :clinic_id AND s.doctor_id = :doctor_id AND s.state <> 'RETIRED'
    AND s.starts_at > CAST(:since AS timestamptz) - interval '{SLOT_MAX_MIN} min'
    AND s.starts_at < :until AND s.ends_at > :since
"""
# Two statements, each of which starts from the few rows that can be wrong, because a year of slots
# is planned at once.
_FREE_AGAIN = text(
    f"UPDATE slots s SET taken = false WHERE {_ON_CALENDAR} AND s.taken AND NOT {IS_TAKEN[False]}"
)
_TAKE_AGAIN = text(
    f"""
    UPDATE slots s SET taken = true FROM appointments a
    WHERE {_ON_CALENDAR} AND NOT s.taken
      AND a.clinic_id = s.clinic_id AND a.doctor_id = s.doctor_id AND a.lane = s.lane
      AND {_of("a", KEEPS_TIME)} AND {_BUSY} && {_SLOTS_TIME}
      AND a.starts_at > CAST(:since AS timestamptz) - interval '1 day'
      AND a.starts_at < CAST(:until AS timestamptz) + interval '1 day'
    """
)
_SET_STATE = {
    is_retired: text(
        f"UPDATE slots s SET state = :state, taken = {is_taken}"
        " WHERE s.clinic_id = :clinic_id AND s.id = ANY (:ids)"
    ).bindparams(bindparam("ids", type_=ARRAY(Uuid())))
    for is_retired, is_taken in IS_TAKEN.items()
}


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
        await retake(connection, clinic_id, one.doctor_id, one.starts_at, one.ends_at)


async def take_added(connection: AsyncConnection, slots: Iterable[Slot]) -> None:
    """Take those of new slots in whose time there is an appointment already."""
    times: dict[tuple[UUID, UUID], list[Slot]] = {}
    for slot in slots:
        if slot.state is not SlotState.RETIRED:
            times.setdefault((slot.clinic_id, slot.doctor_id), []).append(slot)
    for (clinic_id, doctor_id), added in times.items():
        since = min(slot.starts_at for slot in added)
        until = max(slot.ends_at for slot in added)
        await retake(connection, clinic_id, doctor_id, since, until)


async def set_state(
    connection: AsyncConnection, clinic_id: UUID, slot_ids: Sequence[UUID], state: SlotState
) -> None:
    """Put locked slots into `state`."""
    values = {"clinic_id": clinic_id, "ids": list(slot_ids), "state": state.value}
    await connection.execute(_SET_STATE[state is SlotState.RETIRED], values)


async def retake(
    connection: AsyncConnection, clinic_id: UUID, doctor_id: UUID, since: datetime, until: datetime
) -> None:
    """Make `taken` true of the doctor's slots on the calendar that overlap `[since, until)`."""
    values = {"clinic_id": clinic_id, "doctor_id": doctor_id, "since": since, "until": until}
    await connection.execute(_FREE_AGAIN, values)
    await connection.execute(_TAKE_AGAIN, values)

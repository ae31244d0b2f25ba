"""Changes of many calendars, and the work that is left of them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, select, update

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import Query, SqlRow
from clinic.adapters.postgres.schema.closings import calendar_changes, calendar_work
from clinic.domain.calendar.changes import CalendarChange, CalendarWork, SlotCounts

_LEFT = (
    select(func.count())
    .where(
        calendar_work.c.clinic_id == calendar_changes.c.clinic_id,
        calendar_work.c.change_id == calendar_changes.c.id,
    )
    .scalar_subquery()
)
_CHANGES = select(calendar_changes, _LEFT.label("doctors_left"))
_WORK = select(
    calendar_work.c.clinic_id,
    calendar_work.c.change_id,
    calendar_work.c.doctor_id,
    calendar_work.c.next_day,
    calendar_work.c.last_day,
)


class PostgresCalendarChangeReader:
    """Reads changes and their work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def get(self, clinic_id: UUID, change_id: UUID) -> CalendarChange | None:
        """Return the change with its progress, None when it does not exist in this clinic."""
        here = (calendar_changes.c.clinic_id == clinic_id, calendar_changes.c.id == change_id)
        rows = await self._all(_CHANGES.where(*here))
        return _change_of(rows[0]) if rows else None

    async def list(self, clinic_id: UUID, *, limit: int) -> Sequence[CalendarChange]:
        """Return the latest changes, the newest first."""
        query = _CHANGES.where(calendar_changes.c.clinic_id == clinic_id)
        latest = query.order_by(calendar_changes.c.id.desc()).limit(limit)
        return [_change_of(row) for row in await self._all(latest)]

    async def unfinished(self, *, limit: int) -> Sequence[CalendarChange]:
        """Return changes of all clinics of which work is left, the oldest first."""
        left = select(calendar_work.c.clinic_id, calendar_work.c.change_id).distinct().subquery()
        query = _CHANGES.join(
            left,
            and_(
                left.c.clinic_id == calendar_changes.c.clinic_id,
                left.c.change_id == calendar_changes.c.id,
            ),
        ).order_by(calendar_changes.c.created_at, calendar_changes.c.id)
        return [_change_of(row) for row in await self._all(query.limit(limit))]

    async def work_of(self, clinic_id: UUID, doctor_id: UUID) -> Sequence[CalendarWork]:
        """Return the work that is left for one doctor's calendar, by change."""
        query = _WORK.where(
            calendar_work.c.clinic_id == clinic_id, calendar_work.c.doctor_id == doctor_id
        ).order_by(calendar_work.c.change_id)
        return [CalendarWork(*row) for row in await self._all(query)]

    async def next_work(
        self, *, limit: int, change_id: UUID | None = None
    ) -> Sequence[CalendarWork]:
        """Return work of all clinics, or of one change, that is not done: the nearest days first,
        then by doctor."""
        turn = (calendar_work.c.next_day, calendar_work.c.doctor_id, calendar_work.c.change_id)
        query = _WORK.order_by(*turn)
        if change_id is not None:
            query = query.where(calendar_work.c.change_id == change_id)
        return [CalendarWork(*row) for row in await self._all(query.limit(limit))]

    async def _all(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresCalendarChanges(PostgresCalendarChangeReader):
    """Changes and their work inside a unit of work."""

    async def add(self, change: CalendarChange, work: Sequence[CalendarWork]) -> None:
        """Add a change and its work."""
        values = {
            "clinic_id": change.clinic_id,
            "id": change.id,
            "action": change.action,
            "entity": change.entity,
            "entity_id": change.entity_id,
            "requested_by": change.requested_by,
            "created_at": change.created_at,
            "first_day": change.first,
            "last_day": change.last,
            "doctors": change.doctors,
        }
        async with self._executor.connection() as connection:
            await connection.execute(insert(calendar_changes), values | asdict(change.counts))
            if work:
                rows = [
                    {
                        "clinic_id": each.clinic_id,
                        "change_id": each.change_id,
                        "doctor_id": each.doctor_id,
                        "next_day": each.next_day,
                        "last_day": each.last,
                    }
                    for each in work
                ]
                await connection.execute(insert(calendar_work), rows)

    async def advance(self, work: CalendarWork, next_day: date | None, counts: SlotCounts) -> bool:
        """Put `work` off to `next_day`, or remove it when nothing is left of it, and add `counts`
        to the change's; return False when the work is not as it was read."""
        as_read = (
            calendar_work.c.clinic_id == work.clinic_id,
            calendar_work.c.change_id == work.change_id,
            calendar_work.c.doctor_id == work.doctor_id,
            calendar_work.c.next_day == work.next_day,
        )
        write = (
            delete(calendar_work)
            if next_day is None
            else update(calendar_work).values(next_day=next_day)
        )
        of_change = (
            calendar_changes.c.clinic_id == work.clinic_id,
            calendar_changes.c.id == work.change_id,
        )
        added = {name: calendar_changes.c[name] + value for name, value in asdict(counts).items()}
        async with self._executor.connection() as connection:
            if (await connection.execute(write.where(*as_read))).rowcount != 1:
                return False
            await connection.execute(update(calendar_changes).where(*of_change).values(added))
        return True


def _change_of(row: SqlRow) -> CalendarChange:
    return CalendarChange(
        id=row.id,
        clinic_id=row.clinic_id,
        action=row.action,
        entity=row.entity,
        entity_id=row.entity_id,
        requested_by=row.requested_by,
        created_at=row.created_at,
        first=row.first_day,
        last=row.last_day,
        doctors=row.doctors,
        doctors_done=row.doctors - row.doctors_left,
        counts=SlotCounts(row.added, row.retired, row.blocked, row.unblocked, row.relocated),
    )

"""Changes of many calendars in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.calendar.changes import CalendarChange, CalendarWork, SlotCounts


class MemoryCalendarChangeReader:
    """Reads changes and their work."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def get(self, clinic_id: UUID, change_id: UUID) -> CalendarChange | None:
        change = self._tables.calendar_changes.get((clinic_id, change_id))
        return None if change is None else self._with_progress(change)

    async def list(self, clinic_id: UUID, *, limit: int) -> Sequence[CalendarChange]:
        found = self._tables.calendar_changes.where("clinic", clinic_id)
        latest = sorted(found, key=lambda change: change.id, reverse=True)[:limit]
        return [self._with_progress(change) for change in latest]

    async def unfinished(self, *, limit: int) -> Sequence[CalendarChange]:
        every = map(self._with_progress, self._tables.calendar_changes.values())
        left = [change for change in every if not change.is_done]
        return sorted(left, key=lambda change: (change.created_at, change.id))[:limit]

    async def work_of(self, clinic_id: UUID, doctor_id: UUID) -> Sequence[CalendarWork]:
        found = [
            work
            for work in self._tables.calendar_work.values()
            if (work.clinic_id, work.doctor_id) == (clinic_id, doctor_id)
        ]
        return sorted(found, key=lambda work: work.change_id)

    async def next_work(
        self, *, limit: int, change_id: UUID | None = None
    ) -> Sequence[CalendarWork]:
        found = [
            work
            for work in self._tables.calendar_work.values()
            if change_id in (None, work.change_id)
        ]
        return sorted(found, key=_turn)[:limit]

    def _with_progress(self, change: CalendarChange) -> CalendarChange:
        left = len([*self._tables.calendar_work.where("change", (change.clinic_id, change.id))])
        return replace(change, doctors_done=change.doctors - left)


class MemoryCalendarChanges(MemoryCalendarChangeReader):
    """Changes and their work inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, change: CalendarChange, work: Sequence[CalendarWork]) -> None:
        self._tables.calendar_changes.put((change.clinic_id, change.id), change)
        for each in work:
            self._tables.calendar_work.put(_key(each), each)

    async def advance(self, work: CalendarWork, next_day: date | None, counts: SlotCounts) -> bool:
        await self._transaction.lock(("calendar_change", work.clinic_id, work.change_id))
        if self._tables.calendar_work.get(_key(work)) != work:
            return False
        if next_day is None:
            self._tables.calendar_work.remove(_key(work))
        else:
            self._tables.calendar_work.put(_key(work), replace(work, next_day=next_day))
        key = (work.clinic_id, work.change_id)
        change = self._tables.calendar_changes.get(key)
        assert change is not None
        self._tables.calendar_changes.put(key, replace(change, counts=change.counts + counts))
        return True


def _key(work: CalendarWork) -> tuple[UUID, UUID, UUID]:
    return (work.clinic_id, work.change_id, work.doctor_id)


def _turn(work: CalendarWork) -> tuple[date, UUID, UUID]:
    return (work.next_day, work.doctor_id, work.change_id)

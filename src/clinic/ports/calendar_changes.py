"""Changes of many calendars that a worker carries out, doctor by doctor."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

from clinic.domain.calendar.changes import CalendarChange, CalendarWork, SlotCounts


class CalendarChangeReader(Protocol):
    async def get(self, clinic_id: UUID, change_id: UUID) -> CalendarChange | None:
        """Return the change with its progress, None when it does not exist in this clinic."""
        ...

    async def list(self, clinic_id: UUID, *, limit: int) -> Sequence[CalendarChange]:
        """Return the latest changes, the newest first."""
        ...

    async def unfinished(self, *, limit: int) -> Sequence[CalendarChange]:
        """Return changes of all clinics of which work is left, the oldest first."""
        ...

    async def work_of(self, clinic_id: UUID, doctor_id: UUID) -> Sequence[CalendarWork]:
        """Return the work that is left for one doctor's calendar, by change."""
        ...

    async def next_work(
        self, *, limit: int, change_id: UUID | None = None
    ) -> Sequence[CalendarWork]:
        """Return work of all clinics, or of one change, that is not done: the nearest days first,
        then by doctor."""
        ...


class CalendarChanges(CalendarChangeReader, Protocol):
    """Changes of calendars inside a unit of work."""

    async def add(self, change: CalendarChange, work: Sequence[CalendarWork]) -> None:
        """Add a change and its work."""
        ...

    async def advance(self, work: CalendarWork, next_day: date | None, counts: SlotCounts) -> bool:
        """Put `work` off to `next_day`, or remove it when nothing is left of it, and add `counts`
        to the change's.

        Returns False, and changes nothing, when the work is not as it was read.
        """
        ...

"""The slots that hours plan, for migration 0025: a copy of the plan as it was then.

It does not import the domain and does not change with it, so that the migration does the same
whichever release runs it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

#: start and end of a slot, aware, in UTC
Times = tuple[datetime, datetime]


class Hours(NamedTuple):
    """A row of `availabilities`; the fields are columns."""

    start_time: time
    end_time: time
    slot_min: int
    weekdays: Sequence[int]
    on_date: date | None
    valid_from: date | None
    valid_until: date | None
    overnight: bool

    def hold_on(self, day: date) -> bool:
        """Return whether they begin on `day`."""
        if self.on_date is not None:
            return day == self.on_date
        return (
            (self.valid_from is None or self.valid_from <= day)
            and (self.valid_until is None or day <= self.valid_until)
            and day.isoweekday() in self.weekdays
        )


class DayException(NamedTuple):
    """A row of `availability_exceptions`; the fields are columns."""

    id: UUID
    on_date: date
    start_time: time | None
    end_time: time | None
    slot_min: int | None
    overnight: bool

    def times(self, zone: ZoneInfo) -> Times:
        """Return the time that it removes or adds."""
        if self.start_time is None or self.end_time is None:
            return _day_times(self.on_date, zone)
        return _wall_times(self.on_date, self.start_time, self.end_time, zone, self.overnight)


def plan(
    first: date,
    last: date,
    hours: Iterable[Hours],
    exceptions: Iterable[DayException],
    zone: ZoneInfo,
) -> list[Times]:
    """Return the slots that start on the days from `first` to `last`, both included, earliest first
    and never overlapping."""
    eve = first - timedelta(days=1)
    planned = _apart(
        slot
        for day in _days(eve, last)
        for each in hours
        if each.hold_on(day)
        for slot in _divided(
            _wall_times(day, each.start_time, each.end_time, zone, each.overnight), each.slot_min
        )
    )
    for exception in sorted(exceptions, key=lambda each: each.id):
        is_added = exception.slot_min is not None
        if eve <= exception.on_date <= (last if is_added else last + timedelta(days=1)):
            times = exception.times(zone)
            at, end = _overlapped(planned, times)
            planned[at:end] = _divided(times, exception.slot_min) if exception.slot_min else ()
    since, before = _day_times(first, zone)[0], _day_times(last, zone)[1]
    return [slot for slot in _apart(planned) if since <= slot[0] < before]


def _days(first: date, last: date) -> Iterator[date]:
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def _instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, wall.replace(fold=0), zone).astimezone(UTC)


def _wall_times(day: date, start: time, end: time, zone: ZoneInfo, overnight: bool) -> Times:
    last = day + timedelta(days=1) if overnight else day
    return _instant(day, start, zone), _instant(last, end, zone)


def _day_times(day: date, zone: ZoneInfo) -> Times:
    return _instant(day, time(0), zone), _instant(day + timedelta(days=1), time(0), zone)


def _divided(times: Times, slot_min: int) -> Iterator[Times]:
    step = timedelta(minutes=slot_min)
    starts_at, ends_at = times
    while starts_at + step <= ends_at:
        yield starts_at, starts_at + step
        starts_at += step


def _apart(slots: Iterable[Times]) -> list[Times]:
    """Return the slots, earliest first, without those that overlap an earlier one."""
    kept: list[Times] = []
    for slot in sorted(slots):
        if not kept or kept[-1][1] <= slot[0]:
            kept.append(slot)
    return kept


def _overlapped(slots: Sequence[Times], times: Times) -> tuple[int, int]:
    """Return the place of those of `slots` that overlap `times`; they are sorted and apart."""
    starts_at, ends_at = times
    if ends_at <= starts_at:
        at = bisect_left(slots, starts_at, key=lambda slot: slot[0])
        return at, at
    return (
        bisect_right(slots, starts_at, key=lambda slot: slot[1]),
        bisect_left(slots, ends_at, key=lambda slot: slot[0]),
    )

"""What closes time that hours would open: closures of the clinic, leave of a doctor, and blocks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.calendar.availability import (
    LANE_MAX,
    Interval,
    check_wall_time,
    day_interval,
    instant_of,
)
from clinic.domain.clinic import checked_date, checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput, RangeTooLong, UnknownHolidayCalendar
from clinic.domain.text import checked_line

#: the longest closure, leave and block, in days
CLOSURE_MAX_DAYS, LEAVE_MAX_DAYS, BLOCK_MAX_DAYS = 731, 1_100, 731
CLOSING_NAME_MAX_CHARS = 200
OPEN_ON_MAX = 100

#: public holidays by country, subdivision and year; raises UnknownHolidayCalendar
Holidays = Callable[[str, str | None, int], Mapping[date, str]]


def no_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """Raise UnknownHolidayCalendar: no calendar is known."""
    raise UnknownHolidayCalendar("No calendar of public holidays is installed.", pointer="/country")


class BlockKind(StrEnum):
    """Why nothing can be booked at a time."""

    NO_HOURS = "no_hours"
    CLOSURE = "closure"
    LEAVE = "leave"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason for which a time cannot be booked."""

    kind: BlockKind
    #: of the closure, leave or block
    id: UUID | None = None
    #: the closure's or holiday's name; for staff, the reason of leave and blocks
    name: str | None = None


def words_of(blockers: Iterable[Blocker], *, no_hours: str = "the doctor has no hours then") -> str:
    """Return what closes a time as a clause, without the reasons that only staff may read."""
    words = {
        BlockKind.NO_HOURS: no_hours,
        BlockKind.LEAVE: "the doctor is on leave",
        BlockKind.BLOCK: "the time is blocked",
    }
    each = (words.get(one.kind) or f"the clinic is closed ({one.name})" for one in blockers)
    return ", ".join(dict.fromkeys(each))


def sentence_of(blockers: Iterable[Blocker]) -> str:
    """Return what closes a time as a sentence, without the reasons that only staff may read."""
    words = words_of(blockers)
    return f"{words[:1].upper()}{words[1:]}."


@dataclass(frozen=True, slots=True)
class ClosedTime:
    """A time that is closed, and by what."""

    interval: Interval
    by: Blocker
    #: the only lane that it closes; None closes all
    lane: int | None = None
    #: the only location that it closes; None closes all
    location_id: UUID | None = None
    #: locations that it does not close
    not_at: frozenset[UUID] = frozenset()

    def closes(self, lane: int, location_id: UUID | None = None) -> bool:
        return self.lane in (None, lane) and self.is_at(location_id)

    def is_at(self, location_id: UUID | None) -> bool:
        """Return whether it closes this location; None is the clinic's own address."""
        return self.location_id in (None, location_id) and location_id not in self.not_at


def _wall_interval(
    first: date, last: date, start: time | None, end: time | None, zone: ZoneInfo
) -> Interval:
    """Return the time from `start` on the first day to `end` on the last; None is midnight."""
    return Interval(
        instant_of(first, start or time(0), zone),
        day_interval(last, zone).ends_at if end is None else instant_of(last, end, zone),
    )


def _check_days(
    first: date, last: date, start: time | None, end: time | None, *, max_days: int
) -> None:
    checked_date(first, "/from")
    checked_date(last, "/until")
    for pointer, wall in (("/startTime", start), ("/endTime", end)):
        if wall is not None:
            check_wall_time(wall, pointer)
    if last < first:
        raise EndBeforeStart("until is before from; both days are included.", pointer="/until")
    if first == last and end is not None and end <= (start or time(0)):
        raise EndBeforeStart("The end time must be after the start time.", pointer="/endTime")
    days = (last - first).days + 1
    if days > max_days:
        raise RangeTooLong(
            f"From {first} until {last} are {days} days; at most {max_days} are accepted.",
            pointer="/until",
            maxDays=max_days,
        )


class ClosureKind(StrEnum):
    ONCE = "ONCE"
    #: on the same days of every year from the first one
    YEARLY = "YEARLY"
    #: on the public holidays of a country
    HOLIDAYS = "HOLIDAYS"


@dataclass(frozen=True, slots=True)
class Closure:
    """Days on which the whole clinic is closed, whatever the hours of its doctors."""

    id: UUID
    clinic_id: UUID
    #: shown to patients
    name: str
    kind: ClosureKind = ClosureKind.ONCE
    #: both included; None for holidays
    first: date | None = None
    last: date | None = None
    #: wall-clock time on the first day at which it begins; None is midnight
    start: time | None = None
    #: wall-clock time on the last day at which it ends; None is midnight at its end
    end: time | None = None
    #: ISO 3166 codes of the country and its subdivision, for holidays
    country: str | None = None
    subdivision: str | None = None
    #: days on which the clinic is open nonetheless
    open_on: tuple[date, ...] = ()
    #: the only location that it closes; None closes all
    location_id: UUID | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "open_on", tuple(sorted(set(self.open_on))))
        for place, day in enumerate(self.open_on):
            checked_date(day, f"/openOn/{place}")
        if len(self.open_on) > OPEN_ON_MAX:
            raise InvalidInput(f"Give at most {OPEN_ON_MAX} days.", pointer="/openOn")
        if self.kind is ClosureKind.HOLIDAYS:
            self._check_holidays()
            return
        if self.country is not None or self.subdivision is not None:
            raise InvalidInput(
                "country and subdivision are for public holidays: kind holidays.",
                pointer="/country",
            )
        if self.first is None or self.last is None:
            raise InvalidInput("Give from, and until for more than a day.", pointer="/from")
        _check_days(self.first, self.last, self.start, self.end, max_days=CLOSURE_MAX_DAYS)
        next_one = _in_year(self.first, self.first.year + 1)
        if self.kind is ClosureKind.YEARLY and self.last >= next_one:
            raise RangeTooLong("A yearly closure is shorter than a year.", pointer="/until")

    def _check_holidays(self) -> None:
        if self.country is None:
            raise InvalidInput("Give the country whose holidays are meant.", pointer="/country")
        if self.first or self.last or self.start or self.end:
            raise InvalidInput("Public holidays take no days or times.", pointer="/from")

    def checked(self, before: "Closure | None" = None) -> "Closure":
        """Return a copy with its name normalized for storage, or itself if the name is unchanged.

        Raises InvalidInput.
        """
        if before is not None and self.name == before.name:
            return self
        name = checked_line(self.name, "name", max_chars=CLOSING_NAME_MAX_CHARS, pointer="/name")
        return replace(self, name=name)

    def times(
        self, first: date, last: date, zone: ZoneInfo, holidays: Holidays
    ) -> Iterator[ClosedTime]:
        """Yield the times that it closes between the days `first` and `last`, and perhaps others.

        Raises UnknownHolidayCalendar.
        """
        for begin, end, name in self._occasions(first, last, holidays):
            interval = _wall_interval(begin, end, self.start, self.end, zone)
            by = Blocker(BlockKind.CLOSURE, self.id, name)
            for part in _without(interval, self.open_on, zone):
                yield ClosedTime(part, by, location_id=self.location_id)

    def _occasions(
        self, first: date, last: date, holidays: Holidays
    ) -> Iterator[tuple[date, date, str]]:
        """Yield first day, last day and name of each time that it closes the clinic."""
        if self.kind is ClosureKind.HOLIDAYS:
            assert self.country is not None
            for year in range(first.year, last.year + 1):
                for day, name in holidays(self.country, self.subdivision, year).items():
                    if first <= day <= last:
                        yield day, day, name
            return
        assert self.first is not None
        assert self.last is not None
        if self.kind is ClosureKind.ONCE:
            if self.first <= last and first <= self.last:
                yield self.first, self.last, self.name
            return
        for year in range(max(first.year - 1, self.first.year), last.year + 1):
            begin = _in_year(self.first, year)
            end = _in_year(self.last, year + self.last.year - self.first.year)
            if begin <= last and first <= end:
                yield begin, end, self.name


def _in_year(day: date, year: int) -> date:
    """Return the same day of another year; of 29 February, the 28th where there is none."""
    if (day.month, day.day) == (2, 29):
        return date(year, 3, 1) - timedelta(days=1)
    return day.replace(year=year)


def _without(interval: Interval, days: tuple[date, ...], zone: ZoneInfo) -> Iterator[Interval]:
    """Yield what is left of `interval` without these days, which are sorted."""
    starts_at = interval.starts_at
    for day in days:
        open_again = day_interval(day, zone)
        if open_again.overlaps(Interval(starts_at, interval.ends_at)):
            if starts_at < open_again.starts_at:
                yield Interval(starts_at, open_again.starts_at)
            starts_at = open_again.ends_at
    if starts_at < interval.ends_at:
        yield Interval(starts_at, interval.ends_at)


@dataclass(frozen=True, slots=True)
class Leave:
    """Days on which a doctor is away, on the wall clock."""

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    #: both included
    first: date
    last: date
    #: time on the first day at which it begins; None is midnight
    start: time | None = None
    #: time on the last day at which it ends; None is midnight at its end
    end: time | None = None
    #: for staff only
    reason: str | None = None

    def __post_init__(self) -> None:
        _check_days(self.first, self.last, self.start, self.end, max_days=LEAVE_MAX_DAYS)

    def checked(self, before: "Leave | None" = None) -> "Leave":
        """Return a copy with its reason normalized for storage, or itself if that is unchanged.

        Raises InvalidInput.
        """
        if before is not None and self.reason == before.reason:
            return self
        return replace(self, reason=checked_closing_reason(self.reason))

    def interval(self, zone: ZoneInfo) -> Interval:
        """Return the time of the leave."""
        return _wall_interval(self.first, self.last, self.start, self.end, zone)

    def closed(self, zone: ZoneInfo) -> ClosedTime:
        """Return the time that it closes."""
        return ClosedTime(self.interval(zone), Blocker(BlockKind.LEAVE, self.id, self.reason))


@dataclass(frozen=True, slots=True)
class Block:
    """A time `[starts_at, ends_at)` at which a doctor takes no bookings; instants, in UTC."""

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    starts_at: datetime
    ends_at: datetime
    #: for staff only
    reason: str | None = None
    #: the lane that it blocks; None blocks all
    lane: int | None = None

    def __post_init__(self) -> None:
        checked_instant(self.starts_at, "/from")
        checked_instant(self.ends_at, "/to")
        if self.ends_at <= self.starts_at:
            raise EndBeforeStart("to must be after from.", pointer="/to")
        if self.ends_at - self.starts_at > timedelta(days=BLOCK_MAX_DAYS):
            raise RangeTooLong(
                f"A block lasts at most {BLOCK_MAX_DAYS} days.",
                pointer="/to",
                maxDays=BLOCK_MAX_DAYS,
            )
        if self.lane is not None:
            check_lane(self.lane)

    def checked(self) -> "Block":
        """Return a copy with its reason normalized for storage. Raises InvalidInput."""
        return replace(self, reason=checked_closing_reason(self.reason))

    @property
    def interval(self) -> Interval:
        return Interval(self.starts_at, self.ends_at)

    def closed(self) -> ClosedTime:
        """Return the time that it closes."""
        blocker = Blocker(BlockKind.BLOCK, self.id, self.reason)
        return ClosedTime(self.interval, blocker, self.lane)

    def covers(self, other: "Block") -> bool:
        """Return whether `other` closes nothing that this one does not close already."""
        is_wider = self.lane in (None, other.lane)
        return is_wider and self.starts_at <= other.starts_at and other.ends_at <= self.ends_at

    def without(self, window: Interval, new_id: Callable[[], UUID]) -> tuple["Block", ...]:
        """Return what is left of it when `window` is cut out: nothing, one block or two. The first
        one keeps the id."""
        parts = [
            Interval(self.starts_at, min(self.ends_at, window.starts_at)),
            Interval(max(self.starts_at, window.ends_at), self.ends_at),
        ]
        left = [part for part in parts if part.starts_at < part.ends_at]
        return tuple(
            replace(
                self,
                id=new_id() if place else self.id,
                starts_at=part.starts_at,
                ends_at=part.ends_at,
            )
            for place, part in enumerate(left)
        )


def check_lane(lane: int) -> None:
    """Raise InvalidInput for a lane that no doctor can have."""
    if not 1 <= lane <= LANE_MAX:
        raise InvalidInput(f"Lanes are from 1 to {LANE_MAX}.", pointer="/lane")


def checked_closing_reason(reason: str | None) -> str | None:
    """Return the reason normalized for storage. Raises InvalidInput."""
    if reason is None:
        return None
    return checked_line(reason, "reason", max_chars=CLOSING_NAME_MAX_CHARS, pointer="/reason")

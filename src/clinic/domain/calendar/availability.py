"""A doctor's hours on the wall clock, and how a day of them divides into slots.

Daylight saving follows RFC 5545: a wall time inside the spring gap uses the offset before the gap,
a repeated wall time is its first occurrence, and between the two ends a window is stepped in real
minutes. So a slot always lasts exactly its length, and a window may hold fewer or more slots on the
day the clocks change.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.clinic import FIRST_YEAR, LAST_YEAR, checked_date
from clinic.domain.errors import (
    AvailabilityOverlap,
    AvailabilityRemainder,
    EndBeforeStart,
    HoursEmpty,
    InvalidInput,
)

SLOT_MIN_MIN, SLOT_MAX_MIN = 5, 480
#: the most places that hours may have at a time
CAPACITY_MAX = 20
#: the last lane of a doctor's calendar. Hours have lanes up to CAPACITY_MAX, places beside them
#: those after it.
LANE_MAX = 64
MINUTES_A_DAY = 24 * 60
_WEEK_MIN = 7 * MINUTES_A_DAY
MIDNIGHT = time(0)
#: the longest range that is planned at once
RANGE_MAX_DAYS = 800
EVERY_WEEKDAY = range(1, 8)
# With room for a day more.
_EARLIEST, _LATEST = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open stretch of time `[starts_at, ends_at)`, aware, in UTC."""

    starts_at: datetime
    ends_at: datetime

    @property
    def lasts(self) -> bool:
        """Whether it holds a moment."""
        return self.starts_at < self.ends_at

    def overlaps(self, other: "Interval") -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def holds(self, other: "Interval") -> bool:
        """Return whether the whole of `other` is within it."""
        return self.starts_at <= other.starts_at and other.ends_at <= self.ends_at


def check_wall_time(value: time, pointer: str) -> None:
    """Raise InvalidInput unless `value` is a whole minute on the wall clock."""
    if value.tzinfo is not None or value.second or value.microsecond:
        raise InvalidInput("Write a wall-clock time as HH:mm, without offset.", pointer=pointer)


def end_text(end: time, *, overnight: bool) -> str:
    """Return how the end of hours is written: midnight at their end is 24:00."""
    return "24:00" if overnight and end == time(0) else f"{end:%H:%M}"


def _minutes(wall: time) -> int:
    return wall.hour * 60 + wall.minute


def _length_min(start: time, end: time, *, overnight: bool) -> int:
    return _minutes(end) - _minutes(start) + (MINUTES_A_DAY if overnight else 0)


def _most_slots(start: time, end: time, slot_min: int, *, overnight: bool) -> int:
    return _length_min(start, end, overnight=overnight) // slot_min


def _check_capacity(capacity: int) -> None:
    """Raise InvalidInput unless hours may have this many places at a time."""
    if not 1 <= capacity <= CAPACITY_MAX:
        raise InvalidInput(
            f"Give a number of places from 1 to {CAPACITY_MAX}.", pointer="/capacity"
        )


def _check_window(start: time, end: time, slot_min: int | None, *, overnight: bool) -> None:
    """Raise unless `[start, end)` is a wall-clock window of whole slots, at most a day long."""
    check_wall_time(start, "/startTime")
    check_wall_time(end, "/endTime")
    length_min = _length_min(start, end, overnight=overnight)
    if length_min <= 0:
        raise EndBeforeStart(
            "The end time must be after the start time; for hours that end on the next day, set"
            " overnight.",
            pointer="/endTime",
        )
    if length_min > MINUTES_A_DAY:
        raise InvalidInput(
            "Hours last at most 24 hours; leave overnight out for an end on the same day.",
            pointer="/endTime",
        )
    if slot_min is None:
        return
    if not SLOT_MIN_MIN <= slot_min <= SLOT_MAX_MIN:
        raise InvalidInput(
            f"A slot lasts {SLOT_MIN_MIN} to {SLOT_MAX_MIN} minutes.", pointer="/slotMinutes"
        )
    remainder_min = length_min % slot_min
    if remainder_min:
        raise AvailabilityRemainder(
            f"{start:%H:%M} to {end_text(end, overnight=overnight)} is not a whole number of"
            f" {slot_min}-minute slots: {remainder_min} minutes are left over. Move the end or"
            " change the slot length.",
            pointer="/endTime",
            remainderMin=remainder_min,
        )


@dataclass(frozen=True, slots=True)
class Availability:
    """A doctor's wall-clock range, either on weekdays (ISO 1–7) or on one date."""

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    start: time
    end: time
    #: length of a slot in minutes
    slot_min: int
    #: ISO weekdays, Monday is 1; empty when `on_date` is given
    weekdays: tuple[int, ...] = ()
    on_date: date | None = None
    #: first and last day on which weekly hours apply, both included
    valid_from: date | None = None
    valid_until: date | None = None
    #: `end` is on the day after `start`; with 00:00, the hours last until midnight
    overnight: bool = False
    #: where they are; None is the clinic's own address
    location_id: UUID | None = None
    #: how many places there are at each start, beside each other
    capacity: int = 1

    def __post_init__(self) -> None:
        _check_window(self.start, self.end, self.slot_min, overnight=self.overnight)
        _check_capacity(self.capacity)
        if bool(self.weekdays) == (self.on_date is not None):
            raise InvalidInput("Give either weekdays or a date.", pointer="/weekdays")
        if any(day not in EVERY_WEEKDAY for day in self.weekdays):
            raise InvalidInput("Weekdays are mon to sun.", pointer="/weekdays")
        object.__setattr__(self, "weekdays", tuple(sorted(set(self.weekdays))))
        for pointer, value in (
            ("/date", self.on_date),
            ("/validFrom", self.valid_from),
            ("/validUntil", self.valid_until),
        ):
            if value is not None:
                checked_date(value, pointer)
        if self.on_date and (self.valid_from or self.valid_until):
            raise InvalidInput("Hours on one date take no validity.", pointer="/validFrom")
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise EndBeforeStart("validUntil is before validFrom.", pointer="/validUntil")

    def holds_on(self, day: date) -> bool:
        """Return whether these hours apply on `day`."""
        if self.on_date is not None:
            return day == self.on_date
        if self.valid_from is not None and day < self.valid_from:
            return False
        if self.valid_until is not None and day > self.valid_until:
            return False
        return day.isoweekday() in self.weekdays

    @property
    def most_slots(self) -> int:
        """How many slots it makes on a day on which the clocks do not change."""
        starts = _most_slots(self.start, self.end, self.slot_min, overnight=self.overnight)
        return starts * self.capacity

    def window_on(self, day: date, zone: ZoneInfo) -> Interval:
        """Return the time of the hours that begin on `day`."""
        return _window_on(day, self.start, self.end, zone, overnight=self.overnight)


class ExceptionKind(StrEnum):
    REMOVE = "REMOVE"
    ADD = "ADD"


@dataclass(frozen=True, slots=True)
class AvailabilityException:
    """One day on which a doctor's hours differ: a range or the whole day removed, or one added."""

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    on_date: date
    kind: ExceptionKind
    #: both None: the whole day (REMOVE only)
    start: time | None = None
    end: time | None = None
    #: length of an added slot in minutes; None for REMOVE
    slot_min: int | None = None
    #: `end` is on the day after `on_date`
    overnight: bool = False
    #: where added hours are; None is the clinic's own address
    location_id: UUID | None = None
    #: how many places added hours have at each start; 1 for REMOVE
    capacity: int = 1

    def __post_init__(self) -> None:
        checked_date(self.on_date, "/date")
        _check_capacity(self.capacity)
        if (self.start is None) != (self.end is None):
            raise InvalidInput("Give both startTime and endTime, or neither.", pointer="/startTime")
        if self.kind is ExceptionKind.ADD and (self.start is None or self.slot_min is None):
            raise InvalidInput(
                "Added hours need startTime, endTime and slotMinutes.", pointer="/startTime"
            )
        if self.kind is ExceptionKind.REMOVE and self.slot_min is not None:
            raise InvalidInput("Removed hours have no slot length.", pointer="/slotMinutes")
        if self.kind is ExceptionKind.REMOVE and self.location_id is not None:
            raise InvalidInput("Removed hours have no location.", pointer="/locationId")
        if self.kind is ExceptionKind.REMOVE and self.capacity != 1:
            raise InvalidInput("Removed hours have no places.", pointer="/capacity")
        if self.start is not None and self.end is not None:
            _check_window(self.start, self.end, self.slot_min, overnight=self.overnight)
        elif self.overnight:
            raise InvalidInput("A whole day has no times.", pointer="/overnight")

    @property
    def most_slots(self) -> int:
        """How many slots it adds where the clocks do not change."""
        if self.start is None or self.end is None or self.slot_min is None:
            return 0
        starts = _most_slots(self.start, self.end, self.slot_min, overnight=self.overnight)
        return starts * self.capacity

    def window(self, zone: ZoneInfo) -> Interval:
        """Return the time that it removes or adds."""
        if self.start is None or self.end is None:
            return day_interval(self.on_date, zone)
        return _window_on(self.on_date, self.start, self.end, zone, overnight=self.overnight)


def instant_of(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """Return the instant at which the clocks of `zone` first show `wall` on `day`, in UTC.

    A time that the clocks skip is read with the offset before the gap; fold=0 does both.
    """
    return datetime.combine(day, wall.replace(fold=0), zone).astimezone(UTC)


def day_interval(day: date, zone: ZoneInfo) -> Interval:
    """Return the whole of `day` in `zone`, from midnight to midnight."""
    return Interval(
        instant_of(day, time(0), zone), instant_of(day + timedelta(days=1), time(0), zone)
    )


def divide(window: Interval, slot_min: int) -> Iterator[Interval]:
    """Yield back-to-back slots of `slot_min` real minutes; a shorter remainder is dropped."""
    step = timedelta(minutes=slot_min)
    starts_at = window.starts_at
    while starts_at + step <= window.ends_at:
        yield Interval(starts_at, starts_at + step)
        starts_at += step


def _window_on(day: date, start: time, end: time, zone: ZoneInfo, *, overnight: bool) -> Interval:
    last = day + timedelta(days=1) if overnight else day
    return Interval(instant_of(day, start, zone), instant_of(last, end, zone))


class Places(NamedTuple):
    """A stretch of time that hours make slots of, how many beside each other, and where."""

    interval: Interval
    capacity: int
    #: None is the clinic's own address
    location_id: UUID | None = None


def plan_day(
    day: date,
    availabilities: Sequence[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
) -> list[Interval]:
    """Return the times of the slots that these hours make on `day`, as `plan_range` does."""
    return plan_range(day, day, availabilities, exceptions, zone)


def plan_range(
    first: date,
    last: date,
    availabilities: Sequence[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
    *,
    last_day: date | None = None,
) -> list[Interval]:
    """Return the times of `plan_places`, each once."""
    planned = plan_places(first, last, availabilities, exceptions, zone, last_day=last_day)
    return [each.interval for each in planned]


def plan_places(
    first: date,
    last: date,
    availabilities: Sequence[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
    *,
    last_day: date | None = None,
) -> list[Places]:
    """Return the slots that start on the days from `first` to `last`, both included; earliest first
    and never overlapping, each with the number of places.

    Hours apply on the day on which they begin. Exceptions apply in the order in which they were
    entered, which their ids have: hours that are added after a day off are open, and a day off that
    is entered after them closes them, too. No hours begin after `last_day`. Raises
    InvalidInput when the range is longer than RANGE_MAX_DAYS.
    """
    if (last - first).days >= RANGE_MAX_DAYS:
        raise InvalidInput(f"Open at most {RANGE_MAX_DAYS} days at once.", pointer="/until")
    # The eve's hours may last into the first day, and those of the day before it may have taken
    # their place; where the clocks skip a day, it is the eve of the eve.
    begun = first - timedelta(days=2)
    until = last if last_day is None else min(last, last_day)
    planned = _without_overlaps(
        places
        for day in _days(begun, until)
        for hours in availabilities
        if hours.holds_on(day)
        for places in _divided(hours.window_on(day, zone), hours)
    )
    for exception in sorted(exceptions, key=lambda each: each.id):
        is_over = exception.slot_min and last_day is not None and exception.on_date > last_day
        # One of the day after takes the place of what lasts over midnight.
        if begun <= exception.on_date <= last + timedelta(days=1) and not is_over:
            window = exception.window(zone)
            at, end = _overlapping(planned, window)
            planned[at:end] = _divided(window, exception)
    since, before = day_interval(first, zone).starts_at, day_interval(last, zone).ends_at
    return [
        places
        for places in _without_overlaps(planned)
        if since <= places.interval.starts_at < before
    ]


def _divided(window: Interval, by: Availability | AvailabilityException) -> list[Places]:
    """Return the slots that these hours make of `window`; none where they take time away."""
    if not by.slot_min:
        return []
    return [Places(slot, by.capacity, by.location_id) for slot in divide(window, by.slot_min)]


def _days(first: date, last: date) -> Iterator[date]:
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def _without_overlaps(planned: Iterable[Places]) -> list[Places]:
    """Return the slots, earliest first, without those that overlap an earlier one: windows that are
    adjacent on the wall clock can overlap in real time when the clocks jump."""
    kept: list[Places] = []
    # By a key, since intervals by the thousand are slow to compare.
    for places in sorted(
        planned, key=lambda each: (each.interval.starts_at, each.interval.ends_at)
    ):
        if not (kept and places.interval.overlaps(kept[-1].interval)):
            kept.append(places)
    return kept


def _overlapping(planned: Sequence[Places], window: Interval) -> tuple[int, int]:
    """Return the place of those of `planned` that overlap `window`; they are sorted and apart."""
    if window.ends_at <= window.starts_at:
        at = bisect_left(planned, window.starts_at, key=lambda each: each.interval.starts_at)
        return at, at
    return (
        bisect_right(planned, window.starts_at, key=lambda each: each.interval.ends_at),
        bisect_left(planned, window.ends_at, key=lambda each: each.interval.starts_at),
    )


def longest_stretch_min(
    availabilities: Iterable[Availability],
    exceptions: Iterable[AvailabilityException],
    since: date,
    *,
    enough_min: int = MINUTES_A_DAY,
) -> int:
    """Return how long the longest stretch of a doctor's hours without a break lasts, from the day
    `since` on and as the clocks show it: in minutes, 0 when no hours are ahead, and not searched
    further once it is `enough_min`. What exceptions take away is not taken off."""
    begun: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    windows: Iterable[Availability | AvailabilityException] = (*availabilities, *exceptions)
    for window in windows:
        if window.start is None or window.end is None or not window.slot_min:
            continue
        length_min = _length_min(window.start, window.end, overnight=window.overnight)
        for weekday, first, last in _applies(window):
            minute = (weekday - 1) * MINUTES_A_DAY + _minutes(window.start)
            begun[minute].append((length_min, first, last))

    def longest(minute: int, first: int, last: int, lasts_min: int) -> int:
        """Return how long a stretch lasts that has reached this minute of the week, and began on a
        day between these two."""
        if lasts_min >= enough_min:
            return lasts_min
        days = minute // MINUTES_A_DAY
        return max(
            (
                longest(minute + length_min, begins, ends, lasts_min + length_min)
                for length_min, valid_from, valid_until in begun.get(minute % _WEEK_MIN, ())
                if (begins := _on_weekday(start_day, max(first, valid_from - days + start_day)))
                <= (ends := min(last, valid_until - days + start_day))
            ),
            default=lasts_min,
        )

    found_min = 0
    for start in begun:
        start_day = start // MINUTES_A_DAY
        found_min = max(found_min, longest(start, since.toordinal(), _LATEST.toordinal(), 0))
    return found_min


def _on_weekday(weekday: int, day: int) -> int:
    """Return the first day from `day` on that is on the weekday, 0 for Monday; days are ordinals,
    of which the first was a Monday."""
    return day + (weekday + 1 - day) % 7


def _applies(window: Availability | AvailabilityException) -> Iterator[tuple[int, int, int]]:
    """Yield each ISO weekday of a window with the first and the last day on which it applies, as
    ordinals."""
    if window.on_date is not None:
        day = window.on_date.toordinal()
        yield window.on_date.isoweekday(), day, day
        return
    assert isinstance(window, Availability)
    first = (window.valid_from or _EARLIEST).toordinal()
    last = (window.valid_until or _LATEST).toordinal()
    for weekday in window.weekdays:
        yield weekday, first, last


def check_overlap(new: Availability, existing: Iterable[Availability]) -> None:
    """Raise AvailabilityOverlap for hours that overlap the doctor's other hours on any day."""
    for other in existing:
        if other.id == new.id or other.doctor_id != new.doctor_id:
            continue
        if any(_meet(new, other, days) for days in (-1, 0, 1)):
            end = end_text(other.end, overnight=other.overnight)
            raise AvailabilityOverlap(
                f"The doctor already has hours from {other.start:%H:%M} to {end}"
                " on one of these days; change or delete those first.",
                availabilityId=str(other.id),
            )


def _meet(a: Availability, b: Availability, later_days: int) -> bool:
    """Return whether `a` on some day overlaps `b` of `later_days` days later."""
    (a_start, a_end), (b_start, b_end) = span_min(a), span_min(b)
    offset = later_days * MINUTES_A_DAY
    meets = a_start < b_end + offset and b_start + offset < a_end
    return meets and share_a_day(a, b, timedelta(days=later_days))


def span_min(hours: Availability) -> tuple[int, int]:
    """Return when hours begin and end, in minutes from midnight of the day on which they begin."""
    end = _minutes(hours.end) + (MINUTES_A_DAY if hours.overnight else 0)
    return _minutes(hours.start), end


def share_a_day(a: Availability, b: Availability, later: timedelta) -> bool:
    """Return whether `a` holds on some day, and `b` on the one `later` than that."""
    if a.on_date is not None:
        return b.holds_on(a.on_date + later)
    if b.on_date is not None:
        return a.holds_on(b.on_date - later)
    first = max(a.valid_from or _EARLIEST, (b.valid_from or _EARLIEST) - later)
    last = min(a.valid_until or _LATEST, (b.valid_until or _LATEST) - later)
    return any(
        day.isoweekday() in a.weekdays and (day + later).isoweekday() in b.weekdays
        for day in _days(first, min(last, first + timedelta(days=6)))
    )


def check_not_empty(hours: Availability | AvailabilityException, zone: ZoneInfo) -> None:
    """Raise HoursEmpty for hours on one date that hold no slot, since the clocks change then."""
    if hours.on_date is None:
        return
    if isinstance(hours, Availability):
        window = hours.window_on(hours.on_date, zone)
    else:
        window = hours.window(zone)
    shortest = timedelta(minutes=hours.slot_min or 1)
    if window.ends_at - window.starts_at < shortest:
        raise HoursEmpty(pointer="/startTime", date=hours.on_date.isoformat())


def check_exception(
    new: AvailabilityException,
    availabilities: Sequence[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
) -> None:
    """Raise AvailabilityOverlap for added hours in whose time there are slots, and for a removal of
    what was removed already."""
    window = new.window(zone)
    if new.kind is ExceptionKind.ADD:
        # Theirs may last into the night.
        next_day = new.on_date + timedelta(days=1)
        planned = plan_range(
            new.on_date - timedelta(days=1), next_day, availabilities, exceptions, zone
        )
        if any(slot.overlaps(window) for slot in planned):
            raise AvailabilityOverlap()
        return
    near = [each for each in exceptions if abs((each.on_date - new.on_date).days) <= 1]
    for other in near:
        removed = other.window(zone)
        is_open_again = any(
            each.kind is ExceptionKind.ADD
            and each.id > other.id
            and each.window(zone).overlaps(window)
            for each in near
        )
        covers = removed.starts_at <= window.starts_at and window.ends_at <= removed.ends_at
        if other.kind is ExceptionKind.REMOVE and covers and not is_open_again:
            raise AvailabilityOverlap(
                "This time is taken off already; delete that exception to open it again.",
                exceptionId=str(other.id),
            )


def never_overlap(slots: Sequence[Interval]) -> bool:
    """Return whether no two of `slots`, given earliest first, overlap."""
    return all(one.ends_at <= two.starts_at for one, two in pairwise(slots))

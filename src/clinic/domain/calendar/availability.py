"""A doctor's hours on the wall clock, and how a day of them divides into slots.

Daylight saving follows RFC 5545: a wall time inside the spring gap uses the offset before the gap,
a repeated wall time is its first occurrence, and between the two ends a window is stepped in real
minutes. So a slot always lasts exactly its length, and a window may hold fewer or more slots on the
day the clocks change.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.clinic import checked_date
from clinic.domain.errors import (
    AvailabilityOverlap,
    AvailabilityRemainder,
    EndBeforeStart,
    InvalidInput,
)

SLOT_MIN_MIN, SLOT_MAX_MIN = 5, 480
#: the longest range that is planned at once
RANGE_MAX_DAYS = 800
EVERY_WEEKDAY = range(1, 8)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open stretch of time `[starts_at, ends_at)`, aware, in UTC."""

    starts_at: datetime
    ends_at: datetime

    def overlaps(self, other: "Interval") -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


def _check_window(start: time, end: time, slot_min: int | None) -> None:
    """Raise unless `[start, end)` is a wall-clock window of whole slots."""
    for pointer, value in (("/startTime", start), ("/endTime", end)):
        if value.tzinfo is not None or value.second or value.microsecond:
            raise InvalidInput("Write a wall-clock time as HH:mm, without offset.", pointer=pointer)
    if end <= start:
        raise EndBeforeStart("The end time must be after the start time.", pointer="/endTime")
    if slot_min is None:
        return
    if not SLOT_MIN_MIN <= slot_min <= SLOT_MAX_MIN:
        raise InvalidInput(
            f"A slot lasts {SLOT_MIN_MIN} to {SLOT_MAX_MIN} minutes.", pointer="/slotMinutes"
        )
    length_min = (end.hour - start.hour) * 60 + end.minute - start.minute
    remainder_min = length_min % slot_min
    if remainder_min:
        raise AvailabilityRemainder(
            f"{start:%H:%M} to {end:%H:%M} is not a whole number of {slot_min}-minute slots:"
            f" {remainder_min} minutes are left over. Move the end or change the slot length.",
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

    def __post_init__(self) -> None:
        _check_window(self.start, self.end, self.slot_min)
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

    def __post_init__(self) -> None:
        checked_date(self.on_date, "/date")
        if (self.start is None) != (self.end is None):
            raise InvalidInput("Give both startTime and endTime, or neither.", pointer="/startTime")
        if self.kind is ExceptionKind.ADD and (self.start is None or self.slot_min is None):
            raise InvalidInput(
                "Added hours need startTime, endTime and slotMinutes.", pointer="/startTime"
            )
        if self.kind is ExceptionKind.REMOVE and self.slot_min is not None:
            raise InvalidInput("Removed hours have no slot length.", pointer="/slotMinutes")
        if self.start is not None and self.end is not None:
            _check_window(self.start, self.end, self.slot_min)

    def window(self, zone: ZoneInfo) -> Interval:
        """Return the time that it removes or adds."""
        if self.start is None or self.end is None:
            return day_interval(self.on_date, zone)
        return _window_on(self.on_date, self.start, self.end, zone)

    def covers(self, other: "AvailabilityException") -> bool:
        """Return whether the time of `other`, of the same day, is within its own."""
        if self.start is None or self.end is None:
            return True
        if other.start is None or other.end is None:
            return False
        return self.start <= other.start and other.end <= self.end


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


def _window_on(day: date, start: time, end: time, zone: ZoneInfo) -> Interval:
    return Interval(instant_of(day, start, zone), instant_of(day, end, zone))


def plan_day(
    day: date,
    availabilities: Iterable[Availability],
    exceptions: Iterable[AvailabilityException],
    zone: ZoneInfo,
) -> list[Interval]:
    """Return the slots that these hours make on `day`, earliest first and never overlapping.

    Exceptions apply in the order in which they were entered, which their ids have: hours that are
    added after a day off are open, and a day off that is entered after them closes them, too.
    """
    of_hours = [
        slot
        for hours in availabilities
        if hours.holds_on(day)
        for slot in divide(_window_on(day, hours.start, hours.end, zone), hours.slot_min)
    ]
    planned: list[Interval] = []
    for slot in sorted(of_hours):
        # Windows that are adjacent on the wall clock can overlap in real time when the clocks jump.
        if not (planned and slot.overlaps(planned[-1])):
            planned.append(slot)
    for exception in sorted(exceptions, key=lambda each: each.id):
        if exception.on_date == day:
            window = exception.window(zone)
            added = divide(window, exception.slot_min) if exception.slot_min is not None else ()
            planned = [slot for slot in planned if not slot.overlaps(window)]
            planned = sorted([*planned, *added])
    return planned


def plan_range(
    first: date,
    last: date,
    availabilities: Sequence[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
) -> list[Interval]:
    """Return the slots of every day from `first` to `last`, both included, earliest first.

    Raises InvalidInput when the range is longer than RANGE_MAX_DAYS.
    """
    days = (last - first).days + 1
    if days > RANGE_MAX_DAYS:
        raise InvalidInput(f"Open at most {RANGE_MAX_DAYS} days at once.", pointer="/until")
    by_day: dict[date, list[AvailabilityException]] = {}
    for exception in exceptions:
        by_day.setdefault(exception.on_date, []).append(exception)
    planned: list[Interval] = []
    for offset in range(max(days, 0)):
        day = first + timedelta(days=offset)
        for slot in plan_day(day, availabilities, by_day.get(day, ()), zone):
            # A window that ends in a gap can run into the next day's first slot.
            if not planned or not slot.overlaps(planned[-1]):
                planned.append(slot)
    return planned


def check_overlap(new: Availability, existing: Iterable[Availability]) -> None:
    """Raise AvailabilityOverlap for hours that overlap the doctor's other hours on any day."""
    for other in existing:
        if other.id == new.id or other.doctor_id != new.doctor_id:
            continue
        if new.start < other.end and other.start < new.end and _share_a_day(new, other):
            raise AvailabilityOverlap(
                f"The doctor already has hours from {other.start:%H:%M} to {other.end:%H:%M}"
                " on one of these days; change or delete those first.",
                availabilityId=str(other.id),
            )


def _share_a_day(a: Availability, b: Availability) -> bool:
    if a.on_date is not None:
        return b.holds_on(a.on_date)
    if b.on_date is not None:
        return a.holds_on(b.on_date)
    common = set(a.weekdays) & set(b.weekdays)
    first = max(a.valid_from or date.min, b.valid_from or date.min)
    last = min(a.valid_until or date.max, b.valid_until or date.max)
    if not common or last < first:
        return False
    if (last - first).days >= 6:
        return True
    return any(
        (first + timedelta(days=offset)).isoweekday() in common
        for offset in range((last - first).days + 1)
    )


def check_exception(
    new: AvailabilityException,
    availabilities: Iterable[Availability],
    exceptions: Sequence[AvailabilityException],
    zone: ZoneInfo,
) -> None:
    """Raise AvailabilityOverlap for added hours in whose time there are slots, and for a removal of
    what was removed already."""
    if new.kind is ExceptionKind.ADD:
        window = new.window(zone)
        planned = plan_day(new.on_date, availabilities, exceptions, zone)
        if any(slot.overlaps(window) for slot in planned):
            raise AvailabilityOverlap()
        return
    same_day = [each for each in exceptions if each.on_date == new.on_date]
    for other in same_day:
        is_open_again = any(
            each.kind is ExceptionKind.ADD and each.id > other.id for each in same_day
        )
        if other.kind is ExceptionKind.REMOVE and other.covers(new) and not is_open_again:
            raise AvailabilityOverlap(
                "This time is taken off already; delete that exception to open it again.",
                exceptionId=str(other.id),
            )


def never_overlap(slots: Sequence[Interval]) -> bool:
    """Return whether no two of `slots`, given earliest first, overlap."""
    return all(one.ends_at <= two.starts_at for one, two in pairwise(slots))

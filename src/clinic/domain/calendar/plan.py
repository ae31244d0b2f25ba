"""The plan of a doctor's calendar: which slots there are, and which are open, by all inputs."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    MIDNIGHT,
    RANGE_MAX_DAYS,
    Availability,
    AvailabilityException,
    Interval,
    Places,
    day_interval,
    plan_places,
)
from clinic.domain.calendar.closings import (
    Block,
    Blocker,
    BlockKind,
    ClosedTime,
    Closure,
    ClosureKind,
    Holidays,
    Leave,
)
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import PlannedSlot, SlotState

#: which of two places that overlap is planned may depend on others before and after them
_PLACES_REACH = timedelta(days=2)
NO_LANES: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class CalendarInputs:
    """Everything that the state of a doctor's slots follows from."""

    zone: ZoneInfo
    holidays: Holidays
    #: whether the account is enabled and belongs to the clinic
    works_here: bool = True
    #: the last day on which the doctor works here
    last_day: date | None = None
    hours: tuple[Availability, ...] = ()
    exceptions: tuple[AvailabilityException, ...] = ()
    #: of the clinic
    closures: tuple[Closure, ...] = ()
    locations: tuple[Location, ...] = ()
    leaves: tuple[Leave, ...] = ()
    blocks: tuple[Block, ...] = ()
    places: tuple[AddedPlace, ...] = ()

    @property
    def may_last_over_midnight(self) -> bool:
        """Whether a slot may begin on one day and end on the next."""
        windows: Iterable[Availability | AvailabilityException] = (*self.hours, *self.exceptions)
        return any(each.overnight and each.end != MIDNIGHT for each in windows) or any(
            self.day_of(place.starts_at) < self.day_of(place.ends_at) for place in self.places
        )

    def day_of(self, instant: datetime) -> date:
        """Return the day of an instant at the clinic."""
        return instant.astimezone(self.zone).date()

    def most_slots(self, first: date, last: date) -> int:
        """Return a number that the slots planned on these days do not exceed, but for a few when
        the clocks go back: all that is entered, and nothing taken off.

        Much faster than planning them.
        """
        days = [first + timedelta(days=offset) for offset in range(-1, (last - first).days + 1)]
        hours = sum(
            each.most_slots * sum(map(each.holds_on, days[0 if each.overnight else 1 :]))
            for each in self.hours
        )
        exceptions = sum(
            each.most_slots for each in self.exceptions if days[0] <= each.on_date <= last
        )
        places = sum(first <= self.day_of(place.starts_at) <= last for place in self.places)
        return hours + exceptions + places

    def closed_times(self, first: date, last: date) -> list[ClosedTime]:
        """Return what is closed on the days from `first` to `last` and the nights around them:
        closures, then leave, then blocks. Raises UnknownHolidayCalendar."""
        # A slot may last into the next day, which is the one after where the clocks skip a day.
        begin, end = first - timedelta(days=1), last + timedelta(days=2)
        span = Interval(
            day_interval(begin, self.zone).starts_at, day_interval(end, self.zone).ends_at
        )
        closed = [
            *(time for closure in self.closures for time in self._times_of(closure, begin, end)),
            *(leave.closed(self.zone) for leave in self.leaves),
            *(block.closed() for block in self.blocks),
        ]
        # Where the clocks skip both ends, nothing is closed between them.
        return [time for time in closed if time.interval.lasts and time.interval.overlaps(span)]

    def _times_of(self, closure: Closure, first: date, last: date) -> Iterator[ClosedTime]:
        """Yield the times that a closure closes; locations with public holidays of their own keep
        those in place of the clinic's."""
        own: list[Location] = []
        if closure.kind is ClosureKind.HOLIDAYS and closure.location_id is None:
            own = [one for one in self.locations if one.country is not None]
        not_at = frozenset(one.id for one in own)
        for time in closure.times(first, last, self.zone, self.holidays):
            yield replace(time, not_at=not_at) if own else time
        for one in own:
            there = replace(closure, country=one.country, subdivision=one.subdivision)
            for time in there.times(first, last, self.zone, self.holidays):
                yield replace(time, location_id=one.id)


def plan(inputs: CalendarInputs, first: date, last: date) -> list[PlannedSlot]:
    """Return the slots that start on the days from `first` to `last`, both included, earliest first
    and never overlapping in a lane, each OPEN or BLOCKED.

    Raises InvalidInput when the range is longer than RANGE_MAX_DAYS, UnknownHolidayCalendar.
    """
    if not inputs.works_here:
        return []
    planned = [(each, 1) for each in _by_hours(inputs, first, last)]
    planned += _added(inputs, first, last)
    if not planned:
        return []
    # By a key, since intervals by the thousand are slow to compare.
    planned.sort(key=lambda each: (each[0].interval.starts_at, each[0].interval.ends_at, each[1]))
    closings = inputs.closed_times(first, last)
    closed_at = {
        here: _Closed([time for time in closings if time.is_at(here)])
        for here in {places.location_id for places, _ in planned}
    }
    found: list[PlannedSlot] = []
    for (interval, capacity, location_id), first_lane in planned:
        closed = closed_at[location_id]
        is_closed = _meets(interval, closed.every_lane)
        blocked = NO_LANES if is_closed else closed.lanes_in(interval)
        for lane in range(first_lane, first_lane + capacity):
            state = SlotState.BLOCKED if is_closed or lane in blocked else SlotState.OPEN
            found.append(PlannedSlot(interval, state, lane, blocked, location_id))
    return found


class _Closed:
    """What is closed at one location."""

    def __init__(self, times: Sequence[ClosedTime]) -> None:
        self.every_lane = _merged(time.interval for time in times if time.lane is None)
        self._by_lane = {
            lane: _merged(time.interval for time in times if time.lane == lane)
            for lane in {time.lane for time in times if time.lane is not None}
        }

    def lanes_in(self, interval: Interval) -> frozenset[int]:
        """Return the lanes that are closed in some of this time, while others are not."""
        if not self._by_lane:
            return NO_LANES
        return frozenset(lane for lane, time in self._by_lane.items() if _meets(interval, time))


def _by_hours(inputs: CalendarInputs, first: date, last: date) -> list[Places]:
    return plan_places(
        first, last, inputs.hours, inputs.exceptions, inputs.zone, last_day=inputs.last_day
    )


def _added(inputs: CalendarInputs, first: date, last: date) -> list[tuple[Places, int]]:
    """Return the added places that start on these days, with their lanes, but for those of lane 1
    that overlap slots of the hours, those that overlap a place of the lane that was entered before,
    and those at whose time the doctor is at another location."""
    near: list[tuple[AddedPlace, date, date]] = []
    for place in inputs.places:
        begin = inputs.day_of(place.starts_at)
        end = inputs.day_of(place.ends_at)
        is_near = end >= first - _PLACES_REACH and begin <= last + _PLACES_REACH
        if is_near and begin <= (inputs.last_day or begin):
            near.append((place, begin - timedelta(days=1), end))
    looked_at = [
        (begin, end)
        for place, begin, end in near
        if place.location_id is not None or not place.is_beside_hours
    ]
    hours = _by_hours_on(inputs, looked_at)
    taken = [each.interval for each in hours]
    located = [each for each in hours if each.location_id is not None]
    kept: defaultdict[int, list[Interval]] = defaultdict(list)
    added: list[tuple[Places, int]] = []
    for place, _, _ in sorted(near, key=lambda each: each[0].id):
        interval, in_lane, here = place.interval, kept[place.lane], place.location_id
        is_free = place.is_beside_hours or not _meets(interval, taken)
        is_elsewhere = here is not None and any(
            each.location_id != here and each.interval.overlaps(interval) for each in located
        )
        if is_free and not is_elsewhere and not _meets(interval, in_lane):
            insort(in_lane, interval)
            added.append((Places(interval, 1, here), place.lane))
            if here is not None:
                located.append(added[-1][0])
    since = day_interval(first, inputs.zone).starts_at
    before = day_interval(last, inputs.zone).ends_at
    return [each for each in added if since <= each[0].interval.starts_at < before]


def _by_hours_on(inputs: CalendarInputs, spans: Iterable[tuple[date, date]]) -> list[Places]:
    """Return the slots of the hours on these days, earliest first. Days that follow each other are
    planned together, so that the time does not grow with the number of spans."""
    slots: list[Places] = []
    runs: list[tuple[date, date]] = []
    for first, last in sorted(spans):
        if runs and first <= runs[-1][1] + timedelta(days=1):
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    for first, last in runs:
        for offset in range(0, (last - first).days + 1, RANGE_MAX_DAYS):
            begin = first + timedelta(days=offset)
            until = min(last, begin + timedelta(days=RANGE_MAX_DAYS - 1))
            slots += _by_hours(inputs, begin, until)
    return slots


def blocked_by(
    inputs: CalendarInputs, stretch: Interval, lane: int = 1, location_id: UUID | None = None
) -> tuple[Blocker, ...]:
    """Return every reason for which `stretch` is not wholly within open slots of the lane at a
    location; empty when it is.

    Raises UnknownHolidayCalendar.
    """
    return Blockers(inputs).of(stretch, lane, location_id)


class Blockers:
    """Says of many stretches what blocks each; what concerns a day is found out once."""

    def __init__(self, inputs: CalendarInputs) -> None:
        self._inputs = inputs
        self._by_days: dict[tuple[date, date], tuple[list[PlannedSlot], list[ClosedTime]]] = {}

    def of(
        self, stretch: Interval, lane: int = 1, location_id: UUID | None = None
    ) -> tuple[Blocker, ...]:
        """Return every reason for which `stretch` is not wholly within open slots of the lane at a
        location; empty when it is. Lanes of the hours can stand in for each other, but for their
        blocks. Raises UnknownHolidayCalendar."""
        first = self._inputs.day_of(stretch.starts_at)
        last = self._inputs.day_of(stretch.ends_at)
        every, closed = self._around(first, last)
        planned = [
            each.interval
            for each in every
            if each.lane == _first_lane(lane) and each.location_id == location_id
        ]
        found = [] if is_covered(stretch, planned) else [Blocker(BlockKind.NO_HOURS)]
        touching = [slot for slot in planned if slot.overlaps(stretch)] or [stretch]
        for time in closed:
            is_new = time.closes(lane, location_id) and time.by not in found
            if is_new and any(time.interval.overlaps(slot) for slot in touching):
                found.append(time.by)
        return tuple(found)

    def _around(self, first: date, last: date) -> tuple[list[PlannedSlot], list[ClosedTime]]:
        known = self._by_days.get((first, last))
        if known is None:
            # A slot that begins on the eve may last into the stretch.
            planned = plan(self._inputs, first - timedelta(days=1), last)
            known = planned, self._inputs.closed_times(first, last)
            self._by_days[first, last] = known
        return known


def _first_lane(lane: int) -> int:
    """Return the lane in which a slot is planned for every place of hours, or of one beside."""
    return 1 if lane <= CAPACITY_MAX else lane


def is_covered(stretch: Interval, by: Sequence[Interval]) -> bool:
    """Return whether the whole of `stretch` lies within `by`, which is sorted and does not overlap:
    of an appointment and open slots, whether it is within the doctor's hours."""
    reached = stretch.starts_at
    at = max(bisect_right(by, reached, key=lambda each: each.starts_at) - 1, 0)
    while at < len(by) and by[at].starts_at <= reached < stretch.ends_at:
        reached = max(reached, by[at].ends_at)
        at += 1
    return reached >= stretch.ends_at


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same time as `intervals`, sorted and apart."""
    merged: list[Interval] = []
    for each in sorted(intervals):
        if merged and each.starts_at <= merged[-1].ends_at:
            if each.ends_at > merged[-1].ends_at:
                merged[-1] = replace(merged[-1], ends_at=each.ends_at)
        else:
            merged.append(each)
    return merged


def _meets(slot: Interval, closed: Sequence[Interval]) -> bool:
    """Return whether `slot` overlaps one of `closed`, which are sorted and apart."""
    at = bisect_right(closed, slot.starts_at, key=lambda each: each.ends_at)
    return at < len(closed) and closed[at].starts_at < slot.ends_at

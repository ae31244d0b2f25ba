"""The way between a clinic's locations: a doctor needs time to get from one to the other."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from uuid import UUID

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    MINUTES_A_DAY,
    Availability,
    AvailabilityException,
    ExceptionKind,
    Interval,
    end_text,
    share_a_day,
    span_min,
)
from clinic.domain.calendar.plan import CalendarInputs, plan
from clinic.domain.calendar.slots import PlannedSlot
from clinic.domain.errors import TooClose

#: what may be at a location
Located = Availability | AvailabilityException | AddedPlace

_MINUTE = timedelta(minutes=1)
#: hours may begin on the day before one, and last into the day after it
_AROUND = timedelta(days=2)
_FACTS = {
    Availability: "availabilityId",
    AvailabilityException: "exceptionId",
    AddedPlace: "placeId",
}


def check_travel(new: Located, inputs: CalendarInputs, travel_min: int, today: date) -> None:
    """Raise TooClose when the doctor, of whom these are the inputs with the new one, could not get
    from it to hours or an added place at another location, or back, in `travel_min` minutes.

    Weekly hours are compared with weekly ones by the clock, and everything else by the slots of the
    days in question: those which exceptions take away are no obstacle. What has no location is at
    the clinic itself, and not compared.
    """
    if new.location_id is None:
        return
    if isinstance(new, Availability) and new.on_date is None:
        _check_weekly(new, inputs.hours, travel_min)
    for day in _days(new, inputs, today):
        _check_day(new, inputs, travel_min, day)


def first_too_close(
    inputs: CalendarInputs, travel_min: int, first: date, last: date
) -> datetime | None:
    """Return when the first slot on these days begins that a doctor with these inputs could not
    reach in time from another location; None when there is none."""
    pairs = _neighbours(plan(inputs, first, last), travel_min)
    return next((two.starts_at for _, two in pairs), None)


def _check_weekly(new: Availability, hours: Iterable[Availability], travel_min: int) -> None:
    start, end = span_min(new)
    for other in hours:
        is_there = other.location_id in (None, new.location_id)
        if other.id == new.id or is_there or other.on_date is not None:
            continue
        other_start, other_end = span_min(other)
        for days in range(-2, 3):
            offset = days * MINUTES_A_DAY
            gap = max(other_start + offset - end, start - other_end - offset)
            if gap < travel_min and share_a_day(new, other, timedelta(days=days)):
                until = end_text(other.end, overnight=other.overnight)
                raise TooClose(
                    f"The doctor has hours at another location from {other.start:%H:%M} to {until},"
                    f" {travel_min - gap} minutes too close: the way there takes {travel_min}.",
                    availabilityId=str(other.id),
                    locationId=str(other.location_id),
                    travelMin=travel_min,
                    missingMin=travel_min - gap,
                )


def _days(new: Located, inputs: CalendarInputs, today: date) -> Iterator[date]:
    """Yield the days on which the new input may be near another one that is not weekly, or is not
    weekly itself."""
    own = _date_of(new, inputs)
    if own is not None:
        yield own
        return
    days = set()
    others: Iterable[Located] = (*inputs.hours, *inputs.exceptions, *inputs.places)
    for other in others:
        day = _date_of(other, inputs)
        if day is not None and day >= today and other.location_id not in (None, new.location_id):
            days.add(day)
    yield from sorted(days)


def _date_of(one: Located, inputs: CalendarInputs) -> date | None:
    return inputs.day_of(one.starts_at) if isinstance(one, AddedPlace) else one.on_date


def _check_day(new: Located, inputs: CalendarInputs, travel_min: int, day: date) -> None:
    planned = plan(inputs, day - _AROUND, day + _AROUND)
    if isinstance(new, AddedPlace) and not any(_makes(new, slot, inputs) for slot in planned):
        # Where it was not planned since the doctor is at another location then.
        planned = [*planned, PlannedSlot(new.interval, location_id=new.location_id)]
    for one, two in _neighbours(planned, travel_min):
        for mine, theirs in ((one, two), (two, one)):
            if _makes(new, mine, inputs):
                raise _refusal(_origin_of(theirs, inputs), one, two, travel_min)


def _neighbours(
    planned: Iterable[PlannedSlot], travel_min: int
) -> Iterator[tuple[PlannedSlot, PlannedSlot]]:
    """Yield slots at two locations that follow each other too soon, or overlap."""
    #: of those before, the one at each location that ends last
    last: dict[UUID, PlannedSlot] = {}
    for two in sorted(planned, key=lambda slot: slot.interval):
        here = two.location_id
        if here is None:
            continue
        for one in last.values():
            way = two.interval.starts_at - one.interval.ends_at
            if one.location_id != here and way < travel_min * _MINUTE:
                yield one, two
        known = last.get(here)
        if known is None or known.interval.ends_at < two.interval.ends_at:
            last[here] = two


def _refusal(
    other: Located | None, one: PlannedSlot, two: PlannedSlot, travel_min: int
) -> TooClose:
    missing_min = travel_min - (two.interval.starts_at - one.interval.ends_at) // _MINUTE
    names = {} if other is None else {_FACTS[type(other)]: str(other.id)}
    return TooClose(
        f"The doctor has {missing_min} minutes too few for the way from one location to the other:"
        f" it takes {travel_min}.",
        **names,
        locationId=str(one.location_id if other is None else other.location_id),
        travelMin=travel_min,
        missingMin=missing_min,
        at=one.interval.ends_at.isoformat(),
    )


def _origin_of(slot: PlannedSlot, inputs: CalendarInputs) -> Located | None:
    """Return the input that a slot comes from."""
    every: Iterable[Located] = (*inputs.places, *inputs.exceptions, *inputs.hours)
    return next((one for one in every if _makes(one, slot, inputs)), None)


def _makes(one: Located, slot: PlannedSlot, inputs: CalendarInputs) -> bool:
    if one.location_id != slot.location_id:
        return False
    if isinstance(one, AddedPlace):
        return one.interval == slot.interval
    if isinstance(one, AvailabilityException):
        is_added = one.kind is ExceptionKind.ADD
        return is_added and one.window(inputs.zone).holds(slot.interval)
    return any(window.holds(slot.interval) for window in _windows(one, slot, inputs))


def _windows(hours: Availability, slot: PlannedSlot, inputs: CalendarInputs) -> Iterator[Interval]:
    """Yield the times of hours that begin on the slot's day, or on the eve."""
    day = inputs.day_of(slot.starts_at)
    for each in (day, day - timedelta(days=1)):
        if hours.holds_on(each):
            yield hours.window_on(each, inputs.zone)

"""Whether an appointment fits into the doctor's slots."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.plan import is_covered
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import Conflict, DoesNotFit, SlotBlocked, SlotTaken


def begins_in(appointment: Appointment, slot: Slot | None) -> bool:
    """Return whether the appointment's doctor, lane and start are those of the slot."""
    one = appointment
    return slot is not None and (
        (one.clinic_id, one.slot_id, one.doctor_id, one.lane, one.starts_at)
        == (slot.clinic_id, slot.id, slot.doctor_id, slot.lane, slot.starts_at)
    )


def beneath(appointment: Appointment, slots: Iterable[Slot]) -> list[Slot]:
    """Return the slots on the doctor's calendar that the appointment takes, earliest first: those
    of its lane that its busy time overlaps."""
    busy = appointment.busy
    found = [
        slot
        for slot in slots
        if slot.doctor_id == appointment.doctor_id
        and slot.lane == appointment.lane
        and slot.state is not SlotState.RETIRED
        and busy.overlaps(slot.interval)
    ]
    return sorted(found, key=lambda slot: slot.starts_at)


def others_at(slot: Slot, slots: Iterable[Slot]) -> list[Slot]:
    """Return the other slots on the calendar of this slot's doctor, start, length and location,
    which may be taken in its place, by lane."""
    found = [
        other
        for other in slots
        if other.id != slot.id
        and other.doctor_id == slot.doctor_id
        and other.interval == slot.interval
        and other.location_id == slot.location_id
        and other.state is not SlotState.RETIRED
    ]
    return sorted(found, key=lambda other: other.lane)


class DoctorsTime:
    """The slots, busy times and closed times of one lane of a doctor in a stretch of time, to look
    for places in."""

    def __init__(
        self,
        slots: Iterable[Slot],
        busy: Iterable[Interval] = (),
        closed: Iterable[Interval] = (),
    ) -> None:
        self._closed = tuple(closed)
        on_calendar = (slot for slot in slots if slot.state is not SlotState.RETIRED)
        self._slots = sorted(on_calendar, key=lambda slot: slot.starts_at)
        self._busy = sorted(busy)

    def fits(self, slot: Slot, kind: AppointmentType) -> bool:
        """Return whether an appointment of this type can begin in the slot."""
        minutes = kind.visible_min_with(slot.doctor_id)
        if minutes is None:
            return False
        visible = Interval(slot.starts_at, slot.starts_at + timedelta(minutes=minutes))
        busy = kind.busy(visible)
        # None of them overlap each other, so they end in the order in which they begin.
        first = bisect_right(self._slots, busy.starts_at, key=lambda each: each.ends_at)
        last = bisect_left(self._slots, busy.ends_at, key=lambda each: each.starts_at)
        found = _obstacles(visible, busy, self._slots[first:last], self._closed)
        return not found and not self._is_busy(busy)

    def _is_busy(self, time: Interval) -> bool:
        at = bisect_right(self._busy, time.starts_at, key=lambda each: each.ends_at)
        return at < len(self._busy) and self._busy[at].starts_at < time.ends_at


@dataclass(frozen=True, slots=True)
class FreeStarts:
    """What a list of free slots says about where an appointment can begin."""

    #: the places in the list of the slots in which it can
    places: Sequence[int]
    #: how many slots of the list, from its beginning, are certain
    certain: int


def free_starts(free: Sequence[Slot], length: timedelta, *, is_all: bool) -> FreeStarts:
    """Return where appointments without buffers can begin, among a doctor's free slots in order.

    One can where free slots of one location, without a gap, cover its whole time. Unless these are
    all free slots (`is_all`), whether one fits that ends after the last start depends on those that
    follow.
    """
    places: list[int] = []
    certain, last_start = len(free), free[-1].starts_at if free else None
    following, reached = None, None
    for place in range(len(free) - 1, -1, -1):
        slot = free[place]
        starts_at, ends_at, here = slot.starts_at, slot.ends_at, slot.location_id
        if (ends_at, here) != following:
            reached = ends_at
        following = starts_at, here
        assert reached is not None
        if starts_at + length <= reached:
            places.append(place)
        elif not is_all and last_start is not None and starts_at + length > last_start:
            certain = place
    places.reverse()
    return FreeStarts(places, certain)


def obstacles(
    appointment: Appointment, slots: Iterable[Slot], closed: Iterable[Interval] = ()
) -> list[type[Conflict]]:
    """Return why an appointment does not fit among the doctor's slots; empty when it does.

    Its visible time needs open and free slots of its lane without a gap, at one location. Its
    buffers may reach where there is no slot, and into a slot that is taken: that two busy times do
    not meet, the store decides. They may not reach into a blocked one, nor into closed time.
    """
    taken = beneath(appointment, slots)
    return _obstacles(appointment.visible, appointment.busy, taken, closed)


def _obstacles(
    visible: Interval, busy: Interval, taken: Sequence[Slot], closed: Iterable[Interval]
) -> list[type[Conflict]]:
    """Return the same for these times, of which `taken` are the slots, earliest first."""
    under = [slot for slot in taken if visible.overlaps(slot.interval)]
    found: list[type[Conflict]] = []
    if any(slot.state is SlotState.BLOCKED for slot in taken) or any(map(busy.overlaps, closed)):
        found.append(SlotBlocked)
    if any(slot.taken for slot in under):
        found.append(SlotTaken)
    # A retired slot may be in the middle of one that is planned now: nothing begins there.
    begins = bool(under) and under[0].starts_at == visible.starts_at
    is_split = len({slot.location_id for slot in under}) > 1
    if not begins or is_split or not is_covered(visible, [slot.interval for slot in under]):
        found.append(DoesNotFit)
    return found

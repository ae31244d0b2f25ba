"""Slots, the bookable stretches of a doctor's time, and how they change with the hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from clinic.domain.calendar.availability import CAPACITY_MAX, Interval


class SlotState(StrEnum):
    OPEN = "OPEN"
    BLOCKED = "BLOCKED"
    #: no longer part of the doctor's hours; kept because appointments may point to it
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True)
class Slot:
    """A doctor's time `[starts_at, ends_at)`; `taken` while an appointment occupies it."""

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    specialty: str
    starts_at: datetime
    ends_at: datetime
    state: SlotState = SlotState.OPEN
    taken: bool = False
    #: which of the doctor's places beside each other it is, from 1
    lane: int = 1
    #: where it is; None is the clinic's own address
    location_id: UUID | None = None

    @property
    def interval(self) -> Interval:
        return Interval(self.starts_at, self.ends_at)

    @property
    def is_free(self) -> bool:
        return self.state is SlotState.OPEN and not self.taken


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """A slot that should be there, OPEN or BLOCKED."""

    interval: Interval
    #: in its lane
    state: SlotState = SlotState.OPEN
    lane: int = 1
    #: lanes that are blocked at this time while others are not
    blocked_lanes: frozenset[int] = frozenset()
    #: None is the clinic's own address
    location_id: UUID | None = None

    @property
    def starts_at(self) -> datetime:
        return self.interval.starts_at

    def state_in(self, lane: int) -> SlotState:
        """Return the state of a slot of this time in another lane of the hours."""
        if lane in self.blocked_lanes:
            return SlotState.BLOCKED
        return SlotState.OPEN if self.lane in self.blocked_lanes else self.state


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """The changes that make a doctor's future slots follow the plan."""

    add: tuple[PlannedSlot, ...] = ()
    #: slots that nobody plans, whether or not an appointment is in them
    retire: tuple[Slot, ...] = ()
    #: retired ones that are planned again, and their states then
    back: tuple[tuple[Slot, SlotState], ...] = ()
    #: slots that stay, in the other state
    block: tuple[Slot, ...] = ()
    unblock: tuple[Slot, ...] = ()
    #: slots that stay or come back, at another location, and which
    relocate: tuple[tuple[Slot, UUID | None], ...] = ()

    @property
    def is_empty(self) -> bool:
        changes = (self.add, self.retire, self.back, self.block, self.unblock, self.relocate)
        return not any(changes)


def _beside_hours(slot: Slot | PlannedSlot) -> int:
    """Return the lane of a place beside hours, and 0 for all lanes of the hours: slots of one time
    for which it is the same can stand in for each other."""
    return slot.lane if slot.lane > CAPACITY_MAX else 0


def plan_slots(planned: Sequence[PlannedSlot], existing: Sequence[Slot], now: datetime) -> SlotPlan:
    """Return the changes from `existing`, retired ones included, to `planned`.

    Slots that have started are left alone, and nothing is planned that would overlap one. Of the
    lanes that hours have at one time, it only matters how many there are: those with an appointment
    stay or come back first, then those on the calendar, then retired ones, each by lane, before new
    ones are made. Slots whose hours are at another location now keep their ids. Once a plan has
    been carried out, the next one is empty.
    """
    wanted: dict[_Start, list[PlannedSlot]] = {}
    for new in planned:
        if new.starts_at > now:
            wanted.setdefault((new.starts_at, new.interval.ends_at, _beside_hours(new)), []).append(
                new
            )
    stays: list[Slot] = []
    present: dict[_Start, list[Slot]] = {}
    retired: dict[_Start, list[Slot]] = {}
    for slot in existing:
        if slot.state is not SlotState.RETIRED and slot.starts_at <= now:
            stays.append(slot)
            continue
        known = retired if slot.state is SlotState.RETIRED else present
        known.setdefault((slot.starts_at, slot.ends_at, _beside_hours(slot)), []).append(slot)
    changes = _Changes(_Stays(stays))
    for start, slots in present.items():
        if start not in wanted:
            changes.retire += slots
    for start, new_ones in wanted.items():
        changes.follow(new_ones, present.get(start, ()), retired.get(start, ()))
    return changes.as_plan()


#: start, end, and the lane of a place beside hours
_Start = tuple[datetime, datetime, int]


class _Stays:
    """The slots that have started, which may last into others."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self._slots = list(slots)
        self._until = max((slot.ends_at for slot in self._slots), default=None)

    def lanes(self, interval: Interval) -> list[int]:
        """Return the lanes of those that overlap this time."""
        if self._until is None or self._until <= interval.starts_at:
            return []
        return [slot.lane for slot in self._slots if slot.interval.overlaps(interval)]

    def is_elsewhere(self, wanted: PlannedSlot) -> bool:
        """Return whether one of them lasts into this slot, at another location."""
        if self._until is None or self._until <= wanted.starts_at or wanted.location_id is None:
            return False
        return any(
            slot.location_id not in (None, wanted.location_id)
            and slot.interval.overlaps(wanted.interval)
            for slot in self._slots
        )


@dataclass(slots=True)
class _Changes:
    stays: _Stays
    add: list[PlannedSlot] = field(default_factory=list)
    retire: list[Slot] = field(default_factory=list)
    back: list[tuple[Slot, SlotState]] = field(default_factory=list)
    changed: list[tuple[Slot, SlotState]] = field(default_factory=list)
    relocate: list[tuple[Slot, UUID | None]] = field(default_factory=list)

    def follow(
        self, wanted: Sequence[PlannedSlot], present: Sequence[Slot], retired: Sequence[Slot]
    ) -> None:
        """Add the changes of one start."""
        first = wanted[0]
        if self.stays.is_elsewhere(first):
            self.retire += present
            return
        if not present and not retired and not self.stays.lanes(first.interval):
            self.add += wanted
            return
        is_alone = len(wanted) == len(present) == 1
        if is_alone and (present[0].taken or not any(slot.taken for slot in retired)):
            # Nearly all.
            self._keep(first, present[0])
            return
        overlapped = self.stays.lanes(first.interval)
        beside = first.lane > CAPACITY_MAX
        lasting = [lane for lane in overlapped if (lane > CAPACITY_MAX) == beside]
        room = len(wanted) - (len(lasting) if not beside else lasting.count(first.lane))
        used = {*overlapped}
        kept: list[Slot] = []
        order = sorted(
            [*((False, slot) for slot in present), *((True, slot) for slot in retired)],
            key=lambda each: (not each[1].taken, each[0], each[1].lane),
        )
        for is_retired, slot in order:
            # Whatever lasts into this time, what is on the calendar beside it may stay.
            limit = room if is_retired else len(wanted)
            if len(kept) < limit and slot.lane not in used:
                kept.append(slot)
                used.add(slot.lane)
                if is_retired:
                    self.back.append((slot, first.state_in(slot.lane)))
                    self._locate(first, slot)
                else:
                    self._keep(first, slot)
            elif not is_retired:
                self.retire.append(slot)
        lanes = [first.lane] if beside else range(1, CAPACITY_MAX + 1)
        free = (lane for lane in lanes if lane not in used)
        for _, lane in zip(range(room - len(kept)), free, strict=False):
            self.add.append(replace(first, state=first.state_in(lane), lane=lane))

    def _keep(self, wanted: PlannedSlot, slot: Slot) -> None:
        state = wanted.state_in(slot.lane)
        if state is not slot.state:
            self.changed.append((slot, state))
        self._locate(wanted, slot)

    def _locate(self, wanted: PlannedSlot, slot: Slot) -> None:
        if slot.location_id != wanted.location_id:
            self.relocate.append((slot, wanted.location_id))

    def as_plan(self) -> SlotPlan:
        return SlotPlan(
            tuple(sorted(self.add, key=lambda new: (new.starts_at, new.lane))),
            tuple(self.retire),
            tuple(sorted(self.back, key=lambda back: (back[0].starts_at, back[0].lane))),
            tuple(slot for slot, state in self.changed if state is SlotState.BLOCKED),
            tuple(slot for slot, state in self.changed if state is SlotState.OPEN),
            tuple(self.relocate),
        )

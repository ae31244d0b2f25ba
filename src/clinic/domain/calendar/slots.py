"""Slots, the bookable stretches of a doctor's time, and how they change with the hours."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from clinic.domain.calendar.availability import Interval


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
    state: SlotState = SlotState.OPEN

    @property
    def starts_at(self) -> datetime:
        return self.interval.starts_at


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

    @property
    def is_empty(self) -> bool:
        return not (self.add or self.retire or self.back or self.block or self.unblock)


def plan_slots(planned: Sequence[PlannedSlot], existing: Sequence[Slot], now: datetime) -> SlotPlan:
    """Return the changes from `existing`, retired ones included, to `planned`.

    Slots that have started are left alone, and nothing is planned that would overlap one. A retired
    slot of the same times comes back before a new one is made, first of all one with an
    appointment. Once a plan has been carried out, the next one is empty.
    """
    wanted = {slot.interval: slot for slot in planned if slot.starts_at > now}
    stays: list[Interval] = []
    retire: list[Slot] = []
    changed: dict[SlotState, list[Slot]] = {SlotState.BLOCKED: [], SlotState.OPEN: []}
    retired: dict[Interval, Slot] = {}
    for slot in existing:
        if slot.state is SlotState.RETIRED:
            known = retired.get(slot.interval)
            if known is None or (slot.taken and not known.taken):
                retired[slot.interval] = slot
        elif slot.starts_at <= now:
            stays.append(slot.interval)
        elif (found := wanted.pop(slot.interval, None)) is not None:
            if found.state is not slot.state:
                changed[found.state].append(slot)
        else:
            retire.append(slot)
    stays.sort()
    missing = [wanted[slot] for slot in sorted(wanted) if not _meets(slot, stays)]
    return SlotPlan(
        tuple(slot for slot in missing if slot.interval not in retired),
        tuple(retire),
        tuple((retired[slot.interval], slot.state) for slot in missing if slot.interval in retired),
        tuple(changed[SlotState.BLOCKED]),
        tuple(changed[SlotState.OPEN]),
    )


def _meets(slot: Interval, stays: Sequence[Interval]) -> bool:
    """Return whether `slot` overlaps one of `stays`, which are sorted and do not overlap."""
    after = bisect_left(stays, slot)
    return (after < len(stays) and slot.overlaps(stays[after])) or (
        after > 0 and slot.overlaps(stays[after - 1])
    )

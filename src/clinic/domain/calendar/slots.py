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

    @property
    def interval(self) -> Interval:
        return Interval(self.starts_at, self.ends_at)

    @property
    def is_free(self) -> bool:
        return self.state is SlotState.OPEN and not self.taken


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """The changes that make a doctor's future slots follow the hours."""

    add: tuple[Interval, ...]
    #: untaken slots that are no longer in the hours
    retire: tuple[Slot, ...]
    #: taken ones: they keep their appointment, and are blocked so that cancelling reopens nothing
    strand: tuple[Slot, ...]


def plan_slots(planned: Sequence[Interval], existing: Sequence[Slot], now: datetime) -> SlotPlan:
    """Return the changes from `existing` (not retired, earliest first) to `planned`.

    Slots that have started are left alone; a planned slot that would overlap a remaining one is not
    added. Once a plan has been carried out, the next one is empty.
    """
    wanted = {slot for slot in planned if slot.starts_at > now}
    stays: list[Interval] = []
    retire: list[Slot] = []
    strand: list[Slot] = []
    for slot in existing:
        if slot.starts_at <= now or slot.interval in wanted:
            stays.append(slot.interval)
        elif slot.taken:
            stays.append(slot.interval)
            if slot.state is SlotState.OPEN:
                strand.append(slot)
        else:
            retire.append(slot)
    stays.sort()
    add = [slot for slot in sorted(wanted) if not _meets(slot, stays)]
    return SlotPlan(tuple(add), tuple(retire), tuple(strand))


def _meets(slot: Interval, stays: Sequence[Interval]) -> bool:
    """Return whether `slot` overlaps one of `stays`, which are sorted and do not overlap."""
    after = bisect_left(stays, slot)
    return (after < len(stays) and slot.overlaps(stays[after])) or (
        after > 0 and slot.overlaps(stays[after - 1])
    )

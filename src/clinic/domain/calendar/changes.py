"""What a change of calendars did to slots, and the work of one that is carried out bit by bit."""

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SlotCounts:
    """How many slots a change added, retired, blocked and unblocked, and how many it put at another
    location; slots that come back count as added."""

    added: int = 0
    retired: int = 0
    blocked: int = 0
    unblocked: int = 0
    relocated: int = 0

    def __add__(self, other: "SlotCounts") -> "SlotCounts":
        return SlotCounts(
            self.added + other.added,
            self.retired + other.retired,
            self.blocked + other.blocked,
            self.unblocked + other.unblocked,
            self.relocated + other.relocated,
        )

    @property
    def total(self) -> int:
        return self.added + self.retired + self.blocked + self.unblocked + self.relocated

    @property
    def is_zero(self) -> bool:
        return self.total == 0


@dataclass(frozen=True, slots=True)
class CalendarChange:
    """A change of an input that concerns too many slots for one transaction: the input is stored,
    and a worker aligns the doctors' slots with it, the nearest days first."""

    id: UUID
    clinic_id: UUID
    #: what was done, such as add_closure
    action: str
    #: the input that was changed
    entity: str
    entity_id: UUID
    requested_by: UUID
    created_at: datetime
    #: the days whose slots it concerns, both included
    first: date
    last: date
    #: how many doctors' calendars it concerns, and how many of them are done
    doctors: int
    doctors_done: int = 0
    counts: SlotCounts = field(default_factory=SlotCounts)

    @property
    def is_done(self) -> bool:
        return self.doctors_done == self.doctors


@dataclass(frozen=True, slots=True)
class CalendarWork:
    """What is left of a change for one doctor: the days from `next_day` until `last`."""

    clinic_id: UUID
    change_id: UUID
    doctor_id: UUID
    next_day: date
    last: date

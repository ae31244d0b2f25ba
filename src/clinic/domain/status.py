"""The statuses of an appointment; domain/appointments.py has the table of how they change."""

from enum import StrEnum


class Status(StrEnum):
    HELD = "HELD"
    BOOKED = "BOOKED"
    CONFIRMED = "CONFIRMED"
    ARRIVED = "ARRIVED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    NO_SHOW = "NO_SHOW"
    EXPIRED = "EXPIRED"

    @property
    def occupies(self) -> bool:
        """Whether an appointment in this status keeps its slot and its patient's time."""
        return self not in (Status.CANCELLED, Status.EXPIRED)


OCCUPYING = tuple(status for status in Status if status.occupies)
#: what has yet to take place: these count against the open appointments that a patient may have
OPEN = (Status.HELD, Status.BOOKED, Status.CONFIRMED)

"""The statuses of an appointment; domain/appointments/appointments.py has the transitions."""

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
        """Whether an appointment in this status occupies its slot and its patient's time."""
        return self not in (Status.CANCELLED, Status.EXPIRED)


OCCUPYING = tuple(status for status in Status if status.occupies)
#: yet to take place: these count towards the open appointments that a patient may have
OPEN = (Status.HELD, Status.BOOKED, Status.CONFIRMED)

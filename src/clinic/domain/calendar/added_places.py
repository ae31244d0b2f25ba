"""Added places: single slots that staff open outside the doctor's hours."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.calendar.availability import SLOT_MAX_MIN, SLOT_MIN_MIN, Interval
from clinic.domain.calendar.closings import checked_closing_reason
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AddedPlace:
    """A slot `[starts_at, ends_at)` beside the doctor's hours; instants, in UTC.

    Closures, leave and blocks close it as they close any slot. Hours that cover it replace it.
    """

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    starts_at: datetime
    ends_at: datetime
    #: for staff only
    reason: str | None = None

    def __post_init__(self) -> None:
        checked_instant(self.starts_at, "/from")
        checked_instant(self.ends_at, "/to")
        if self.ends_at <= self.starts_at:
            raise EndBeforeStart("to must be after from.", pointer="/to")
        for pointer, instant in (("/from", self.starts_at), ("/to", self.ends_at)):
            if instant.second or instant.microsecond:
                raise InvalidInput("A slot begins and ends on a whole minute.", pointer=pointer)
        if not SLOT_MIN_MIN * _MINUTE <= self.ends_at - self.starts_at <= SLOT_MAX_MIN * _MINUTE:
            raise InvalidInput(
                f"A slot lasts {SLOT_MIN_MIN} to {SLOT_MAX_MIN} minutes.", pointer="/to"
            )

    def checked(self) -> "AddedPlace":
        """Return a copy with its reason normalized for storage. Raises InvalidInput."""
        return replace(self, reason=checked_closing_reason(self.reason))

    @property
    def interval(self) -> Interval:
        return Interval(self.starts_at, self.ends_at)

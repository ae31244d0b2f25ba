"""Added places: single slots that staff open outside the doctor's hours."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    LANE_MAX,
    SLOT_MAX_MIN,
    SLOT_MIN_MIN,
    Interval,
)
from clinic.domain.calendar.closings import check_lane, checked_closing_reason
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AddedPlace:
    """A slot `[starts_at, ends_at)` outside the doctor's hours, or beside the slots of the hours;
    instants, in UTC.

    Closures, leave and blocks close it as they close any slot. In lane 1, hours that cover it
    replace it; in a lane of its own, they do not.
    """

    id: UUID
    clinic_id: UUID
    doctor_id: UUID
    starts_at: datetime
    ends_at: datetime
    #: for staff only
    reason: str | None = None
    #: where it is; None is the clinic's own address
    location_id: UUID | None = None
    #: 1, or one beyond those of the hours
    lane: int = 1

    def __post_init__(self) -> None:
        checked_instant(self.starts_at, "/from")
        checked_instant(self.ends_at, "/to")
        if self.ends_at <= self.starts_at:
            raise EndBeforeStart("to must be after from.", pointer="/to")
        for pointer, instant in (("/from", self.starts_at), ("/to", self.ends_at)):
            if instant.second or instant.microsecond:
                raise InvalidInput("A slot begins and ends on a whole minute.", pointer=pointer)
        check_lane(self.lane)
        if 1 < self.lane <= CAPACITY_MAX:
            raise InvalidInput(f"Lanes up to {CAPACITY_MAX} are those of hours.", pointer="/lane")
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

    @property
    def is_beside_hours(self) -> bool:
        """Whether it stays when hours have slots in its time."""
        return self.lane > CAPACITY_MAX


def lane_beside(
    places: Iterable[AddedPlace], wanted: Interval, *, at_one_time_max: int
) -> int | None:
    """Return the lane of a new place beside the doctor's hours; None when there are as many in its
    time already as are allowed."""
    beside = [each for each in places if each.is_beside_hours and each.interval.overlaps(wanted)]
    # Most are there when one of them, or the new one, begins.
    begins = [wanted.starts_at, *(each.starts_at for each in beside)]
    most = max(
        sum(each.starts_at <= begin < each.ends_at for each in beside)
        for begin in begins
        if wanted.starts_at <= begin
    )
    used = {each.lane for each in beside}
    free = (lane for lane in range(CAPACITY_MAX + 1, LANE_MAX + 1) if lane not in used)
    return next(free, None) if most < at_one_time_max else None

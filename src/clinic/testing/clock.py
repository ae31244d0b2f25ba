"""A clock for tests that only moves when told to."""

from datetime import datetime, timedelta

from clinic.domain.clinic import checked_instant


class FixedClock:
    """Returns the instant it was given until it is set or advanced."""

    def __init__(self, now: datetime) -> None:
        self._now = checked_instant(now, "now")

    def now(self) -> datetime:
        """Return the current instant of this clock."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the clock to `now`, which must be aware."""
        self._now = checked_instant(now, "now")

    def advance(self, by: timedelta = timedelta(), **units: float) -> datetime:
        """Advance the clock and return its new instant, as in `advance(minutes=90)`."""
        self._now += by + timedelta(**units)
        return self._now

"""A clock that stands until it is moved."""

from datetime import datetime, timedelta

from clinic.domain.clinic import checked_instant


class FixedClock:
    """Shows the instant it was given until it is set or advanced."""

    def __init__(self, now: datetime) -> None:
        self._now = checked_instant(now, "now")

    def now(self) -> datetime:
        """Return the instant it shows."""
        return self._now

    def set(self, now: datetime) -> None:
        """Show `now`, which must be aware."""
        self._now = checked_instant(now, "now")

    def advance(self, by: timedelta = timedelta(), **units: float) -> datetime:
        """Show a later instant and return it, as in `advance(minutes=90)`."""
        self._now += by + timedelta(**units)
        return self._now

"""Parses times as people type them on the command line."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from clinic.domain.errors import InvalidInput

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_instant(
    text: str | None, zone: ZoneInfo, name: str, *, end: bool = False
) -> datetime | None:
    """Return the instant that `text` names: 2026-11-23, 2026-11-23T09:00 on the clinic's clock, or
    with an offset. A date is its midnight; as an `end`, that of the next day.

    Raises InvalidInput.
    """
    if text is None:
        return None
    try:
        if len(text) == len("2026-11-23"):
            day = date.fromisoformat(text) + timedelta(days=end)
            return datetime.combine(day, time(), zone)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name}: write 2026-11-23 or 2026-11-23T09:00, not {text!r}.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def parse_required_instant(text: str, zone: ZoneInfo, name: str, *, end: bool = False) -> datetime:
    """Return the instant that `text` names. Raises InvalidInput."""
    found = parse_instant(text, zone, name, end=end)
    assert found is not None
    return found


def parse_wall_time(text: str, name: str) -> time:
    """Return a time on the wall clock, such as 09:00. Raises InvalidInput."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a wall time has no zone
    except ValueError:
        raise InvalidInput(f"{name}: write a time such as 09:00, not {text!r}.") from None


def parse_wall_end(text: str, name: str) -> tuple[time, bool]:
    """Return the end of hours, and whether that is on the next day, as 24:00 is.

    Raises InvalidInput.
    """
    return (time(0), True) if text == "24:00" else (parse_wall_time(text, name), False)


def parse_day(text: str, name: str, *, end: bool = False) -> tuple[date, time | None]:
    """Return the day of 2026-11-23 or 2026-11-23T09:00, and the time on the clinic's clock. As an
    `end`, 2026-11-23T24:00 is the whole day, too.

    Raises InvalidInput.
    """
    day, _, wall = text.partition("T")
    if end and wall == "24:00":
        return parse_day(day, name)
    try:
        # fromisoformat also reads week dates and dates without hyphens.
        on = date.fromisoformat(day) if len(day) == len("2026-11-23") else None
    except ValueError:
        on = None
    if on is None or (not wall and "T" in text):
        raise InvalidInput(f"{name}: write 2026-11-23 or 2026-11-23T09:00, not {text!r}.")
    return on, parse_wall_time(wall, name) if wall else None


def parse_weekdays(text: str) -> tuple[int, ...]:
    """Return the ISO numbers of weekdays such as mon,wed or mon-fri. Raises InvalidInput."""
    try:
        return tuple(day for part in text.lower().split(",") for day in _span(part.strip()))
    except ValueError:
        raise InvalidInput(f"--weekdays: write mon,wed or mon-fri, not {text!r}.") from None


def _span(part: str) -> range:
    """Return the days of `mon` or `mon-fri`. Raises ValueError."""
    first, dash, last = part.partition("-")
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
    if end < begin:
        raise ValueError(part)
    return range(begin + 1, end + 2)

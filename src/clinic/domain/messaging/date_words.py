"""How each language writes days and times, in messages and on pages."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class DateWords:
    """Names of days and months, and the order in which a date is written."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    day: str
    #: a time from and until
    span: str
    #: one time of day
    clock: str = "{time}"

    def date(self, instant: datetime, zone: ZoneInfo) -> str:
        """Return the day of `instant` in words."""
        local = instant.astimezone(zone)
        return self.day.format(
            weekday=self.weekdays[local.weekday()],
            day=local.day,
            month=self.months[local.month - 1],
            year=local.year,
        )

    def time(self, instant: datetime, zone: ZoneInfo) -> str:
        """Return the time of day, by the clinic's clock."""
        return self.clock.format(time=f"{instant.astimezone(zone):%H:%M}")

    def times(self, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
        """Return from when until when, by the clinic's clock."""
        start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
        return self.span.format(start=f"{start:%H:%M}", end=f"{end:%H:%M}")


def zone_name(instant: datetime, zone: ZoneInfo) -> str:
    """Return the zone's name and its offset at `instant`, which tells a repeated hour apart."""
    offset = instant.astimezone(zone).strftime("%z")
    return f"{zone.key}, UTC{offset[:3]}:{offset[3:]}"


DATE_WORDS = {
    "en": DateWords(
        weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        months=(
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
        day="{weekday}, {day} {month} {year}",
        span="{start} to {end}",
    ),
    "de": DateWords(
        weekdays=(
            "Montag",
            "Dienstag",
            "Mittwoch",
            "Donnerstag",
            "Freitag",
            "Samstag",
            "Sonntag",
        ),
        months=(
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ),
        day="{weekday}, {day}. {month} {year}",
        span="{start} bis {end} Uhr",
        clock="{time} Uhr",
    ),
}

"""Public holidays of the world's countries."""

from collections.abc import Mapping
from datetime import date
from typing import Protocol


class HolidayCalendars(Protocol):
    def __call__(self, country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
        """Return the public holidays of a year by day, with their names.

        `country` is an ISO 3166-1 alpha-2 code, `subdivision` the part of an ISO 3166-2 code after
        the hyphen, such as BE for DE-BE. Raises UnknownHolidayCalendar.
        """
        ...

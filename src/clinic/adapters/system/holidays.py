"""Public holidays from the package holidays, which follows the laws of some 250 countries."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from clinic.domain.errors import UnknownHolidayCalendar


@lru_cache(maxsize=1024)
def world_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """Return the public holidays of a year by day, with their names in the country's language.

    Raises UnknownHolidayCalendar.
    """
    # Loaded here, since most clinics start without it: 140 ms and 23 MB.
    import holidays

    known = holidays.list_supported_countries()
    if country not in known:
        raise UnknownHolidayCalendar(
            "There is no calendar of public holidays for this country; write its ISO 3166-1 code,"
            " such as DE or GB.",
            pointer="/country",
        )
    if subdivision is not None and subdivision not in known[country]:
        some = ", ".join(known[country]) or "none"
        raise UnknownHolidayCalendar(
            f"{country} has no subdivision {subdivision}; known are: {some}.",
            pointer="/subdivision",
        )
    return dict(holidays.country_holidays(country, subdiv=subdivision, years=year))

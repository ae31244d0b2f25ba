"""Translated texts, and how each language writes days and times.

English texts are the msgids. Every other language has a catalogue, `<code>/LC_MESSAGES/clinic.po`,
and Babel knows how it writes dates, times and plurals. Mail and pages get their texts from
`translations_of`; nothing else is translated.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH = "en"
#: the locale of a language, where its name differs; for British dates and the 24-hour clock
_LOCALES = {ENGLISH: "en_GB"}


@dataclass(frozen=True, slots=True)
class Translations:
    """One language's texts, and how it writes days and times in a clinic's time zone."""

    language: str
    catalogue: NullTranslations

    def gettext(self, text: str) -> str:
        """Return `text` in this language, in English where the catalogue lacks it."""
        return self.catalogue.gettext(text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Return the form of a text that fits `number`."""
        return self.catalogue.ngettext(one, many, number)

    def date(self, instant: datetime, zone: ZoneInfo) -> str:
        """Return the day of `instant`, with its weekday."""
        return format_date(instant.astimezone(zone).date(), "full", locale=self._locale)

    def time(self, instant: datetime, zone: ZoneInfo) -> str:
        """Return the time of day, with the word that the language adds to it, such as "Uhr"."""
        text = self.catalogue.pgettext("time of day", "%(time)s")
        return text % {"time": self._clock(instant, zone)}

    def times(self, starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
        """Return both times of day as a range."""
        times = {"start": self._clock(starts_at, zone), "end": self._clock(ends_at, zone)}
        return self.gettext("%(start)s to %(end)s") % times

    def _clock(self, instant: datetime, zone: ZoneInfo) -> str:
        return format_time(instant.astimezone(zone).time(), "short", locale=self._locale)

    @property
    def _locale(self) -> str:
        return _LOCALES.get(self.language, self.language)


def translations_of(language: str) -> Translations:
    """Return the translations into `language`; English where there is no catalogue for it."""
    return _read(language if language in _catalogues() else ENGLISH)


def N_(text: str) -> str:  # noqa: N802 - the name that Babel looks for
    """Return `text` unchanged; it is marked for the catalogues, and translated later."""
    return text


def zone_name(instant: datetime, zone: ZoneInfo) -> str:
    """Return the zone's name and its offset at `instant`, which identifies a repeated hour."""
    offset = instant.astimezone(zone).strftime("%z")
    return f"{zone.key}, UTC{offset[:3]}:{offset[3:]}"


@cache
def _catalogues() -> dict[str, Traversable]:
    catalogues = {}
    for folder in files(__name__).iterdir():
        catalogue = folder / "LC_MESSAGES" / "clinic.po"
        if catalogue.is_file():
            catalogues[folder.name] = catalogue
    return catalogues


@cache
def _read(language: str) -> Translations:
    if language == ENGLISH:
        return Translations(language, NullTranslations())
    compiled = BytesIO()
    with _catalogues()[language].open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(language, GNUTranslations(compiled))

"""Checks telephone numbers with libphonenumber."""

import re
import unicodedata

import phonenumbers

from clinic.domain.errors import PhoneNumberRefused

NUMBER_MAX_CHARS = 100
_EXTENSION_MAX_DIGITS = 11
#: words that introduce an extension; longer ones first, so that a prefix does not match instead
_LABELS = (
    "extension|extensión|durchwahl|nebenstelle|apparat|interno|toestel|anexo|poste|ramal|extn"
    "|ext|app|dw|nst|tst|int|доб|x|#"
)
_EXTENSION = re.compile(
    rf"(?:;ext=|[\s,;]*(?<![^\W\d_])(?:{_LABELS})[.:]?\s*|\s*[,;]+\s*)(\d{{1,{_EXTENSION_MAX_DIGITS}}})#?$"
)
_LABEL = re.compile(r"^(?:tel|phone|telefon)[.:]?\s*(?=[+(\d])")
_CONTEXT = re.compile(r";phone-context=(\+\d{1,15})$")
#: the rest of a number: digits, and what people write between them
_NUMBER = re.compile(r"\+?[\d\s()./\-]*\d[\d\s()./\-]*|\(\+\d+\)[\d\s()./\-]*")
_DASHES = "\u2212\u2053\u30fc~"


class WorldPhoneNumbers:
    """Accepts numbers with a country code, and local numbers of `region` (such as GB)."""

    def __init__(self, region: str | None = None) -> None:
        self._region = region

    def checked(self, number: str, pointer: str = "/phone") -> str:
        """Return `number` as E.164, with its extension. Raises PhoneNumberRefused."""
        found = self._read(number) if len(number) <= NUMBER_MAX_CHARS else None
        if found is None:
            raise PhoneNumberRefused(pointer=pointer)
        return found

    def shown(self, number: str) -> str:
        """Return a stored number in the international format."""
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            return number
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)

    def _read(self, number: str) -> str | None:
        line = _LABEL.sub("", _plain(number))
        context = _CONTEXT.search(line)
        if context:
            line = context[1] + line[: context.start()]
        ending = _EXTENSION.search(line)
        line, extension = (line[: ending.start()], ending[1]) if ending else (line, "")
        line = line.strip()
        if not _NUMBER.fullmatch(line):
            return None
        if self._region is None and line.startswith("00"):
            # 00 is how most of the world dials the plus.
            line = f"+{line[2:]}"
        # In Italy the zero in brackets is dialled, elsewhere it is not: try both.
        plain = self._e164(line) or self._e164(line.replace("(0)", "", 1))
        return f"{plain};ext={extension}" if plain and extension else plain

    def _e164(self, line: str) -> str | None:
        try:
            parsed = phonenumbers.parse(line, self._region)
        except phonenumbers.NumberParseException:
            return None
        # Require a possible number, not an assigned one: the library's lists lag behind new ranges.
        if not phonenumbers.is_possible_number(parsed):
            return None
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _plain(number: str) -> str:
    """Return the number with plain digits, spaces and dashes, and without invisible characters:
    address books add marks for the writing direction."""
    return "".join(_plain_characters(number)).strip().lower()


def _plain_characters(number: str) -> list[str]:
    plain = []
    for character in unicodedata.normalize("NFKC", number):
        category = unicodedata.category(character)
        if category == "Nd":
            plain.append(str(unicodedata.decimal(character)))
        elif category == "Pd" or character in _DASHES:
            plain.append("-")
        elif character.isspace():
            plain.append(" ")
        elif category != "Cf":
            plain.append(character)
    return plain

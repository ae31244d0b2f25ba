"""How people reach a clinic, and the language it writes in."""

from dataclasses import dataclass

from clinic.domain.errors import InvalidInput
from clinic.domain.text import plain_line, refuse_odd, words_told

#: the languages of messages and pages
LANGUAGES = ("en", "de")
ADDRESS_MAX_CHARS = 300
ADDRESS_MAX_LINES = 6


def checked_address(value: str) -> str | None:
    """Return a postal address as non-empty lines, None when there are none. Raises InvalidInput."""
    refuse_odd(value, "postal address", "/address")
    lines = [line for each in value.split("\n") if (line := plain_line(each))]
    address = "\n".join(lines)
    if len(address) > ADDRESS_MAX_CHARS or len(lines) > ADDRESS_MAX_LINES:
        raise InvalidInput(
            f"Write an address of at most {ADDRESS_MAX_LINES} lines and {ADDRESS_MAX_CHARS}"
            " characters.",
            pointer="/address",
        )
    return address or None


def checked_language(value: str) -> str:
    """Return `value` if messages can be written in it. Raises InvalidInput."""
    if value not in LANGUAGES:
        raise InvalidInput(
            f"There is no language {value!r}; {words_told(value, LANGUAGES)}", pointer="/language"
        )
    return value


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach a clinic, for messages and pages; checked on input, not here."""

    #: one to six lines
    address: str | None = None
    #: E.164
    phone: str | None = None
    #: the language of messages to people who have not chosen one
    language: str = LANGUAGES[0]

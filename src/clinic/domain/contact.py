"""How people reach a clinic, and the language it writes in."""

import unicodedata
from dataclasses import dataclass

from clinic.domain.errors import InvalidInput

#: what messages and pages are written in
LANGUAGES = ("en", "de")
ADDRESS_MAX_CHARS = 300
ADDRESS_MAX_LINES = 6


def checked_address(value: str) -> str | None:
    """Return a postal address as non-empty lines, None when there are none. Raises InvalidInput."""
    lines = [" ".join(line.split()) for line in unicodedata.normalize("NFC", value).split("\n")]
    lines = [line for line in lines if line]
    address = "\n".join(lines)
    too_long = len(address) > ADDRESS_MAX_CHARS or len(lines) > ADDRESS_MAX_LINES
    if too_long or not all(line.isprintable() for line in lines):
        raise InvalidInput(
            f"Write an address of at most {ADDRESS_MAX_LINES} lines and {ADDRESS_MAX_CHARS}"
            " characters, without control characters.",
            pointer="/address",
        )
    return address or None


def checked_language(value: str) -> str:
    """Return `value` if messages can be written in it. Raises InvalidInput."""
    if value not in LANGUAGES:
        raise InvalidInput(f"language is one of: {', '.join(LANGUAGES)}.", pointer="/language")
    return value


@dataclass(frozen=True, slots=True)
class Contact:
    """What messages and pages say about reaching a clinic."""

    #: one to six lines
    address: str | None = None
    #: E.164
    phone: str | None = None
    #: of messages to people who have not chosen one
    language: str = LANGUAGES[0]

    def __post_init__(self) -> None:
        if self.address is not None:
            object.__setattr__(self, "address", checked_address(self.address))
        checked_language(self.language)

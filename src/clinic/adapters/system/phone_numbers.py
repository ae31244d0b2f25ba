"""Telephone numbers by the rules of libphonenumber."""

import phonenumbers

from clinic.domain.errors import PhoneNumberRefused

NUMBER_MAX_CHARS = 40


class WorldPhoneNumbers:
    """Understands numbers with a country code, and local ones of `region` (such as GB)."""

    def __init__(self, region: str | None = None) -> None:
        self._region = region

    def checked(self, number: str) -> str:
        """Return `number` as E.164. Raises PhoneNumberRefused."""
        if len(number) > NUMBER_MAX_CHARS:
            raise PhoneNumberRefused(pointer="/phone")
        try:
            parsed = phonenumbers.parse(number, self._region)
        except phonenumbers.NumberParseException:
            raise PhoneNumberRefused(pointer="/phone") from None
        # Possible, not assigned: new ranges are given out faster than lists of them are updated.
        if not phonenumbers.is_possible_number(parsed):
            raise PhoneNumberRefused(pointer="/phone")
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)

"""Telephone numbers."""

from typing import Protocol


class PhoneNumbers(Protocol):
    def checked(self, number: str, pointer: str = "/phone") -> str:
        """Return `number` as it is stored: E.164, such as +442079460958, and an extension as in
        RFC 3966, such as +442079460958;ext=12. What it returns it returns again unchanged.

        `pointer` says where the number was given. Raises PhoneNumberRefused."""
        ...

    def shown(self, number: str) -> str:
        """Return a stored number as people read it, with its country code: +44 20 7946 0958. What
        is no number, as an earlier release may have stored it, is returned as it is."""
        ...

"""Telephone numbers."""

from typing import Protocol


class PhoneNumbers(Protocol):
    def checked(self, number: str, pointer: str = "/phone") -> str:
        """Return `number` as it is stored: E.164, such as +442079460958, and an extension as in
        RFC 3966, such as +442079460958;ext=12. What it returns it returns again unchanged.

        `pointer` says where the number was given. Raises PhoneNumberRefused."""
        ...

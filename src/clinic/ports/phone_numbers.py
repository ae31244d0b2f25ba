"""Telephone numbers."""

from typing import Protocol


class PhoneNumbers(Protocol):
    def checked(self, number: str) -> str:
        """Return `number` as E.164, such as +442079460958. Raises PhoneNumberRefused."""
        ...

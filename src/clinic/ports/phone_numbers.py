"""Checking, normalizing and displaying telephone numbers."""

from typing import Protocol


class PhoneNumbers(Protocol):
    def checked(self, number: str, pointer: str = "/phone") -> str:
        """Return `number` in the stored form: E.164, such as +442079460958, with an extension as in
        RFC 3966, such as +442079460958;ext=12. Idempotent.

        `pointer` says where the number was in the request. Raises PhoneNumberRefused."""
        ...

    def shown(self, number: str) -> str:
        """Return a stored number formatted for reading, with its country code: +44 20 7946 0958.
        Returns text unchanged that is not a number, as an earlier release may have stored."""
        ...

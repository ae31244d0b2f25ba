"""Checking and normalizing email addresses."""

from typing import Protocol

from clinic.domain.people.people import EmailAddress


class EmailAddresses(Protocol):
    def checked(self, address: str) -> EmailAddress:
        """Return `address` in a form that any mail server accepts. Raises InvalidInput."""
        ...

    def canonical(self, address: str) -> str:
        """Return the ASCII form of an address, for looking up an account. Anything else is returned
        trimmed, and finds accounts accepted under older rules."""
        ...

"""Email addresses."""

from typing import Protocol

from clinic.domain.people.people import EmailAddress


class EmailAddresses(Protocol):
    def checked(self, address: str) -> EmailAddress:
        """Return `address`, which any mail server takes. Raises InvalidInput."""
        ...

    def canonical(self, address: str) -> str:
        """Return the ASCII form of an address that somebody is looked up by; what is none is
        returned trimmed, and finds who was accepted by older rules."""
        ...

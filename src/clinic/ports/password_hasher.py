"""Hashing and verifying passwords."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    is_right: bool
    #: the password is right, but its hash should be replaced with one of the current cost
    wants_rehash: bool = False


class PasswordHasher(Protocol):
    """Hashing is slow on purpose, so it runs outside the event loop, a bounded number at a time.

    Callers from different sources (the network that a request came from) take turns; when too many
    wait, those of the source with the most are refused. Both methods raise TemporaryFailure then.
    """

    async def hash(self, password: str, *, source: str = "") -> str:
        """Return a hash of `password`; two hashes of one password differ."""
        ...

    async def verify(
        self, password_hash: str | None, password: str, *, source: str = ""
    ) -> PasswordCheck:
        """Check whether `password` is the one that was hashed.

        Without a hash (no such account, or no password set) it does not match, after the same
        amount of work. A hash in an unknown format does not match; it is not an error.
        """
        ...

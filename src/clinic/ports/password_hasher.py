"""Passwords as they are kept."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    is_right: bool
    #: the password is right and its hash should be made anew, with today's cost
    wants_rehash: bool = False


class PasswordHasher(Protocol):
    """Slow on purpose, so it runs beside the event loop, a bounded number at a time.

    Callers of different sources (the network that a request came from) take turns, and when too
    many wait those of the source with the most are refused. Both raise TemporaryFailure then.
    """

    async def hash(self, password: str, *, source: str = "") -> str:
        """Return a hash of `password`; two hashes of one password differ."""
        ...

    async def verify(
        self, password_hash: str | None, password: str, *, source: str = ""
    ) -> PasswordCheck:
        """Say whether `password` is the one that was hashed.

        With no hash (nobody is registered, or no password is set) the answer is no, after the same
        work. A hash that is not one of ours is wrong, not an error.
        """
        ...

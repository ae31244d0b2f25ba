"""How often something may be asked for, and what a caller is told about it."""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import NamedTuple


class RateClass(StrEnum):
    """Kinds of requests that are counted apart."""

    # In C; by their names, as enums have it, every look into a table runs Python.
    __hash__ = str.__hash__

    SIGN_IN = "sign-in"
    #: guesses of one account's password from one network, or from a device that it is known on
    ACCOUNT = "account"
    #: the same from everywhere; where the account is known they are counted by network alone
    ACCOUNT_ANYWHERE = "account-anywhere"
    REGISTER = "register"
    #: account mail asked for, by address of the client and by mailbox
    MAIL = "mail"
    MAILBOX = "mailbox"
    WRITE = "write"
    READ = "read"
    #: requests of nobody in particular, by address
    ANONYMOUS = "anonymous"


#: counted or refused: without the counter nobody could tell a guess from the thousandth
FAIL_CLOSED = frozenset(
    {
        RateClass.SIGN_IN,
        RateClass.ACCOUNT,
        RateClass.ACCOUNT_ANYWHERE,
        RateClass.REGISTER,
        RateClass.MAIL,
        RateClass.MAILBOX,
    }
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `quota` requests in any `window_s` seconds for one key."""

    name: str
    quota: int
    window_s: int

    @property
    def policy(self) -> str:
        """The limit as an item of RateLimit-Policy."""
        return f'"{self.name}";q={self.quota};w={self.window_s}'


# A tuple, because each request makes one: a frozen dataclass takes twice as long.
class Verdict(NamedTuple):
    """Whether a request is within its limit, and what is left of it."""

    limit: Limit
    allowed: bool
    remaining: int
    #: seconds until the window gives a request back
    reset_s: float

    @property
    def header(self) -> str:
        """The verdict as an item of RateLimit."""
        return f'"{self.limit.name}";r={self.remaining};t={self.wait_s}'

    @property
    def wait_s(self) -> int:
        """Whole seconds to wait, at least one."""
        return max(1, ceil(self.reset_s))

"""Rate limits, and the headers that report them to clients."""

import warnings
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import NamedTuple


class RateClass(StrEnum):
    """Kinds of requests that are counted separately."""

    # Use str's C hash: Enum.__hash__ is Python, and this is looked up per request.
    __hash__ = str.__hash__

    SIGN_IN = "sign-in"
    #: guesses of one account's password from one network, or from a device known to the account
    ACCOUNT = "account"
    #: the same from everywhere; does not bind networks and devices known to the account
    ACCOUNT_ANYWHERE = "account-anywhere"
    REGISTER = "register"
    #: requests for account mail, by client address and by mailbox
    MAIL = "mail"
    MAILBOX = "mailbox"
    WRITE = "write"
    READ = "read"
    #: unauthenticated requests, by client address
    ANONYMOUS = "anonymous"


#: refused while the counter fails, since guesses could not be limited without it
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


# A tuple, because every request creates one and a frozen dataclass takes twice as long.
class RateLimitVerdict(NamedTuple):
    """Whether a request is within its limit, and how much of the limit is left."""

    limit: Limit
    allowed: bool
    remaining: int
    #: seconds until the window frees a request
    reset_s: float

    @property
    def header(self) -> str:
        """The verdict as an item of RateLimit."""
        return f'"{self.limit.name}";r={self.remaining};t={self.wait_s}'

    @property
    def wait_s(self) -> int:
        """Whole seconds to wait, at least one."""
        return max(1, ceil(self.reset_s))


def __getattr__(name: str) -> object:
    if name == "Verdict":
        message = "Verdict is now RateLimitVerdict; the old name is gone in version 0.2"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return RateLimitVerdict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

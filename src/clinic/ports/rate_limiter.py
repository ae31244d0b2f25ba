"""Counting requests across every server."""

from typing import Protocol

from clinic.domain.rate_limits import Limit, RateLimitVerdict


class RateLimiter(Protocol):
    async def hit(self, limit: Limit, key: str, times: int = 1) -> RateLimitVerdict:
        """Count a request of `key`, `times` times, and return whether it is within `limit`.

        Counting and deciding are one step: however many callers at once, no more than `quota`
        requests in any `window_s` seconds are allowed. A request that counts several times is
        allowed as a whole or not at all. A refused request does not count, and `reset_s` is when it
        would be allowed. Limits of different names are counted separately. Raises TemporaryFailure
        when nothing can be counted.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...

"""A rate limiter that counts requests within one process."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from clinic.domain.rate_limits import Limit, RateLimitVerdict

KEYS_MAX = 100_000


class MemoryRateLimiter:
    """Keeps the times of allowed requests for up to `KEYS_MAX` keys."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._hits: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    async def hit(self, limit: Limit, key: str, times: int = 1) -> RateLimitVerdict:
        """Count a request for `key`, `times` times or not at all."""
        now_s = self._now_s()
        hits = self._hits.setdefault((limit.name, key), deque())
        self._hits.move_to_end((limit.name, key))
        while hits and now_s - hits[0] >= limit.window_s:
            hits.popleft()
        allowed = len(hits) + times <= limit.quota
        # The hit whose expiry is reported: the oldest, or the one that blocks this request.
        before = 0 if allowed else min(len(hits) + times - limit.quota, len(hits)) - 1
        if allowed:
            hits.extend([now_s] * times)
        # The least recently used key has the least to lose.
        if len(self._hits) > KEYS_MAX:
            self._hits.popitem(last=False)
        # Compute the age first: hit + window - now can round to more than the window.
        reset_s = limit.window_s - (now_s - hits[before]) if hits else float(limit.window_s)
        return RateLimitVerdict(limit, allowed, limit.quota - len(hits), reset_s)

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""

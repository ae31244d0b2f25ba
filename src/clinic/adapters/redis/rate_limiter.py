"""Counting requests across every server, in one script that nothing runs beside."""

import time
from hashlib import sha1

from redis.exceptions import RedisError, ResponseError

from clinic.adapters.redis.line import Line
from clinic.domain.errors import TemporaryFailure
from clinic.domain.rate_limits import Limit, RateLimitVerdict

TIMEOUT_S = 0.5
#: how long a store that failed is left alone
PAUSE_S = 1.0

# A list of the instants that were allowed: exact, where token buckets and GCRA let up to twice the
# quota through in one window. The store's clock is the only clock, so servers need not agree.
#
# KEYS[1] the list; ARGV quota, window in milliseconds, how many times to count
# returns allowed, remaining, milliseconds until a request is given back, or until this one would be
# allowed
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local quota, window, times = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local first = tonumber(redis.call('LINDEX', KEYS[1], 0) or nil)
while first and first <= now - window do
  redis.call('LPOP', KEYS[1])
  first = tonumber(redis.call('LINDEX', KEYS[1], 0) or nil)
end
local count = redis.call('LLEN', KEYS[1])
local allowed = 0
if count + times <= quota then
  for _ = 1, times do
    redis.call('RPUSH', KEYS[1], now)
  end
  redis.call('PEXPIRE', KEYS[1], window)
  count = count + times
  allowed = 1
elseif times > 1 and count > 0 then
  local before = math.min(count + times - quota, count) - 1
  first = tonumber(redis.call('LINDEX', KEYS[1], before))
end
return {allowed, quota - count, (first or now) + window - now}
"""
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisRateLimiter:
    """Counts in the store at `url`: redis://, rediss:// or unix://."""

    def __init__(self, url: str) -> None:
        self._line = Line(url, timeout_s=TIMEOUT_S)
        self._down_until_s = 0.0

    async def hit(self, limit: Limit, key: str, times: int = 1) -> RateLimitVerdict:
        """Count a request of `key`, that many times or not at all.

        Raises TemporaryFailure when the store is gone.
        """
        if time.monotonic() < self._down_until_s:
            raise TemporaryFailure()
        counting = (1, f"clinic:rate:{limit.name}:{key}", limit.quota, limit.window_s * 1000, times)
        try:
            try:
                counted = await self._line.ask("EVALSHA", _SCRIPT_SHA, *counting)
            except ResponseError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                # A store that has just started; this one call tells it the script.
                counted = await self._line.ask("EVAL", _SCRIPT, *counting)
        except (RedisError, OSError) as error:
            # Not asked again at once: every request would wait for the store to time out.
            self._down_until_s = time.monotonic() + PAUSE_S
            raise TemporaryFailure() from error
        if not _is_count(counted):
            self._line.give_up()
            raise TemporaryFailure()
        allowed, remaining, reset_ms = counted
        return RateLimitVerdict(limit, bool(allowed), max(0, remaining), reset_ms / 1000)

    async def close(self) -> None:
        """Give back every connection."""
        await self._line.close()


def _is_count(answer: object) -> bool:
    return isinstance(answer, list) and len(answer) == 3 and all(isinstance(n, int) for n in answer)

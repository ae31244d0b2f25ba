"""Counts requests across all servers, in one script that Redis runs atomically."""

import time
from hashlib import sha1
from importlib.resources import files

from redis.exceptions import RedisError, ResponseError

from clinic.adapters.redis.multiplexed_connection import MultiplexedConnection
from clinic.domain.errors import TemporaryFailure
from clinic.domain.rate_limits import Limit, RateLimitVerdict

TIMEOUT_S = 0.5
#: how long no command is sent to a store that failed
PAUSE_S = 1.0

_SCRIPT = files(__package__).joinpath("hit.lua").read_text(encoding="utf-8")
_SCRIPT_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisRateLimiter:
    """Counts in the store at `url`: redis://, rediss:// or unix://."""

    def __init__(self, url: str) -> None:
        self._connection = MultiplexedConnection(url, timeout_s=TIMEOUT_S)
        self._down_until_s = 0.0

    async def hit(self, limit: Limit, key: str, times: int = 1) -> RateLimitVerdict:
        """Count a request of `key`, `times` times or not at all.

        Raises TemporaryFailure when the store cannot be reached.
        """
        if time.monotonic() < self._down_until_s:
            raise TemporaryFailure()
        counting = (1, f"clinic:rate:{limit.name}:{key}", limit.quota, limit.window_s * 1000, times)
        try:
            try:
                counted = await self._connection.execute("EVALSHA", _SCRIPT_SHA, *counting)
            except ResponseError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                # The store has just started; this call also loads the script.
                counted = await self._connection.execute("EVAL", _SCRIPT, *counting)
        except (RedisError, OSError) as error:
            # Not retried at once: every request would wait for the store to time out.
            self._down_until_s = time.monotonic() + PAUSE_S
            raise TemporaryFailure() from error
        if not _is_count(counted):
            self._connection.abort()
            raise TemporaryFailure()
        allowed, remaining, reset_ms = counted
        return RateLimitVerdict(limit, bool(allowed), max(0, remaining), reset_ms / 1000)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def _is_count(answer: object) -> bool:
    return isinstance(answer, list) and len(answer) == 3 and all(isinstance(n, int) for n in answer)

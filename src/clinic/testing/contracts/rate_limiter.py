"""The contract of RateLimiter."""

import asyncio

from clinic.domain.rate_limits import Limit
from clinic.ports.rate_limiter import RateLimiter
from clinic.testing.contracts.contract import Contract

LIMIT = Limit("sign-in", 5, 60)


class RateLimiterContract(Contract, contract=True):
    """Counting requests. Needs a fixture `limiter` that has counted nothing.

    The tests really wait for windows of a second, since the limiter has its own clock.
    """

    async def test_hits_up_to_the_quota_are_allowed(self, limiter: RateLimiter) -> None:
        verdicts = [await limiter.hit(LIMIT, "ada") for _ in range(7)]

        assert [one.allowed for one in verdicts] == [True] * 5 + [False] * 2
        assert [one.remaining for one in verdicts] == [4, 3, 2, 1, 0, 0, 0]
        assert all(0 < one.reset_s <= 60 for one in verdicts)

    async def test_keys_and_limits_count_apart(self, limiter: RateLimiter) -> None:
        for _ in range(5):
            await limiter.hit(LIMIT, "ada")

        assert (await limiter.hit(LIMIT, "ben")).allowed
        assert (await limiter.hit(Limit("read", 5, 60), "ada")).allowed
        assert not (await limiter.hit(LIMIT, "ada")).allowed

    async def test_hits_at_once_never_exceed_the_quota(self, limiter: RateLimiter) -> None:
        verdicts = await asyncio.gather(*(limiter.hit(LIMIT, "ada") for _ in range(100)))

        assert sum(one.allowed for one in verdicts) == 5

    async def test_a_window_gives_back_what_left_it(self, limiter: RateLimiter) -> None:
        short = Limit("short", 2, 1)
        first = [await limiter.hit(short, "ada") for _ in range(3)]

        await asyncio.sleep(max(one.reset_s for one in first) + 0.02)

        assert [one.allowed for one in first] == [True, True, False]
        assert (await limiter.hit(short, "ada")).allowed

    async def test_a_hit_counts_several_times_or_not_at_all(self, limiter: RateLimiter) -> None:
        verdicts = [await limiter.hit(LIMIT, "ada", times) for times in (3, 3, 2, 1)]

        assert [(one.allowed, one.remaining) for one in verdicts] == [
            (True, 2),
            (False, 2),
            (True, 0),
            (False, 0),
        ]

    async def test_more_than_the_quota_at_once_is_never_allowed(self, limiter: RateLimiter) -> None:
        refused = await limiter.hit(LIMIT, "ada", 6)

        assert (refused.allowed, refused.remaining) == (False, 5)
        assert (await limiter.hit(LIMIT, "ada", 5)).allowed
        assert 0 < (await limiter.hit(LIMIT, "ada", 6)).reset_s <= 60

    async def test_a_refused_hit_says_when_it_would_be_allowed(self, limiter: RateLimiter) -> None:
        short = Limit("short", 3, 1)
        await limiter.hit(short, "ada")
        await asyncio.sleep(0.4)
        await limiter.hit(short, "ada", 2)

        one, two = [await limiter.hit(short, "ada", times) for times in (1, 2)]

        assert (one.allowed, two.allowed) == (False, False)
        assert one.reset_s + 0.3 < two.reset_s <= 1

    async def test_refused_hits_do_not_count(self, limiter: RateLimiter) -> None:
        short = Limit("short", 1, 1)
        await limiter.hit(short, "ada")
        await asyncio.sleep(0.6)

        refused = await limiter.hit(short, "ada")
        await asyncio.sleep(refused.reset_s + 0.02)

        assert not refused.allowed
        assert (await limiter.hit(short, "ada")).allowed

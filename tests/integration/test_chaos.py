"""The fault harness in short: `make chaos` runs all of it, and for longer."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(240)]


@pytest.mark.parametrize("fault", ["everything"])
def test_nothing_is_lost_or_sent_after_a_change_while_parts_die(fault) -> None:
    from harness import run_once  # type: ignore[import-not-found]

    report = run_once(fault, seed=11, seconds=8, rate=25)

    assert report.is_clean, report.line()


def test_harness_sees_what_the_queue_loses_without_a_resync() -> None:
    from harness import run_once

    # A wipe may meet an empty queue, and then there is nothing to lose.
    for seed in (12, 13, 14):
        report = run_once(
            "redis-wipe", seed=seed, seconds=6, rate=30, without="resync", drain_max_s=12
        )
        if report.lost:
            return
    pytest.fail("nothing was lost")

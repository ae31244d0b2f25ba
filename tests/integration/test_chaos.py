"""The fault harness: briefly in every run, longer in the tier chaos; `make chaos` runs it all."""

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _servers_in_memory(memory_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(memory_path))


def test_nothing_is_lost_or_sent_after_a_change_while_parts_die() -> None:
    from harness import run_once  # type: ignore[import-not-found]

    report = run_once("everything", seed=11, seconds=5, rate=25)

    assert report.is_clean, report.line()


@pytest.mark.chaos
@pytest.mark.parametrize("policy", ["resend", "ask"])
def test_nothing_is_lost_while_parts_die_for_longer(policy: str) -> None:
    from harness import run_once

    report = run_once("everything", seed=21, seconds=15, rate=40, policy=policy)

    assert report.is_clean, report.line()


@pytest.mark.chaos
def test_harness_sees_what_the_queue_loses_without_a_resync() -> None:
    from harness import run_once

    # The queue may be empty when it is wiped, and then there is nothing to lose.
    for seed in (12, 13, 14):
        report = run_once(
            "redis-wipe", seed=seed, seconds=6, rate=30, without="resync", drain_max_s=12
        )
        if report.lost:
            return
    pytest.fail("nothing was lost")

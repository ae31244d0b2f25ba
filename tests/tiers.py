"""A pytest plugin that chooses tests by tier.

Without CI=true, the tests of the long tiers are deselected unless `-m` is given. With it they run
too, tests that did not run are listed at the end, and a skip is a failure: CI must not miss a
test unnoticed. The reason why a test cannot run on a platform begins with PLATFORM.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

LONG_TIERS = ("browser", "chaos", "cluster")
PLATFORM = "platform: "
NOT_RUN = "not_run"


def choose_tiers(config: pytest.Config) -> None:
    """Choose this session's tiers by the environment."""
    config.pluginmanager.register(Tiers(is_ci=os.environ.get("CI") == "true"), "clinic-tiers")


class Tiers:
    """Chooses tests, and records those that do not run."""

    def __init__(self, *, is_ci: bool) -> None:
        self._is_ci = is_ci
        #: why each test was deselected, by its id
        self._not_run: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        if self._is_ci or config.getoption("markexpr"):
            return
        tiers = {item: _tier_of(item) for item in items}
        left_out = [item for item in items if tiers[item]]
        if left_out:
            items[:] = [item for item in items if not tiers[item]]
            config.hook.pytest_deselected(items=left_out)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self._not_run[item.nodeid] = _tier_of(item) or "not chosen"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[None]:
        report = yield
        self._judge(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Iterator[None]:
        report = yield
        self._judge(report)
        return report

    def _judge(self, report: Any) -> None:
        """Turn a skip into a failure on CI, and record an allowed one."""
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not self._is_ci or reason.startswith(PLATFORM):
            self._not_run[report.nodeid] = reason
            return
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which CI takes for a failure: {reason}"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[NOT_RUN] = self._not_run

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._not_run |= getattr(node, "workeroutput", {}).get(NOT_RUN, {})

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        by_tier = dict.fromkeys(LONG_TIERS, 0)
        for test, why in sorted(self._not_run.items()):
            if why in by_tier:
                by_tier[why] += 1
            if self._is_ci:
                terminalreporter.write_line(f"not run: {test} ({why})")
        for tier, count in by_tier.items():
            if count and not self._is_ci:
                terminalreporter.write_line(
                    f"not run: {count} of the tier {tier}; CI=true adds them, -m {tier} picks them"
                )


def _tier_of(item: pytest.Item) -> str | None:
    return next((tier for tier in LONG_TIERS if item.get_closest_marker(tier)), None)

"""Which tests run with and without CI=true, and how the others are reported."""

import pytest
from tests.tiers import LONG_TIERS, PLATFORM

pytest_plugins = ["pytester"]

SUITE = f"""
import pytest

def test_plain():
    pass

@pytest.mark.chaos
def test_long():
    pass

@pytest.mark.skipif(True, reason="{PLATFORM}needs a Mac")
def test_elsewhere():
    pass
"""
SKIPPED = """
import pytest

def test_that_skips():
    pytest.skip("no browser here")

@pytest.mark.xfail(strict=True)
def test_that_is_known_to_fail():
    assert False
"""


@pytest.fixture
def run(pytester: pytest.Pytester, request, monkeypatch):
    """Return a function that runs a suite with few pytest plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(suite: str, *options: str, ci: bool) -> pytest.RunResult:
        monkeypatch.setenv("CI", "true" if ci else "")
        pytester.makeconftest(
            f"""
            import sys
            sys.path.insert(0, {str(request.config.rootpath)!r})
            from tests.tiers import LONG_TIERS, choose_tiers
            def pytest_configure(config):
                for tier in LONG_TIERS:
                    config.addinivalue_line("markers", tier)
                choose_tiers(config)
            """
        )
        pytester.makepyfile(test_inner=suite)
        return pytester.runpytest_inprocess("-pno:cacheprovider", *options)

    return run


def test_long_tiers_are_left_out_and_counted(run) -> None:
    result = run(SUITE, ci=False)

    result.assert_outcomes(passed=1, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["not run: 1 of the tier chaos; *"])


def test_named_tier_runs(run) -> None:
    run(SUITE, "-m", "chaos", ci=False).assert_outcomes(passed=1, deselected=2)


@pytest.mark.parametrize("options", [(), ("-pxdist", "-n1")], ids=["one process", "workers"])
def test_ci_runs_every_tier_and_lists_what_did_not_run(run, options) -> None:
    result = run(SUITE, *options, ci=True)

    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["not run: *::test_elsewhere (platform: needs a Mac)"])


@pytest.mark.parametrize("ci", [False, True])
def test_skip_is_a_failure_on_ci(run, ci: bool) -> None:
    result = run(SKIPPED, ci=ci)

    result.assert_outcomes(failed=int(ci), skipped=int(not ci), xfailed=1)


@pytest.mark.parametrize("ci", [False, True])
def test_skipped_module_is_a_failure_on_ci(run, ci: bool) -> None:
    result = run("import pytest; pytest.importorskip('no_such_package')", ci=ci)

    result.assert_outcomes(errors=int(ci), skipped=int(not ci))


def test_tiers_are_marks_of_this_project(pytestconfig) -> None:
    known = {line.partition(":")[0] for line in pytestconfig.getini("markers")}

    assert set(LONG_TIERS) <= known

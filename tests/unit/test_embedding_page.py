"""Every block of Python in docs/embedding.md is run."""

import re
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
TEXT = PAGE.read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
TOML = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
TEN_LINES, CONFTEST, CALENDARS, *SUITES = PYTHON


def run(pytester: pytest.Pytester, module: str) -> dict[str, int]:
    pytester.makeconftest(CONFTEST)
    pytester.makepyprojecttoml(TOML[0])
    pytester.makepyfile(module)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-n0")
    return result.parseoutcomes()


def test_own_test_has_ten_statements_at_most_and_passes(pytester: pytest.Pytester) -> None:
    body = TEN_LINES.partition("async def ")[2].strip().splitlines()

    # Lines inside brackets count as one, blank ones as none.
    statements = [line for line in body if re.match(r"(    )?[a-z]", line)]
    assert len(statements) <= 10
    assert run(pytester, TEN_LINES) == {"passed": 1}


def test_test_of_a_calendar_passes(pytester: pytest.Pytester) -> None:
    assert run(pytester, CALENDARS) == {"passed": 1}


def test_contract_suite_passes_whole(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, SUITES[0])

    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] > 300


def test_suite_with_an_excuse_reports_it(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, SUITES[1])

    assert set(outcomes) == {"passed", "xfailed"}
    assert outcomes["xfailed"] == 1


def test_comparison_passes(pytester: pytest.Pytester) -> None:
    assert run(pytester, SUITES[2]) == {"passed": 1}


def test_page_has_no_block_that_is_not_run() -> None:
    assert len(SUITES) == 3
    assert [list(tomllib.loads(block)) for block in TOML] == [["tool"], ["project"]]


def test_page_names_the_entry_point_group_that_is_read() -> None:
    from clinic.bootstrap import ENTRY_POINT_GROUP

    assert list(tomllib.loads(TOML[1])["project"]["entry-points"]) == [ENTRY_POINT_GROUP]

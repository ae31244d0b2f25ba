"""A suite cannot lose a test of its contract unnoticed."""

import subprocess
import sys

import pytest

from clinic.testing.contracts.contract import Contract

pytest_plugins = ["pytester"]


class DoorContract(Contract, contract=True):
    async def test_door_opens(self) -> None:
        assert True

    async def test_door_closes(self) -> None:
        raise AssertionError("it never does")


def test_suite_that_overrides_a_test_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Mine overrides or drops test_door_closes.*excused = \{"):

        class Mine(DoorContract):
            async def test_door_closes(self) -> None:
                assert True


def test_suite_that_drops_a_test_is_refused() -> None:
    with pytest.raises(TypeError, match="overrides or drops test_door_closes"):

        class Mine(DoorContract):
            test_door_closes = None  # type: ignore[assignment]


def test_suite_that_drops_a_test_by_a_mixin_is_refused() -> None:
    class Silent:
        test_door_closes = None

    with pytest.raises(TypeError, match="overrides or drops test_door_closes"):

        class Mine(Silent, DoorContract):  # type: ignore[misc]
            pass


def test_suite_that_is_not_collected_is_refused() -> None:
    with pytest.raises(TypeError, match="switches off its contract"):

        class Mine(DoorContract):
            __test__ = False


def test_suite_of_a_suite_that_drops_a_test_is_refused() -> None:
    class Mine(DoorContract):
        pass

    with pytest.raises(TypeError, match="overrides or drops test_door_opens"):

        class Narrower(Mine):
            test_door_opens = None  # type: ignore[assignment]


def test_contract_that_overrides_an_inherited_test_is_refused() -> None:
    with pytest.raises(TypeError, match="overrides or drops test_door_opens"):

        class WindowContract(DoorContract, contract=True):
            async def test_door_opens(self) -> None:
                assert True


@pytest.mark.parametrize(
    ("excused", "message"),
    [
        ({"test_door_locks": "no lock"}, "which is in none of its contracts"),
        ({"test_door_closes": " "}, "without a reason"),
    ],
)
def test_excuse_that_is_none_is_refused(excused: dict[str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        type("Mine", (DoorContract,), {"excused": excused})


def test_suite_may_add_tests_and_helpers() -> None:
    class Mine(DoorContract):
        settle_s = 1

        async def test_door_squeaks(self) -> None:
            assert True

    assert Mine.test_door_opens is DoorContract.test_door_opens


SUITE = """
from clinic.testing.contracts.contract import Contract

class DoorContract(Contract, contract=True):
    async def test_door_opens(self):
        assert True

    async def test_door_closes(self):
        raise AssertionError("it never does")

{suite}
"""


@pytest.mark.parametrize(
    ("suite", "outcomes"),
    [
        # Unchanged.
        ("class TestMine(DoorContract):\n    pass", {"passed": 2, "failed": 1}),
        # A failing test may be excused, and is reported.
        (
            "class TestMine(DoorContract):\n    excused = {'test_door_closes': 'it is rusty'}",
            {"passed": 2, "xfailed": 1},
        ),
        # A passing one may not.
        (
            "class TestMine(DoorContract):\n    excused = {'test_door_opens': 'it is rusty'}",
            {"passed": 1, "failed": 2},
        ),
        # Replaced after the class was created.
        (
            "class TestMine(DoorContract):\n    pass\n\n"
            "async def nothing(self): pass\nTestMine.test_door_closes = nothing",
            {"passed": 2, "failed": 1},
        ),
        # Dropped: the module cannot even be imported.
        ("class TestMine(DoorContract):\n    test_door_closes = None", {"errors": 1}),
    ],
)
def test_suite_run_by_pytest(
    pytester: pytest.Pytester, suite: str, outcomes: dict[str, int]
) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    pytester.makepyfile(SUITE.format(suite=suite))

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")

    result.assert_outcomes(**outcomes)


def test_importing_testing_costs_no_test_tool() -> None:
    program = (
        "import sys, clinic.testing;"
        "print(sorted({'pytest', 'hypothesis', 'anyio', 'clinic.bootstrap'} & set(sys.modules)))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == "[]"


def test_everything_that_testing_offers_is_there() -> None:
    import clinic.testing

    assert [name for name in clinic.testing.__all__ if not getattr(clinic.testing, name)] == []
    assert dir(clinic.testing) == clinic.testing.__all__
    with pytest.raises(AttributeError):
        clinic.testing.nonsense  # noqa: B018

"""The base class of all contracts, which ensures that none of their tests goes missing."""

from collections.abc import Mapping
from types import FunctionType
from typing import Any, ClassVar

import pytest


class Contract:
    """Tests that an adapter's suite inherits as a whole.

    A subclass names one fixture and may `excuse` a test it cannot pass yet, with the reason:
    `excused = {"test_take_waits": "no row locks in this engine"}`. The test still runs, is reported
    as an expected failure, and fails the suite once it passes. Dropping or overriding a test of a
    contract raises TypeError where the class is defined.
    """

    #: the name of a test → why it may fail
    excused: ClassVar[Mapping[str, str]] = {}
    #: seconds after which a call that has not ended is taken to be waiting for a lock, when
    #: `is_anybody_waiting` returns None
    settle_s: ClassVar[float] = 0.05
    #: whether to fail calls that wait without need; False for a store with coarse locks
    waits_no_more_than_needed: ClassVar[bool] = False

    pytestmark: ClassVar[Any] = pytest.mark.anyio
    _tests: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, *, contract: bool = False, **options: Any) -> None:
        """Collect the tests of a `contract`, or check a suite against those it inherits."""
        super().__init_subclass__(**options)
        inherited = {
            name: test
            for base in reversed(cls.__mro__)
            for name, test in vars(base).get("_tests", {}).items()
        }
        if contract:
            own = {name: test for name, test in vars(cls).items() if name.startswith("test_")}
            _refuse_changed(cls, inherited)
            cls._tests = {**inherited, **own}
            return
        if getattr(cls, "__test__", True) is not True:
            raise TypeError(f"{cls.__name__} switches off its contract: remove __test__.")
        _excuse(cls, inherited)
        _refuse_changed(cls, inherited)
        cls._tests = {name: getattr(cls, name) for name in inherited}

    async def is_anybody_waiting(self) -> bool | None:
        """Return whether a transaction waits for a lock in the adapter; None where that is unknown.

        Override it with a query of the database's own list of locks.
        """
        return None

    async def test_contract_is_whole(self) -> None:
        """No test of the contract has been replaced since the class was defined."""
        for name, test in self._tests.items():
            assert getattr(type(self), name, None) is test, f"{name} was replaced"


Contract._tests = {"test_contract_is_whole": Contract.test_contract_is_whole}


def _excuse(cls: type[Contract], inherited: Mapping[str, Any]) -> None:
    """Mark what `cls` excuses as expected failures, in copies of the tests."""
    for name, reason in vars(cls).get("excused", {}).items():
        if name not in inherited:
            raise TypeError(f"{cls.__name__} excuses {name}, which is in none of its contracts.")
        if not reason.strip():
            raise TypeError(f"{cls.__name__} excuses {name} without a reason.")
        test = inherited[name]
        excused = FunctionType(
            test.__code__, test.__globals__, name, test.__defaults__, test.__closure__
        )
        excused.__kwdefaults__ = test.__kwdefaults__
        excused.__dict__.update(
            {**vars(test), "pytestmark": list(getattr(test, "pytestmark", ())), "excuses": test}
        )
        setattr(cls, name, pytest.mark.xfail(reason=reason, strict=True)(excused))


def _refuse_changed(cls: type[Contract], inherited: Mapping[str, Any]) -> None:
    """Raise TypeError when a test that `cls` inherits is no longer the contract's own."""
    for name, test in inherited.items():
        found = getattr(cls, name, None)
        if found is test or getattr(found, "excuses", None) is test:
            continue
        raise TypeError(
            f"{cls.__name__} overrides or drops {name}, which its contract demands. Remove that, or"
            f' say why it cannot pass: excused = {{"{name}": "the reason"}}.'
        )

"""The contracts of the ports, as test classes that adapters' suites inherit."""

from pkgutil import iter_modules

import pytest

# So that a failing contract shows the values that differ, as any other test does.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

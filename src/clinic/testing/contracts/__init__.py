"""What every adapter of a port must do, as test classes to inherit from."""

from pkgutil import iter_modules

import pytest

# So that a contract that is broken shows the values that differ, as a test of one's own does.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

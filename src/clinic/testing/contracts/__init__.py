"""What every adapter of a port must do, as test classes to inherit from."""

import pytest

_CONTRACTS = (
    "accounts adding adding_waits additions appointments audit_log calendars crowds erasures"
    " idempotency interleavings job_queue memberships notifier outbox people rate_limiter"
    " unit_of_work"
)

# So that a contract that is broken shows the values that differ, as a test of one's own does.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _CONTRACTS.split()))

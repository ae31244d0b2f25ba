"""Explanations and bookings agree, whatever is entered."""

from random import Random

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic.adapters.memory.store import MemoryStore
from clinic.testing.contracts.explanation import check_explained


@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_explanation_says_what_becomes_of_a_booking(random: Random) -> None:
    anyio.run(check_explained, MemoryStore(), random)

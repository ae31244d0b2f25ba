"""Each committed row is delivered once, however transactions and reads interleave, in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.adapters.memory.store import MemoryStore
from clinic.ports.change_feed import Start
from clinic.testing import seed_clinic
from clinic.testing.contracts.change_feed import FeedInterleaving

pytestmark = pytest.mark.anyio

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "write", "commit", "roll back", "append", "read", "read in vain"]
        ),
        st.integers(1, 3),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(Start))
async def test_each_committed_row_comes_once(steps, start):
    store = MemoryStore()
    clinic = await seed_clinic(store)
    await store.changes.subscribe("one", start)
    interleaving = FeedInterleaving(store, clinic, "one")
    for what, number in steps:
        await interleaving.step(what, number)
    await interleaving.check()

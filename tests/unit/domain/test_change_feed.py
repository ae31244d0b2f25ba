"""Snapshots of what was seen: in PostgreSQL's format, and advanced without losing rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.audit.change_feed import BEGINNING, Snapshot, advanced, whole_transactions


@pytest.mark.parametrize("text", ["1:1:", "10:20:10,14,15", "12:13:12", "7:9:8"])
def test_snapshot_is_read_as_postgresql_writes_it(text):
    snapshot = Snapshot.parse(text)

    # The transactions in progress determine xmin.
    assert Snapshot.parse(str(snapshot)) == snapshot
    assert snapshot.xmax == int(text.split(":")[1])


@pytest.mark.parametrize(
    "text", ["", "1:2", "3:2:", "1:5:5", "1:5:6", "4:9:3", "1:9:4,3", "1:9:3,3", "a:b:", "1:2:3 "]
)
def test_what_is_no_snapshot_is_refused(text):
    with pytest.raises(ValueError, match="snapshot"):
        Snapshot.parse(text)


def test_snapshot_sees_what_had_ended():
    snapshot = Snapshot.parse("10:14:10,12")

    assert [xid for xid in range(8, 16) if snapshot.sees(xid)] == [8, 9, 11, 13]
    assert not BEGINNING.sees(1)


XIDS = st.integers(1, 30)


@st.composite
def two_moments(draw):
    """An earlier and a later snapshot of the same server."""
    first, second = sorted(draw(st.tuples(XIDS, XIDS)))
    early = draw(st.sets(st.integers(1, first - 1), max_size=6)) if first > 1 else set()
    begun = set(range(first, second))
    late = {xid for xid in early | begun if draw(st.booleans())}
    return Snapshot(first, tuple(sorted(early))), Snapshot(second, tuple(sorted(late)))


@given(two_moments(), st.data())
def test_advancing_sees_what_was_delivered_and_nothing_else(moments, data):
    seen, now = moments
    new = [xid for xid in range(1, now.xmax) if now.sees(xid) and not seen.sees(xid)]
    through = data.draw(st.none() | st.integers(0, now.xmax - 1))

    after = advanced(seen, now, through=through)

    delivered = {xid for xid in new if through is None or xid <= through}
    for xid in range(1, now.xmax + 2):
        if seen.sees(xid) or xid in delivered:
            assert after.sees(xid), xid
        elif xid in new or xid in now.running or xid >= now.xmax:
            assert not after.sees(xid), xid
    assert Snapshot.parse(str(after)) == after


@given(st.lists(XIDS, max_size=12).map(sorted), st.integers(1, 5))
def test_batch_holds_whole_transactions(xids, limit):
    rows = xids[: limit + 1]

    count, through = whole_transactions(rows, limit)

    if through is None:
        assert count == len(rows) <= limit
    elif count == 0:
        assert rows == [through] * (limit + 1)
    else:
        assert count <= limit
        assert rows[count - 1] <= through < rows[count]

"""Merkle roots as in RFC 6962, and seals as pure values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.domain.audit.merkle import leaf_hash, root_of
from clinic.domain.audit.seals import (
    RowKey,
    SealFinding,
    Tampering,
    Trail,
    TrailRow,
    canonical,
    check_exports,
    check_rows,
    check_seal,
    make_seal,
    moved,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def reference_root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition in RFC 6962 §2.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + reference_root(leaves[:k]) + reference_root(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_root_is_that_of_the_rfc(entries: list[bytes]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    assert root_of(leaves) == reference_root(leaves)


def test_known_roots_of_certificate_transparency() -> None:
    """The test vectors of the RFC's reference implementation."""
    entries = ["", "00", "10", "2021", "3031", "40414243"]
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in entries]

    assert root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaves[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert (
        root_of(leaves[:3]).hex()
        == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    )


def row(xid: int = 5, **changed: object) -> TrailRow:
    columns = {
        "id": uuid4(),
        "at": NOW,
        "clinic_id": UUID(int=1),
        "reason": "a reason",
        "patient_id": None,
        "detail": {"b": 1, "a": [2]},
        **changed,
    }
    return TrailRow(Trail.EVENT, xid, columns)


def test_canonical_form_knows_one_instant_and_one_order() -> None:
    one = row(id=UUID(int=7))
    shuffled = TrailRow(
        Trail.EVENT,
        5,
        dict(reversed(list(one.columns.items())))
        | {"at": NOW.astimezone(timezone(timedelta(hours=9))), "detail": {"a": [2], "b": 1}},
    )
    assert canonical(one) == canonical(shuffled)


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "another"},
        {"reason": ""},
        {"patient_id": UUID(int=2)},
        {"at": NOW + timedelta(microseconds=1)},
        {"detail": {"b": 1, "a": ["2"]}},
        {"extra": None},
    ],
)
def test_canonical_form_tells_any_difference(changed: dict[str, Any]) -> None:
    one = row(id=UUID(int=7))
    assert canonical(one) != canonical(row(id=UUID(int=7), **changed))
    assert canonical(one) != canonical(replace(one, xid=6))
    assert canonical(one) != canonical(replace(one, trail=Trail.APPOINTMENT))


@given(
    st.integers(0, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(Trail),
    st.uuids(),
)
def test_keys_survive_their_encoding(xid: int, at_us: int, trail: Trail, row_id: UUID) -> None:
    key = RowKey(xid, at_us, trail, row_id)
    assert RowKey.decoded(key.encoded()) == key


def test_seals_follow_each_other() -> None:
    rows = [row(xid) for xid in (3, 1, 2)]
    first = make_seal(rows, last=None, xid_to=4, now=NOW)
    second = make_seal([row(4)], last=first, xid_to=9, now=NOW)

    assert (first.seq, first.xid_from, first.row_count) == (1, 0, 3)
    assert (second.seq, second.xid_from, second.previous) == (2, 4, first.chain)
    assert check_seal(first, None) == check_seal(second, first) == []
    assert check_rows(first, rows) == []
    assert [key.xid for key in first.row_keys()] == [1, 2, 3]


@pytest.mark.parametrize(
    "changed",
    [
        {"root": bytes(32)},
        {"chain": bytes(32)},
        {"previous": b"\x01" * 32},
        {"row_count": 2},
        {"sealed_at": NOW + timedelta(seconds=1)},
        {"xid_from": 1},
        {"xid_to": 9},
        {"leaves": bytes(32)},
        {"keys": b""},
    ],
)
def test_a_changed_seal_is_broken(changed: dict[str, object]) -> None:
    seal = make_seal([row()], last=None, xid_to=6, now=NOW)
    broken = replace(seal, **changed)  # type: ignore[arg-type]
    assert check_seal(broken, None) == [SealFinding(Tampering.SEAL_BROKEN, 1)]


def test_a_gap_between_seals_is_told() -> None:
    first = make_seal([row()], last=None, xid_to=6, now=NOW)
    second = make_seal([row(7)], last=first, xid_to=8, now=NOW)
    third = make_seal([row(9)], last=second, xid_to=10, now=NOW)
    assert check_seal(third, first) == [SealFinding(Tampering.SEAL_REMOVED, 3)]


def test_a_row_that_moved_is_told_once() -> None:
    one = uuid4()
    found = [
        SealFinding(Tampering.REMOVED, 1, Trail.EVENT, one),
        SealFinding(Tampering.INSERTED, 3, Trail.EVENT, one),
        SealFinding(Tampering.CHANGED, 2, Trail.EVENT, uuid4()),
    ]
    assert moved(found) == [SealFinding(Tampering.REORDERED, 1, Trail.EVENT, one), found[2]]


def test_exports_tell_rewritten_and_lost_seals() -> None:
    seal = make_seal([row()], last=None, xid_to=6, now=NOW)
    other = make_seal([row()], last=None, xid_to=6, now=NOW)
    assert check_exports({1: seal}, [seal.as_export()]) == []
    assert check_exports({1: other}, [seal.as_export()]) == [
        SealFinding(Tampering.SEAL_REWRITTEN, 1)
    ]
    assert check_exports({}, [seal.as_export()]) == [SealFinding(Tampering.SEAL_REMOVED, 1)]

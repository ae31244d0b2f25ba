"""Seals over the audit trail: each is a Merkle root over the rows finished since the last seal and
is chained to it, so that rows changed, removed, inserted or reordered later can be identified.

Rows are ordered by the transaction that wrote them. A seal ends below the oldest transaction that
was still running, so that no row can appear inside it afterwards.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from clinic.domain.audit.audit import ERASED
from clinic.domain.audit.merkle import HASH_BYTES, leaf_hash, root_of

FIRST_CHAIN = bytes(HASH_BYTES)
_KEY_BYTES = 1 + 16 + 8 + 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Trail(StrEnum):
    """The tables that are sealed. Append new ones at the end: keys hold their positions."""

    APPOINTMENT = "audit_appointment"
    EVENT = "audit_event"
    #: the log of messages sent or failed
    NOTIFICATION = "notification"


_TRAILS = tuple(Trail)
#: the column that says when a row was written
_WRITTEN_AT = {Trail.APPOINTMENT: "at", Trail.EVENT: "at", Trail.NOTIFICATION: "finished_at"}

#: the column whose text may be erased; two more columns hold a salt, and a digest of both
_TEXT = {Trail.APPOINTMENT: "reason", Trail.EVENT: "reason", Trail.NOTIFICATION: "error"}

#: a seal's format says which tables it covers; new seals have FORMAT
FIRST_FORMAT, FORMAT = 1, 2
_COVERED = {
    FIRST_FORMAT: frozenset({Trail.APPOINTMENT, Trail.EVENT}),
    FORMAT: frozenset(Trail),
}


_TEXT_ITSELF, _SALT, _DIGEST = "", "_salt", "_digest"


@dataclass(frozen=True, slots=True, order=True)
class RowKey:
    """A row's position in the trail, and its identity."""

    xid: int
    at_us: int
    trail: Trail
    id: UUID

    def encoded(self) -> bytes:
        return b"".join(
            (
                bytes([_TRAILS.index(self.trail)]),
                self.id.bytes,
                self.xid.to_bytes(8, "big"),
                self.at_us.to_bytes(8, "big", signed=True),
            )
        )

    @classmethod
    def decoded(cls, raw: bytes) -> "RowKey":
        return cls(
            int.from_bytes(raw[17:25], "big"),
            int.from_bytes(raw[25:33], "big", signed=True),
            _TRAILS[raw[0]],
            UUID(bytes=raw[1:17]),
        )


@dataclass(frozen=True, slots=True)
class TrailRow:
    """A row of an audit table with all its columns."""

    trail: Trail
    xid: int
    columns: Mapping[str, Any]

    @property
    def key(self) -> RowKey:
        written_at = self.columns[_WRITTEN_AT[self.trail]]
        return RowKey(self.xid, _microseconds(written_at), self.trail, self.columns["id"])

    @property
    def leaf(self) -> bytes:
        """The hash to seal; it covers a text's digest, if any, instead of the text, so that the
        text can be erased."""
        return self._leaf(_SALT) if self._digest is None else self._leaf(_TEXT_ITSELF, _SALT)

    @property
    def plain_leaf(self) -> bytes:
        """The sealed hash of a row without a digest, or one sealed by a release without digests."""
        return self._leaf(_SALT, _DIGEST)

    @property
    def rest(self) -> str:
        """A hash of the row without its text."""
        return self._leaf(_TEXT_ITSELF, _SALT).hex()

    @property
    def is_erased(self) -> bool:
        return self._text == ERASED and self._salt is None

    @property
    def has_digest(self) -> bool:
        return self._digest is not None

    @property
    def is_whole(self) -> bool:
        """Whether the text matches its digest; True without a digest."""
        if self._digest is None:
            return True
        if self._text is None or self._salt is None:
            return False
        return sha256(bytes(self._salt) + self._text.encode()).digest() == bytes(self._digest)

    @property
    def _text(self) -> str | None:
        return self.columns.get(_TEXT[self.trail])

    @property
    def _salt(self) -> bytes | None:
        return self.columns.get(_TEXT[self.trail] + _SALT)

    @property
    def _digest(self) -> bytes | None:
        return self.columns.get(_TEXT[self.trail] + _DIGEST)

    def _leaf(self, *without: str) -> bytes:
        text = _TEXT[self.trail]
        names = {text + suffix for suffix in without}
        if self._digest is None:
            # Hash the row as it was before the digest column existed.
            names.add(text + _DIGEST)
        columns = {name: value for name, value in self.columns.items() if name not in names}
        return leaf_hash(canonical(replace(self, columns=columns)))


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal over the rows written by transactions in `[xid_from, xid_to)`."""

    seq: int
    sealed_at: datetime
    xid_from: int
    xid_to: int
    row_count: int
    root: bytes
    #: the chain of the previous seal
    previous: bytes
    chain: bytes
    #: the rows' keys and leaf hashes, in order, so that a single row can be identified
    keys: bytes
    leaves: bytes
    format: int = FIRST_FORMAT

    @property
    def trails(self) -> frozenset[Trail]:
        """The tables that the seal covers; empty for an unknown format."""
        return _COVERED.get(self.format, frozenset())

    def row_keys(self) -> list[RowKey]:
        return [RowKey.decoded(raw) for raw in _pieces(self.keys, _KEY_BYTES)]

    def leaf_hashes(self) -> list[bytes]:
        return _pieces(self.leaves, HASH_BYTES)

    def as_export(self) -> Mapping[str, Any]:
        """Return the fields to store elsewhere: enough to detect that the seal was rewritten."""
        return {
            "seq": self.seq,
            "sealedAt": _instant(self.sealed_at),
            "xidFrom": self.xid_from,
            "xidTo": self.xid_to,
            "rowCount": self.row_count,
            "root": self.root.hex(),
            "previous": self.previous.hex(),
            "chain": self.chain.hex(),
            # Seals of the first format were exported without it, and must still compare equal.
            **({} if self.format == FIRST_FORMAT else {"format": self.format}),
        }


class Tampering(StrEnum):
    CHANGED = "changed"
    #: a text was erased without a recorded erasure
    BLANKED = "blanked"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    SEAL_BROKEN = "seal broken"
    SEAL_REMOVED = "seal removed"
    SEAL_REWRITTEN = "seal rewritten"


@dataclass(frozen=True, slots=True)
class SealFinding:
    """One difference between the trail and what was sealed."""

    tampering: Tampering
    seq: int
    trail: Trail | None = None
    row_id: UUID | None = None
    #: TrailRow.rest of a blanked row
    rest: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        where = f" {self.trail} {self.row_id}" if self.row_id else ""
        return f"{self.tampering}:{where} in seal {self.seq}"


def canonical(row: TrailRow) -> bytes:
    """Return a row's canonical encoding: every column by name, instants in UTC."""
    content = {"": row.trail.value, "xid": row.xid, **row.columns}
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    ).encode()


def make_seal(
    rows: Iterable[TrailRow],
    *,
    last: Seal | None,
    xid_to: int,
    now: datetime,
) -> Seal:
    """Return the seal that follows `last` over `rows`, all below `xid_to` and not sealed yet."""
    ordered = sorted(rows, key=lambda row: row.key)
    leaves = [row.leaf for row in ordered]
    seq = last.seq + 1 if last else 1
    xid_from = last.xid_to if last else 0
    previous = last.chain if last else FIRST_CHAIN
    root = root_of(leaves)
    return Seal(
        seq,
        now,
        xid_from,
        xid_to,
        len(leaves),
        root,
        previous,
        chain_of(seq, now, xid_from, xid_to, len(leaves), root, previous, FORMAT),
        keys=b"".join(row.key.encoded() for row in ordered),
        leaves=b"".join(leaves),
        format=FORMAT,
    )


def chain_of(
    seq: int,
    sealed_at: datetime,
    xid_from: int,
    xid_to: int,
    row_count: int,
    root: bytes,
    previous: bytes,
    made_as: int = FIRST_FORMAT,
) -> bytes:
    """Return the hash that binds a seal to all before it."""
    numbers = [seq, _microseconds(sealed_at), xid_from, xid_to, row_count]
    if made_as != FIRST_FORMAT:
        numbers.append(made_as)
    return sha256(
        previous + root + b"".join(number.to_bytes(8, "big", signed=True) for number in numbers)
    ).digest()


def check_seal(seal: Seal, before: Seal | None) -> list[SealFinding]:
    """Return what is wrong with a seal, by itself or as the successor of `before`."""
    found = []
    if seal.seq != (before.seq + 1 if before else 1):
        found.append(SealFinding(Tampering.SEAL_REMOVED, seal.seq))
    elif seal.previous != (before.chain if before else FIRST_CHAIN) or seal.xid_from != (
        before.xid_to if before else 0
    ):
        found.append(SealFinding(Tampering.SEAL_BROKEN, seal.seq))
    leaves = seal.leaf_hashes()
    chain = chain_of(
        seal.seq,
        seal.sealed_at,
        seal.xid_from,
        seal.xid_to,
        seal.row_count,
        seal.root,
        seal.previous,
        seal.format,
    )
    whole = len(seal.keys) == _KEY_BYTES * seal.row_count and len(leaves) == seal.row_count
    if not whole or not seal.trails or root_of(leaves) != seal.root or chain != seal.chain:
        found.append(SealFinding(Tampering.SEAL_BROKEN, seal.seq))
    return found[:1]


def check_rows(seal: Seal, rows: Iterable[TrailRow]) -> list[SealFinding]:
    """Return how the rows now in the seal's range differ from what was sealed.

    A row that is missing here and present elsewhere was moved; `moved` finds those.
    """
    sealed = {
        (key.trail, key.id): (key, leaf)
        for key, leaf in zip(seal.row_keys(), seal.leaf_hashes(), strict=False)
    }
    found = []
    for row in sorted(rows, key=lambda each: each.key):
        known = sealed.pop((row.trail, row.columns["id"]), None)
        if known is None:
            what = Tampering.INSERTED
        elif known[0] != row.key:
            what = Tampering.REORDERED
        elif row.is_whole and known[1] in (row.leaf, row.plain_leaf):
            continue
        elif _may_be_erased(seal, row, known[1]):
            what = Tampering.BLANKED
        else:
            what = Tampering.CHANGED
        found.append(SealFinding(what, seal.seq, row.trail, row.columns["id"], row.rest))
    found += [SealFinding(Tampering.REMOVED, seal.seq, trail, row_id) for trail, row_id in sealed]
    return found


def _may_be_erased(seal: Seal, row: TrailRow, sealed: bytes) -> bool:
    """Return whether, as far as can be known, only the row's text was erased since it was sealed.

    A sealed digest makes this certain; without one, an erasure must have recorded the rest.
    """
    if not row.is_erased:
        return False
    return sealed == row.leaf or not row.has_digest or seal.format == FIRST_FORMAT


def unexplained(
    findings: Sequence[SealFinding], erased: Mapping[UUID, set[str]]
) -> list[SealFinding]:
    """Return `findings` without rows whose text a recorded erasure erased. `erased` has, for each
    row's id, the values of TrailRow.rest that erasures recorded."""
    return [
        one
        for one in findings
        if one.tampering is not Tampering.BLANKED
        or one.row_id is None
        or one.rest not in erased.get(one.row_id, ())
    ]


def moved(findings: Sequence[SealFinding]) -> list[SealFinding]:
    """Return `findings` with a row removed in one place and inserted in another reported once."""
    inserted = {(one.trail, one.row_id) for one in findings if one.tampering is Tampering.INSERTED}
    removed = {(one.trail, one.row_id) for one in findings if one.tampering is Tampering.REMOVED}
    both = inserted & removed
    merged = []
    for one in findings:
        if (one.trail, one.row_id) not in both:
            merged.append(one)
        elif one.tampering is Tampering.REMOVED:
            merged.append(replace(one, tampering=Tampering.REORDERED))
    return merged


def check_exports(
    seals: Mapping[int, Seal], exports: Iterable[Mapping[str, Any]]
) -> list[SealFinding]:
    """Return a finding for each exported seal that is missing or differs from its export."""
    found = []
    for export in exports:
        seq = int(export["seq"])
        seal = seals.get(seq)
        if seal is None:
            found.append(SealFinding(Tampering.SEAL_REMOVED, seq))
        elif seal.as_export() != dict(export):
            found.append(SealFinding(Tampering.SEAL_REWRITTEN, seq))
    return found


def _pieces(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw) - size + 1, size)]


def _microseconds(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date | UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return value.hex()
    raise TypeError(f"an audit row holds no {type(value).__name__}")

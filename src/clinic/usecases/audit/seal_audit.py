"""Seal the audit trail, verify it against its seals, and export seals to be kept elsewhere."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clinic.domain.audit.seals import (
    Seal,
    SealFinding,
    Tampering,
    Trail,
    check_exports,
    check_rows,
    check_seal,
    make_seal,
    moved,
    unexplained,
)
from clinic.domain.errors import AlreadyExists
from clinic.ports.audit import SealBook
from clinic.ports.clock import Clock

#: about how many rows one seal covers, how many seals one run makes, and how many one query reads
ROWS_MAX, SEALS_MAX, PAGE = 5_000, 1_000, 100
#: how far the sealer's clock and the database's may be apart
CLOCKS_APART = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was compared, and the differences."""

    seals: int
    rows: int
    findings: tuple[SealFinding, ...]


async def seal_audit(*, book: SealBook, clock: Clock, rows_max: int = ROWS_MAX) -> int:
    """Seal every finished row that is not sealed yet; return how many rows there were."""
    sealed = 0
    for _ in range(SEALS_MAX):
        last = await book.last()
        xid_to, rows = await book.unsealed(last.xid_to if last else 0, limit=rows_max)
        if not rows:
            break
        try:
            await book.add(make_seal(rows, last=last, xid_to=xid_to, now=clock.now()))
        except AlreadyExists:
            # Another sealer was faster: continue after its seal.
            continue
        sealed += len(rows)
    return sealed


async def verify_audit(*, book: SealBook, exports: Iterable[Mapping[str, Any]] = ()) -> Verified:
    """Return every difference between the trail and its seals, or the seals and their `exports`.

    Rows that are not sealed yet are not checked, except those that never would be.
    """
    findings: list[SealFinding] = []
    seals = rows_read = 0
    before: Seal | None = None
    first_whole: Seal | None = None
    exported = {int(one["seq"]): one for one in exports}
    async for seal in _every_seal(book):
        findings += check_seal(seal, before)
        if first_whole is None and seal.trails == frozenset(Trail):
            first_whole = seal
        found = await book.rows(seal.xid_from, seal.xid_to)
        rows = [row for row in found if row.trail in seal.trails]
        findings += check_rows(seal, rows)
        export = exported.pop(seal.seq, None)
        if export is not None:
            findings += check_exports({seal.seq: seal}, [export])
        seals, rows_read, before = seals + 1, rows_read + len(rows), seal
    findings += check_exports({}, exported.values())
    beyond = list(await book.stragglers(before.xid_to if before else 0))
    if first_whole is not None:
        # Messages from before the log was sealed are in no seal; none may be added to them.
        beyond += await book.unsealed_messages(
            first_whole.xid_from, since=first_whole.sealed_at + CLOCKS_APART
        )
    next_seq = before.seq + 1 if before else 1
    findings += [
        SealFinding(Tampering.INSERTED, next_seq, row.trail, row.columns["id"]) for row in beyond
    ]
    # Last, since texts may be erased during the verification.
    blanked = {one.row_id for one in findings if one.tampering is Tampering.BLANKED and one.row_id}
    erased = await book.erased_texts(blanked) if blanked else {}
    return Verified(seals, rows_read, tuple(moved(unexplained(findings, erased))))


async def export_seals(*, book: SealBook, after_seq: int = 0) -> list[Mapping[str, Any]]:
    """Return the exports of the seals after `after_seq`, to be kept elsewhere."""
    return [seal.as_export() async for seal in _every_seal(book, after_seq)]


async def _every_seal(book: SealBook, after_seq: int = 0) -> AsyncIterator[Seal]:
    while True:
        page = await book.seals(after_seq=after_seq, limit=PAGE)
        for seal in page:
            yield seal
        if len(page) < PAGE:
            return
        after_seq = page[-1].seq

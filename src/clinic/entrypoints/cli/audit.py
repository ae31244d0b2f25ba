"""`clinic audit …`: list, seal and verify the audit trail, and export its seals."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from clinic import bootstrap
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import InvalidInput, TemporaryFailure
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import system_actor
from clinic.entrypoints.cli.app import complain
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.session import open_services
from clinic.ports.audit import SealBook
from clinic.settings import Settings, settings_from_environment
from clinic.usecases.audit.read_audit import AuditSearch, read_audit
from clinic.usecases.audit.seal_audit import export_seals, seal_audit, verify_audit
from clinic.usecases.people.sign_in import NOBODY_ID

EVENT_COLUMNS = ("at", "action", "outcome", "count", "ip", "actor", "entity", "entityId")
SEALS_FILE = "seals.jsonl"
EVERY_MAX_S = 3600.0
DIFFERS = 1


@asynccontextmanager
async def _book() -> AsyncIterator[SealBook]:
    book = bootstrap.seal_book(settings_from_environment())
    try:
        yield book
    finally:
        await book.close()


async def seal(*, every: float | None = None) -> None:
    """Seal the finished rows of the audit trail.

    Parameters
    ----------
    every
        Keep sealing at this interval, in seconds, until stopped.
    """
    if every is not None and not 0 < every <= EVERY_MAX_S:
        raise InvalidInput(f"Seal every 1 to {EVERY_MAX_S:.0f} seconds.")
    if every is not None:
        await keep_sealing(settings_from_environment(), every)
    rows = await seal_once(settings_from_environment())
    print(f"Sealed {rows} rows.")


async def seal_once(settings: Settings) -> int:
    """Seal finished rows and return how many there were. Raises TemporaryFailure."""
    book = bootstrap.seal_book(settings)
    try:
        return await seal_audit(book=book, clock=bootstrap.system_clock())
    finally:
        await book.close()


async def keep_sealing(settings: Settings, every_s: float) -> None:
    """Seal every `every_s` seconds until cancelled, retrying while the database is away."""
    book, clock = bootstrap.seal_book(settings), bootstrap.system_clock()
    try:
        while True:
            try:
                await seal_audit(book=book, clock=clock)
            except TemporaryFailure as error:
                complain(f"{error.message} ({error.code})")
            await asyncio.sleep(every_s)
    finally:
        await book.close()


async def events(
    *,
    clinic: UUID | None = None,
    action: str | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    as_json: AsJson = False,
) -> None:
    """List the audit log, latest first: events of no clinic, such as forged tokens.

    Parameters
    ----------
    clinic
        Id of a clinic, to list its log instead.
    action
        Only this one, such as refused, sign_in or BOOK.
    outcome
        Only this one, such as not_signed_in, forged_request, quota_exceeded, denied or done.
    since
        Only those at this time or later, with offset.
    until
        Only those before this time, with offset.
    limit
        How many at most, up to 200.
    as_json
        Print JSON.
    """
    async with open_services() as services:
        page = await read_audit(
            services.context(system_actor(clinic or NOBODY_ID)),
            AuditSearch(
                action=action,
                outcome=outcome,
                at_from=checked_instant(since, "--since") if since else None,
                at_before=checked_instant(until, "--until") if until else None,
            ),
            PageRequest(limit),
        )
    rows = [_event_row(each) for each in page.items]
    print_rows(rows, EVENT_COLUMNS, as_json=as_json, more=page.next is not None)


def _event_row(event: AuditEvent) -> Row:
    return {
        "at": event.at,
        "action": event.action,
        "outcome": event.outcome,
        "count": event.detail.get("count", 1),
        "ip": event.ip,
        "actor": None if event.actor_id == NOBODY_ID else event.actor_id,
        "entity": event.entity,
        "entityId": event.entity_id,
        "clinicId": None if event.clinic_id == NOBODY_ID else event.clinic_id,
        "id": event.id,
        "detail": dict(event.detail),
    }


async def verify(*, exports: Path | None = None) -> int:
    """List where the audit trail differs from what was sealed; exits with status 1 if it does.

    Parameters
    ----------
    exports
        Folder that `clinic audit export` wrote; reveals rewritten seals.
    """
    known = _exported(exports / SEALS_FILE) if exports else []
    async with _book() as book:
        found = await verify_audit(book=book, exports=known)
    for finding in found.findings:
        print(finding)
    print(f"{found.seals} seals, {found.rows} rows, {len(found.findings)} differences.")
    return DIFFERS if found.findings else 0


async def export(folder: Path, /) -> None:
    """Append new seals to a file in a folder elsewhere, where the database cannot rewrite them.

    Parameters
    ----------
    folder
        Where to keep them, preferably on another machine or on write-once storage.
    """
    file = folder / SEALS_FILE
    known = _exported(file)
    async with _book() as book:
        new = await export_seals(book=book, after_seq=int(known[-1]["seq"]) if known else 0)
    _append(file, new)
    print(f"Wrote {len(new)} seals to {file}.")


def _append(file: Path, seals: Iterable[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.writelines(json.dumps(one, sort_keys=True) + "\n" for one in seals)


def _exported(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{file} was not written by clinic audit export: {error}.") from error

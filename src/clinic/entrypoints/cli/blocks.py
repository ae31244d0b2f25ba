"""`clinic blocks …`: times at which a doctor takes no bookings."""

from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from clinic.domain.calendar.closings import Block
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.output import AsJson, Row, local, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Explaining, Where, session
from clinic.entrypoints.cli.time_parsing import parse_instant, parse_required_instant
from clinic.usecases.calendar.blocks import add_block, delete_block, list_blocks

COLUMNS = ("id", "doctorId", "from", "to", "reason")
NOBODY, FOR_STAFF, HERE = Acting(), Explaining(), Where()


async def add(
    doctor: UUID,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: Annotated[str, Parameter(name=("--to", "--until"))],
    lane: int | None = None,
    preview: Preview = False,
    acting: Explaining = FOR_STAFF,
    as_json: AsJson = False,
) -> None:
    """Block a doctor's time: slots that overlap it are blocked, also those that are opened later.

    Appointments in them stay and are listed. The reason is shown to staff, never
    to patients.

    Parameters
    ----------
    doctor
        Id of the doctor.
    from_
        First day or time, such as 2026-11-23 or 2026-11-23T09:00 on the clinic's clock.
    to
        Last day, or the time at which it ends.
    lane
        Block only this lane of the doctor's calendar.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        zone = at.clinic.zone
        block = Block(
            at.services.new_id(),
            at.clinic.id,
            doctor,
            parse_required_instant(from_, zone, "--from"),
            parse_required_instant(to, zone, "--to", end=True),
            acting.reason,
            lane,
        )
        changed = await add_block(at.context, block, preview=preview)
    print_change(
        f"Added block {block.id}",
        "This is a preview of the block",
        _row(changed.row, zone),
        changed.effect,
        as_json=as_json,
    )


async def list_all(
    *,
    doctor: UUID | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: Annotated[str | None, Parameter(name=("--to", "--until"))] = None,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List blocks in the order in which they were entered; those that are over with --from.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    from_
        Only those that end after this day or time; now when left out.
    to
        Only those that begin until this day, or before this time.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        zone = at.clinic.zone
        blocks = await list_blocks(
            at.context,
            doctor_id=doctor,
            since=parse_instant(from_, zone, "--from"),
            until=parse_instant(to, zone, "--to", end=True),
        )
    print_rows([_row(each, zone) for each in blocks], COLUMNS, as_json=as_json)


async def delete(
    block: UUID,
    /,
    *,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Delete a block: slots that nothing else closes are open again.

    Parameters
    ----------
    block
        Id of the block.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        changed = await delete_block(at.context, block, preview=preview)
    print_change(
        f"Deleted block {block}",
        "This is a preview of deleting the block",
        _row(changed.row, at.clinic.zone),
        changed.effect,
        as_json=as_json,
    )


def _row(block: Block, zone: ZoneInfo) -> Row:
    return {
        "id": block.id,
        "doctorId": block.doctor_id,
        "from": local(block.starts_at, zone),
        "to": local(block.ends_at, zone),
        "lane": block.lane,
        "reason": block.reason,
    }

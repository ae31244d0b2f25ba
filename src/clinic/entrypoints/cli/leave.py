"""`clinic leave …`: days on which a doctor is away."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.calendar.closings import Leave
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.closures import times_line, times_row
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Explaining, Where, session
from clinic.entrypoints.cli.time_parsing import parse_day
from clinic.usecases.calendar.leaves import add_leave, delete_leave, list_leaves

COLUMNS = ("id", "doctorId", "from", "until", "reason")
NOBODY, FOR_STAFF, HERE = Acting(), Explaining(), Where()


async def add(
    doctor: UUID,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    until: Annotated[str | None, Parameter(name=("--until", "--to"))] = None,
    preview: Preview = False,
    acting: Explaining = FOR_STAFF,
    as_json: AsJson = False,
) -> None:
    """Enter a doctor's leave; slots that overlap it are blocked, also those that are opened later.

    Appointments in them stay and are listed. The reason is shown to staff, never
    to patients.

    Parameters
    ----------
    doctor
        Id of the doctor.
    from_
        First day, such as 2026-12-24, or 2026-12-24T12:00 to leave at noon.
    until
        Last day, or the time on it at which the doctor is back; --from's day when left out.
    as_json
        Print JSON.
    """
    first, start = parse_day(from_, "--from")
    last, end = parse_day(until, "--until", end=True) if until else (first, None)
    async with session(acting) as at:
        leave = Leave(
            at.services.new_id(), at.clinic.id, doctor, first, last, start, end, acting.reason
        )
        changed = await add_leave(at.context, leave, preview=preview)
    print_change(
        f"Added leave {leave.id}",
        "This is a preview of the leave",
        _row(changed.row),
        changed.effect,
        as_json=as_json,
    )


async def list_all(
    *, doctor: UUID | None = None, where: Where = HERE, as_json: AsJson = False
) -> None:
    """List leave in the order in which it was entered, also leave that is over.

    Parameters
    ----------
    doctor
        Only that of this doctor.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        leaves = await list_leaves(at.context, doctor_id=doctor)
    rows = [_row(each) if as_json else {**_row(each), **times_line(each)} for each in leaves]
    print_rows(rows, COLUMNS, as_json=as_json)


async def delete(
    leave: UUID,
    /,
    *,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Delete leave: slots that nothing else closes are open again.

    Parameters
    ----------
    leave
        Id of the leave.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        changed = await delete_leave(at.context, leave, preview=preview)
    print_change(
        f"Deleted leave {leave}",
        "This is a preview of deleting the leave",
        _row(changed.row),
        changed.effect,
        as_json=as_json,
    )


def _row(leave: Leave) -> Row:
    return {
        "id": leave.id,
        "doctorId": leave.doctor_id,
        **times_row(leave),
        "reason": leave.reason,
    }

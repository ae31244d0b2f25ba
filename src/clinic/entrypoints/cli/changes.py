"""`clinic changes …`: changes of many calendars, and how far they are."""

from uuid import UUID

from clinic.entrypoints.cli.output import AsJson, local, print_row, print_rows
from clinic.entrypoints.cli.rendering import CALL, appointment_row, change_row, print_affected
from clinic.entrypoints.cli.session import Where, session
from clinic.usecases.calendar.calendar_changes import list_changes, read_change

COLUMNS = ("id", "action", "createdAt", "status", "from", "until", "doctors", "doctorsDone")
HERE = Where()


async def list_all(*, where: Where = HERE, as_json: AsJson = False) -> None:
    """List the latest hundred changes that concern too many slots for one transaction.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with session(where) as at:
        changes = await list_changes(at.context)
    zone = at.clinic.zone
    rows = [{**change_row(each), "createdAt": local(each.created_at, zone)} for each in changes]
    print_rows(rows, COLUMNS, as_json=as_json)


async def show(change: UUID, /, *, where: Where = HERE, as_json: AsJson = False) -> None:
    """Show how far a change is, and the appointments in its days that are not in open slots now.

    The slots follow doctor by doctor, the nearest days first, while clinic worker
    runs; clinic maintenance run align-calendars does the same once.

    Parameters
    ----------
    change
        Id of the change.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        found = await read_change(at.context, change)
    row = {**change_row(found.change), "createdAt": local(found.change.created_at, at.clinic.zone)}
    if as_json:
        stranded = [appointment_row(view) for view in found.stranded]
        print_row({**row, "stranded": stranded}, as_json=True)
        return
    print_row(row)
    print_affected(found.stranded, CALL)

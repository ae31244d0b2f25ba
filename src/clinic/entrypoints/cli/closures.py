"""`clinic closures …`: days on which the whole clinic is closed."""

from datetime import date
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.calendar.closings import Closure, ClosureKind, Leave
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.changing import NoWait, Preview, followed, status_of
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.entrypoints.cli.time_parsing import parse_day
from clinic.usecases.calendar.closures import add_closure, delete_closure, list_closures

COLUMNS = ("id", "name", "kind", "from", "until", "holidays", "openOn")
NOBODY, HERE = Acting(), Where()
Flag = Annotated[bool, Parameter(negative="")]


async def add(
    name: str,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    until: Annotated[str | None, Parameter(name=("--until", "--to"))] = None,
    yearly: Flag = False,
    country: str | None = None,
    subdivision: str | None = None,
    open_on: list[date] | None = None,
    location: UUID | None = None,
    preview: Preview = False,
    no_wait: NoWait = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> int:
    """Close the clinic on days, every year on the same days, or on public holidays.

    Slots that overlap it are blocked, whatever the doctors' hours, also those
    that are opened later. Appointments in them stay and are listed.

    Parameters
    ----------
    name
        What it is called, such as "Christmas"; patients see it.
    from_
        First day, such as 2026-12-24, or 2026-12-24T12:00 to close at noon.
    until
        Last day, or the time on it at which the clinic opens again; --from's day when left out.
    yearly
        On the same days of every year from then on.
    country
        Instead of days: on the public holidays of this country, such as DE.
    subdivision
        The country's part whose holidays are meant, such as BE for Berlin.
    open_on
        A day on which the clinic is open nonetheless; may be given several times.
    location
        Id of the only location that it closes.
    as_json
        Print JSON.
    """
    if (from_ is None) == (country is None):
        raise InvalidInput("Give either --from or --country.")
    if country is not None and (until is not None or yearly):
        raise InvalidInput("--until and --yearly are for days, not for public holidays.")
    if country is None and subdivision is not None:
        raise InvalidInput("--subdivision is for public holidays; give --country, too.")
    first, start = parse_day(from_, "--from") if from_ else (None, None)
    last, end = parse_day(until, "--until", end=True) if until else (first, None)
    kind = ClosureKind.HOLIDAYS if country else ClosureKind.ONCE
    async with session(acting) as at:
        closure = Closure(
            at.services.new_id(),
            at.clinic.id,
            name,
            ClosureKind.YEARLY if yearly else kind,
            first,
            last,
            start,
            end,
            country.upper() if country else None,
            subdivision.upper() if subdivision else None,
            tuple(open_on or ()),
            location,
        )
        changed = await add_closure(at.context, closure, preview=preview)
        effect = await followed(at, changed.effect, no_wait=no_wait)
    print_change(
        f"Added closure {closure.id}",
        f"This is a preview of closing the clinic: {changed.row.name}",
        _row(changed.row),
        effect,
        as_json=as_json,
    )
    return status_of(effect, no_wait=no_wait)


async def list_all(*, where: Where = HERE, as_json: AsJson = False) -> None:
    """List closures in the order in which they were entered, also those that are over.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with session(where) as at:
        closures = await list_closures(at.context)
    rows = [_row(each) if as_json else _line(each) for each in closures]
    print_rows(rows, COLUMNS, as_json=as_json)


async def delete(
    closure: UUID,
    /,
    *,
    preview: Preview = False,
    no_wait: NoWait = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> int:
    """Open the clinic again: slots that nothing else closes are open again.

    Parameters
    ----------
    closure
        Id of the closure.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        changed = await delete_closure(at.context, closure, preview=preview)
        effect = await followed(at, changed.effect, no_wait=no_wait)
    print_change(
        f"Deleted closure {closure}",
        f"This is a preview of deleting the closure: {changed.row.name}",
        _row(changed.row),
        effect,
        as_json=as_json,
    )
    return status_of(effect, no_wait=no_wait)


def times_row(of: Closure | Leave) -> dict[str, object]:
    """Return the first and the last day of a closure or leave, with the times on them."""
    return {
        "from": of.first,
        "until": of.last,
        "startTime": None if of.start is None else f"{of.start:%H:%M}",
        "endTime": None if of.end is None else f"{of.end:%H:%M}",
    }


def times_line(of: Closure | Leave) -> dict[str, str | None]:
    """Return the first and the last day as they are typed, for a table."""
    ends = {"from": (of.first, of.start), "until": (of.last, of.end)}
    return {
        name: None if day is None else f"{day}T{wall:%H:%M}" if wall else str(day)
        for name, (day, wall) in ends.items()
    }


def _row(closure: Closure) -> Row:
    return {
        "id": closure.id,
        "name": closure.name,
        "kind": closure.kind.value.lower(),
        **times_row(closure),
        "country": closure.country,
        "subdivision": closure.subdivision,
        "openOn": list(closure.open_on),
        "locationId": closure.location_id,
    }


def _line(closure: Closure) -> Row:
    return {
        **_row(closure),
        **times_line(closure),
        "holidays": "-".join(filter(None, (closure.country, closure.subdivision))) or None,
        "openOn": ", ".join(map(str, closure.open_on)) or None,
    }

"""`clinic locations …`: where doctors work."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.calendar.locations import Location
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.changing import NoWait, followed, status_of
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.rendering import effect_row, print_effect
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.usecases.calendar.locations import add_location, change_location, list_locations

COLUMNS = ("id", "name", "address", "holidays", "active")
NOBODY, HERE = Acting(), Where()
Cleared = Literal["address", "directions", "phone", "country", "subdivision"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Members:
    """What a location may have besides its name."""

    address: list[str] | None = None
    """A line of its postal address; give the option once for each line. The clinic's when never
    given."""
    directions: str | None = None
    """How to get there and in; patients see it."""
    phone: str | None = None
    """Its phone number, for patients to call; the clinic's when never given."""
    country: str | None = None
    """Country of its public holidays, such as AT, when they are not those of the clinic."""
    subdivision: str | None = None
    """The country's part whose holidays are meant, such as BE for Berlin."""


NOTHING = Members()


async def add(
    name: str,
    /,
    *,
    members: Members = NOTHING,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a location; hours are entered there with clinic hours add --location.

    Parameters
    ----------
    name
        What it is called, such as "Harbour branch"; patients see it.
    as_json
        Print JSON.
    """
    changes = _changes(members)
    async with session(acting) as at:
        bare = Location(at.services.new_id(), at.clinic.id, name)
        new = replace(bare, **changes)
        added = await add_location(at.context, new, contacts=at.services.contacts)
    if as_json:
        print_row(_row(added), as_json=True)
    else:
        print(f"Added location {added.id}")


async def list_all(*, where: Where = HERE, as_json: AsJson = False) -> None:
    """List locations in the order in which they were entered, also inactive ones.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with session(where) as at:
        locations = await list_locations(at.context)
    rows = [_row(each) if as_json else _line(each) for each in locations]
    print_rows(rows, COLUMNS, as_json=as_json)


async def change(
    location: UUID,
    /,
    *,
    name: str | None = None,
    members: Members = NOTHING,
    clear: list[Cleared] | None = None,
    active: Annotated[bool | None, Parameter(negative="--inactive")] = None,
    no_wait: NoWait = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> int:
    """Change a location; options left out change nothing.

    Appointments there show the new name and address. A location is never deleted:
    an inactive one has no hours ahead.

    Parameters
    ----------
    location
        Id of the location.
    name
        What it is called.
    clear
        Remove it; may be given several times.
    active
        Whether hours can be entered there.
    as_json
        Print JSON.
    """
    changes = _changes(members)
    for cleared in clear or ():
        if cleared in changes:
            raise InvalidInput(f"Give either --clear {cleared} or --{cleared}.")
    changes |= dict.fromkeys(clear or ())
    if "country" in changes and changes["country"] is None:
        # A subdivision needs its country.
        changes.setdefault("subdivision", None)
    if name is not None:
        changes["name"] = name
    if active is not None:
        changes["is_active"] = active
    async with session(acting) as at:
        changed = await change_location(
            at.context,
            location,
            lambda before: replace(before, **changes),
            contacts=at.services.contacts,
        )
        effect = changed.effect
        if effect is not None:
            effect = await followed(at, effect, no_wait=no_wait)
    if as_json:
        opened = {} if effect is None else {"slotsOpened": effect_row(effect)}
        print_row({**_row(changed.location), **opened}, as_json=True)
    else:
        print(changed.note or f"Changed location {location}")
        if effect is not None:
            print_effect(effect)
    return 0 if effect is None else status_of(effect, no_wait=no_wait)


def _changes(members: Members) -> dict[str, Any]:
    """Return the fields of a location that were given."""
    given = {
        "address": "\n".join(members.address) if members.address else None,
        "directions": members.directions,
        "phone": members.phone,
        "country": members.country and members.country.upper(),
        "subdivision": members.subdivision and members.subdivision.upper(),
    }
    return {field: value for field, value in given.items() if value is not None}


def _row(location: Location) -> Row:
    return {
        "id": location.id,
        "name": location.name,
        "address": location.address,
        "directions": location.directions,
        "phone": location.phone,
        "country": location.country,
        "subdivision": location.subdivision,
        "active": location.is_active,
    }


def _line(location: Location) -> Row:
    return {
        **_row(location),
        "address": ", ".join((location.address or "").splitlines()) or None,
        "holidays": "-".join(filter(None, (location.country, location.subdivision))) or None,
    }

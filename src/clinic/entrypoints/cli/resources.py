"""`clinic resources …`: rooms and equipment that types of appointments need."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.entrypoints.cli.output import AsJson, Row, local, print_row, print_rows
from clinic.entrypoints.cli.rendering import appointment_row, print_affected
from clinic.entrypoints.cli.session import Acting, Explaining, Where, session
from clinic.entrypoints.cli.time_parsing import parse_instant, parse_required_instant
from clinic.usecases.appointments.resources import (
    add_resource,
    change_resource,
    close_resource,
    list_closures,
    list_resources,
    reopen_resource,
)

COLUMNS = ("id", "kind", "name", "capacity", "active")
CLOSURE_COLUMNS = ("id", "from", "to", "reason")
NOBODY, FOR_STAFF, HERE = Acting(), Explaining(), Where()
_KEEP = "that have it still; move them, and they get another one"


async def add(
    kind: str,
    name: str,
    /,
    *,
    capacity: int = 1,
    location: UUID | None = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a room or equipment: appointments of types that need its kind get it.

    Parameters
    ----------
    kind
        What types ask for, such as "ultrasound room"; it never changes.
    name
        What it is called, such as "Room 2"; patients see it.
    capacity
        How many appointments of one doctor, start and type share it.
    location
        Id of the location where it is.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        new = Resource(at.services.new_id(), at.clinic.id, kind, name, capacity, location)
        added = await add_resource(at.context, new)
    _print(f"Added {added.name}: {added.id}", added, as_json=as_json)


async def list_all(
    *, kind: str | None = None, where: Where = HERE, as_json: AsJson = False
) -> None:
    """List rooms and equipment in the order in which they were entered, also inactive ones.

    Parameters
    ----------
    kind
        Only those of this kind.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        found = await list_resources(at.context, kind)
    print_rows([_row(each) for each in found], COLUMNS, as_json=as_json)


async def change(
    resource: UUID,
    /,
    *,
    name: str | None = None,
    capacity: int | None = None,
    location: UUID | None = None,
    no_location: Annotated[bool, Parameter(negative="")] = False,
    active: Annotated[bool | None, Parameter(negative="--inactive")] = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Change a room or equipment; options left out change nothing.

    Appointments that have it keep it. It is never deleted: set it inactive, and
    new appointments do not get it.

    Parameters
    ----------
    resource
        Id of the room or equipment.
    name
        What it is called.
    capacity
        How many appointments of one doctor, start and type share it.
    location
        Id of the location where it is.
    no_location
        It is at no location that is known.
    active
        Whether new appointments get it.
    as_json
        Print JSON.
    """
    given: dict[str, Any] = {
        "name": name,
        "capacity": capacity,
        "location_id": location,
        "is_active": active,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if no_location:
        changes["location_id"] = None
    async with session(acting) as at:
        changed = await change_resource(
            at.context, resource, lambda before: replace(before, **changes)
        )
    done = changed.note or f"Changed {changed.resource.name}"
    _print(done, changed.resource, changed.stranded, as_json=as_json)


async def close(
    resource: UUID,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: Annotated[str, Parameter(name=("--to", "--until"))],
    acting: Explaining = FOR_STAFF,
    as_json: AsJson = False,
) -> None:
    """Close a room or equipment for a time: no appointment gets it meanwhile.

    Appointments that have it keep it and are listed.

    Parameters
    ----------
    resource
        Id of the room or equipment.
    from_
        First day or time, such as 2026-11-23 or 2026-11-23T09:00 on the clinic's clock.
    to
        Last day, or the time at which it ends.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        zone = at.clinic.zone
        closure = ResourceClosure(
            at.services.new_id(),
            at.clinic.id,
            resource,
            parse_required_instant(from_, zone, "--from"),
            parse_required_instant(to, zone, "--to", end=True),
            acting.reason,
        )
        closed = await close_resource(at.context, closure)
    row = _closure_row(closed.closure, zone)
    _print_with(f"Added closure {closure.id}", row, closed.stranded, as_json=as_json)


async def reopen(
    resource: UUID,
    closure: UUID,
    /,
    *,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Delete a closure of a room or equipment: appointments get it again.

    Parameters
    ----------
    resource
        Id of the room or equipment.
    closure
        Id of the closure.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        gone = await reopen_resource(at.context, resource, closure)
    row = _closure_row(gone, at.clinic.zone)
    _print_with(f"Deleted closure {closure}", row, None, as_json=as_json)


async def closures(
    resource: UUID,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List the closures of a room or equipment in the order in which they were entered.

    Parameters
    ----------
    resource
        Id of the room or equipment.
    from_
        Only those that end after this day or time; now when left out.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        zone = at.clinic.zone
        since = parse_instant(from_, zone, "--from")
        found = await list_closures(at.context, resource, since=since)
    print_rows([_closure_row(each, zone) for each in found], CLOSURE_COLUMNS, as_json=as_json)


def _print(
    done: str,
    resource: Resource,
    stranded: Sequence[AppointmentView] | None = None,
    *,
    as_json: bool,
) -> None:
    _print_with(done, _row(resource), stranded, as_json=as_json)


def _print_with(
    done: str, row: Row, stranded: Sequence[AppointmentView] | None, *, as_json: bool
) -> None:
    if as_json:
        found = None if stranded is None else [appointment_row(view) for view in stranded]
        print_row(row if found is None else {**row, "stranded": found}, as_json=True)
        return
    print(done)
    print_affected(stranded or (), _KEEP)


def _row(resource: Resource) -> Row:
    return {
        "id": resource.id,
        "kind": resource.kind,
        "name": resource.name,
        "capacity": resource.capacity,
        "locationId": resource.location_id,
        "active": resource.is_active,
    }


def _closure_row(closure: ResourceClosure, zone: ZoneInfo) -> Row:
    return {
        "id": closure.id,
        "resourceId": closure.resource_id,
        "from": local(closure.starts_at, zone),
        "to": local(closure.ends_at, zone),
        "reason": closure.reason,
    }

"""`clinic types …`: types of appointments."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.usecases.appointments.types import add_type, change_type, list_types

COLUMNS = ("id", "name", "minutes", "bookableBy", "offeredBy", "default", "active")
NOBODY, HERE = Acting(), Where()
#: what --clear names → the field of AppointmentType
_CLEARED = {
    "notice": "notice_min",
    "horizon": "horizon_days",
    "instructions": "instructions",
    "color": "color",
    "needs": "needs",
}
#: what clears those that are no longer there but are empty
_NONE: dict[str, Any] = {"needs": ()}
Flag = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Members:
    """What a type may have besides its name and its length."""

    before: int | None = None
    """Minutes that the doctor needs before it."""
    after: int | None = None
    """Minutes that the doctor needs after it."""
    notice: int | None = None
    """Minutes ahead that patients must book; the clinic's when never given."""
    horizon: int | None = None
    """Days ahead that it can be booked; the clinic's when never given."""
    bookable_by: Literal["patients", "known-patients", "staff"] | None = None
    """Who may book it besides staff: patients, those with a completed appointment, or nobody."""
    offered_by: list[str] | None = None
    """Id of a doctor who offers it, or ID:MINUTES; may be given several times."""
    instructions: str | None = None
    """What patients should know or bring."""
    color: str | None = None
    """Its color in the calendar, such as #2f6fde."""
    needs: list[str] | None = None
    """Kind of room or equipment that it needs; may be given several times."""
    default: bool | None = None
    """Whether it is booked when a request names no type."""


NOTHING = Members()


async def add(
    name: str,
    minutes: int,
    /,
    *,
    members: Members = NOTHING,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a type of appointment; every doctor offers it unless --offered-by names some.

    Parameters
    ----------
    name
        What it is called, such as "Check-up"; patients see it.
    minutes
        How long it lasts for the patient.
    as_json
        Print JSON.
    """
    changes = _changes(members)
    async with session(acting) as at:
        bare = AppointmentType(at.services.new_id(), at.clinic.id, name, minutes)
        added = await add_type(at.context, replace(bare, **changes))
    _print(f"Added type {added.id}", added, as_json=as_json)


async def list_all(*, where: Where = HERE, as_json: AsJson = False) -> None:
    """List types of appointments in the order in which they were entered, also inactive ones.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with session(where) as at:
        types = await list_types(at.context)
    rows = [_row(each) if as_json else _line(each) for each in types]
    print_rows(rows, COLUMNS, as_json=as_json)


async def change(
    type: UUID,
    /,
    *,
    name: str | None = None,
    minutes: int | None = None,
    members: Members = NOTHING,
    all_doctors: Flag = False,
    clear: list[Literal["notice", "horizon", "instructions", "color", "needs"]] | None = None,
    active: Annotated[bool | None, Parameter(negative="--inactive")] = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Change a type of appointment; options left out change nothing.

    Appointments that were booked keep the name and the length that they have. A
    type is never deleted: an inactive one cannot be booked.

    Parameters
    ----------
    type
        Id of the type.
    name
        What it is called.
    minutes
        How long it lasts for the patient.
    all_doctors
        Every doctor offers it; --offered-by replaces the doctors who do.
    clear
        Remove it; may be given several times.
    active
        Whether it can be booked.
    as_json
        Print JSON.
    """
    changes = _changes(members)
    if all_doctors:
        _refuse_both(changes, "offered_by", "--all-doctors", "--offered-by")
        changes["offered_by"] = None
    for cleared in clear or ():
        _refuse_both(changes, _CLEARED[cleared], f"--clear {cleared}", f"--{cleared}")
    changes |= {_CLEARED[cleared]: _NONE.get(cleared) for cleared in clear or ()}
    for field, value in (("name", name), ("visible_min", minutes), ("is_active", active)):
        if value is not None:
            changes[field] = value
    async with session(acting) as at:
        changed = await change_type(at.context, type, lambda before: replace(before, **changes))
    _print(changed.note or f"Changed type {type}", changed.type, as_json=as_json)


def _refuse_both(changes: dict[str, Any], field: str, one: str, other: str) -> None:
    if field in changes:
        raise InvalidInput(f"Give either {one} or {other}.")


def _changes(members: Members) -> dict[str, Any]:
    """Return the fields of a type that were given. Raises InvalidInput."""
    given = {
        "before_min": members.before,
        "after_min": members.after,
        "notice_min": members.notice,
        "horizon_days": members.horizon,
        "bookable_by": members.bookable_by
        and BookableBy(members.bookable_by.upper().replace("-", "_")),
        "offered_by": members.offered_by and _offers(members.offered_by),
        "instructions": members.instructions,
        "color": members.color,
        "needs": members.needs and tuple(members.needs),
        "is_default": members.default,
    }
    return {field: value for field, value in given.items() if value is not None}


def _offers(texts: Iterable[str]) -> tuple[Offer, ...]:
    """Return doctors who are written as ID or ID:MINUTES. Raises InvalidInput."""
    offers = []
    for text in texts:
        doctor, _, minutes = text.partition(":")
        try:
            offers.append(Offer(UUID(doctor), int(minutes) if minutes else None))
        except ValueError:
            raise InvalidInput(
                f"--offered-by {text}: write a doctor's id, or ID:MINUTES."
            ) from None
    return tuple(offers)


def _print(done: str, type: AppointmentType, *, as_json: bool) -> None:
    if as_json:
        print_row(_row(type), as_json=True)
    else:
        print(done)


def _row(type: AppointmentType) -> Row:
    offers = type.offered_by
    return {
        "id": type.id,
        "name": type.name,
        "visibleMin": type.visible_min,
        "beforeMin": type.before_min,
        "afterMin": type.after_min,
        "noticeMin": type.notice_min,
        "horizonDays": type.horizon_days,
        "bookableBy": type.bookable_by.value.lower(),
        "offeredBy": None
        if offers is None
        else [{"doctorId": one.doctor_id, "visibleMin": one.visible_min} for one in offers],
        "instructions": type.instructions,
        "color": type.color,
        "needs": list(type.needs),
        "default": type.is_default,
        "active": type.is_active,
    }


def _line(type: AppointmentType) -> Row:
    buffers = f" ({type.before_min} before, {type.after_min} after)"
    doctors = (
        str(one.doctor_id) if one.visible_min is None else f"{one.doctor_id}:{one.visible_min}"
        for one in type.offered_by or ()
    )
    return {
        **_row(type),
        "minutes": f"{type.visible_min}{buffers if type.before_min or type.after_min else ''}",
        "bookableBy": type.bookable_by.value.lower().replace("_", "-"),
        "offeredBy": "all" if type.offered_by is None else ", ".join(doctors) or "nobody",
    }

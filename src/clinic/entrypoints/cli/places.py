"""`clinic places …`: single slots beside a doctor's hours."""

from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from clinic.domain.calendar.added_places import AddedPlace
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.output import AsJson, Row, local, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Explaining, Where, session
from clinic.entrypoints.cli.time_parsing import parse_required_instant
from clinic.usecases.calendar.added_places import add_place, delete_place, list_places

COLUMNS = ("id", "doctorId", "from", "to", "reason")
NOBODY, FOR_STAFF, HERE = Acting(), Explaining(), Where()


async def add(
    doctor: UUID,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from")],
    to: Annotated[str, Parameter(name=("--to", "--until"))],
    location: UUID | None = None,
    preview: Preview = False,
    acting: Explaining = FOR_STAFF,
    as_json: AsJson = False,
) -> None:
    """Add one slot beside a doctor's hours, of 5 to 480 minutes, to see one patient more.

    It is opened at once, or with its day. Hours that cover it later replace it; closures, leave
    and blocks close it. The reason is shown to staff, never to patients.

    Parameters
    ----------
    doctor
        Id of the doctor.
    from_
        Time at which it begins, such as 2026-11-23T18:00 on the clinic's clock.
    to
        Time at which it ends.
    location
        Id of the location where it is; the clinic's own address when left out.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        zone = at.clinic.zone
        place = AddedPlace(
            at.services.new_id(),
            at.clinic.id,
            doctor,
            parse_required_instant(from_, zone, "--from"),
            parse_required_instant(to, zone, "--to", end=True),
            acting.reason,
            location_id=location,
        )
        changed = await add_place(at.context, place, preview=preview)
    print_change(
        f"Added place {place.id}",
        "This is a preview of the added place",
        _row(changed.row, zone),
        changed.effect,
        as_json=as_json,
    )


async def list_all(
    *, doctor: UUID | None = None, where: Where = HERE, as_json: AsJson = False
) -> None:
    """List added places that are not over, in the order in which they were entered.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        places = await list_places(at.context, doctor_id=doctor)
    print_rows([_row(each, at.clinic.zone) for each in places], COLUMNS, as_json=as_json)


async def delete(
    place: UUID,
    /,
    *,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Delete an added place, and retire its slot; an appointment in it stays and is listed.

    Parameters
    ----------
    place
        Id of the added place.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        changed = await delete_place(at.context, place, preview=preview)
    print_change(
        f"Deleted place {place}",
        "This is a preview of deleting the added place",
        _row(changed.row, at.clinic.zone),
        changed.effect,
        as_json=as_json,
    )


def _row(place: AddedPlace, zone: ZoneInfo) -> Row:
    return {
        "id": place.id,
        "doctorId": place.doctor_id,
        "from": local(place.starts_at, zone),
        "to": local(place.ends_at, zone),
        "lane": place.lane,
        "locationId": place.location_id,
        "reason": place.reason,
    }

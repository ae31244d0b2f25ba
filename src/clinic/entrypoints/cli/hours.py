"""`clinic hours …`: doctors' hours, from which slots are created."""

from datetime import date, time
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.calendar.availability import Availability, AvailabilityException, end_text
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.entrypoints.cli.time_parsing import (
    WEEKDAYS,
    parse_wall_end,
    parse_wall_time,
    parse_weekdays,
)
from clinic.usecases.calendar import change_hours

COLUMNS = (
    "id",
    "doctorId",
    "kind",
    "days",
    "startTime",
    "endTime",
    "overnight",
    "slotMinutes",
    "capacity",
    "valid",
    "locationId",
)
NOBODY, HERE = Acting(), Where()


async def add(
    doctor: UUID,
    start: str,
    end: str,
    /,
    *,
    weekdays: str | None = None,
    on: date | None = None,
    slot_minutes: int = 30,
    capacity: int = 1,
    valid_from: date | None = None,
    valid_until: date | None = None,
    overnight: Annotated[bool, Parameter(negative="")] = False,
    location: UUID | None = None,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add hours on weekdays or on one date, and open their slots.

    Parameters
    ----------
    doctor
        Id of the doctor.
    start
        Start on the clinic's clock, such as 09:00.
    end
        End on the clinic's clock, such as 12:30; 24:00 is midnight at the end of the day.
    weekdays
        Such as mon-fri or mon,wed.
    on
        One date, such as 2026-11-23, instead of weekdays.
    slot_minutes
        Length of a slot; the hours must be a whole number of slots.
    capacity
        Places at each start, such as 6 for a group.
    valid_from
        First day on which they apply.
    valid_until
        Last day on which they apply.
    overnight
        The end is on the next day, as in 22:00 06:00 --overnight.
    location
        Id of the location where they are; the clinic's own address when left out.
    as_json
        Print JSON.
    """
    if (weekdays is None) == (on is None):
        raise InvalidInput("Give either --weekdays or --on.")
    ends, ends_next_day = parse_wall_end(end, "end")
    async with session(acting) as at:
        hours = Availability(
            at.services.new_id(),
            at.clinic.id,
            doctor,
            parse_wall_time(start, "start"),
            ends,
            slot_minutes,
            weekdays=parse_weekdays(weekdays) if weekdays else (),
            on_date=on,
            valid_from=valid_from,
            valid_until=valid_until,
            overnight=overnight or ends_next_day,
            capacity=capacity,
            location_id=location,
        )
        changed = await change_hours.add_availability(at.context, hours, preview=preview)
    print_change(
        f"Added hours {hours.id}",
        "This is a preview of the hours",
        _hours(changed.row),
        changed.effect,
        as_json=as_json,
    )


async def list_hours(
    *, doctor: UUID | None = None, where: Where = HERE, as_json: AsJson = False
) -> None:
    """List hours and exceptions.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        hours, exceptions = await change_hours.list_availabilities(at.context, doctor_id=doctor)
    rows = [_hours(each) for each in hours] + [_exception(each) for each in exceptions]
    print_rows(rows, COLUMNS, as_json=as_json)


async def delete(
    hours: UUID,
    /,
    *,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Delete hours: their slots are retired, and appointments in them stay and are listed.

    Parameters
    ----------
    hours
        Id of the hours.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        changed = await change_hours.delete_availability(at.context, hours, preview=preview)
    print_change(
        f"Deleted hours {hours}",
        "This is a preview of deleting the hours",
        _hours(changed.row),
        changed.effect,
        as_json=as_json,
    )


def _hours(hours: Availability) -> Row:
    days = ",".join(WEEKDAYS[day - 1] for day in hours.weekdays) or str(hours.on_date)
    bounds = hours.valid_from, hours.valid_until
    valid = " to ".join(str(day) if day else "…" for day in bounds) if any(bounds) else "always"
    values = (
        hours.id,
        hours.doctor_id,
        "DATE" if hours.on_date else "WEEKLY",
        days,
        f"{hours.start:%H:%M}",
        end_text(hours.end, overnight=hours.overnight),
        _is_next_day(hours),
        hours.slot_min,
        hours.capacity,
        valid,
        hours.location_id,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _exception(exception: AvailabilityException) -> Row:
    end = exception.end
    values = (
        exception.id,
        exception.doctor_id,
        exception.kind,
        exception.on_date,
        None if exception.start is None else f"{exception.start:%H:%M}",
        None if end is None else end_text(end, overnight=exception.overnight),
        _is_next_day(exception),
        exception.slot_min,
        exception.capacity,
        "always",
        exception.location_id,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _is_next_day(hours: Availability | AvailabilityException) -> bool:
    """Return whether the end is written as a time of the next day, which 24:00 is not."""
    return hours.overnight and hours.end != time(0)

"""`clinic hours …`: doctors' hours, from which slots are created."""

from datetime import date
from uuid import UUID

from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.rendering import print_effect
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.entrypoints.cli.time_parsing import WEEKDAYS, parse_wall_time, parse_weekdays
from clinic.usecases.calendar import change_hours

COLUMNS = ("id", "doctorId", "kind", "days", "startTime", "endTime", "slotMinutes", "valid")
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
    valid_from: date | None = None,
    valid_until: date | None = None,
    acting: Acting = NOBODY,
) -> None:
    """Add hours on weekdays or on one date, and open their slots.

    Parameters
    ----------
    doctor
        Id of the doctor.
    start
        Start on the clinic's clock, such as 09:00.
    end
        End on the clinic's clock, such as 12:30.
    weekdays
        Such as mon-fri or mon,wed.
    on
        One date, such as 2026-11-23, instead of weekdays.
    slot_minutes
        Length of a slot; the hours must be a whole number of slots.
    valid_from
        First day on which they apply.
    valid_until
        Last day on which they apply.
    """
    if (weekdays is None) == (on is None):
        raise InvalidInput("Give either --weekdays or --on.")
    async with session(acting) as at:
        hours = Availability(
            at.services.new_id(),
            at.clinic.id,
            doctor,
            parse_wall_time(start, "start"),
            parse_wall_time(end, "end"),
            slot_minutes,
            weekdays=parse_weekdays(weekdays) if weekdays else (),
            on_date=on,
            valid_from=valid_from,
            valid_until=valid_until,
        )
        changed = await change_hours.add_availability(at.context, hours)
    print(f"Added hours {hours.id}.")
    print_effect(changed.effect)


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


async def delete(hours: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Delete hours: their slots are retired, and appointments in them stay and are listed.

    Parameters
    ----------
    hours
        Id of the hours.
    """
    async with session(acting) as at:
        changed = await change_hours.delete_availability(at.context, hours)
    print(f"Deleted hours {hours}.")
    print_effect(changed.effect)


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
        f"{hours.end:%H:%M}",
        hours.slot_min,
        valid,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _exception(exception: AvailabilityException) -> Row:
    values = (
        exception.id,
        exception.doctor_id,
        exception.kind,
        exception.on_date,
        f"{exception.start:%H:%M}" if exception.start else None,
        f"{exception.end:%H:%M}" if exception.end else None,
        exception.slot_min,
        "always",
    )
    return dict(zip(COLUMNS, values, strict=True))

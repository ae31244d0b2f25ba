"""Read the schedule: every appointment of a day, or of the days around today, at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.calendar.availability import day_interval
from clinic.domain.clinic import checked_date, zone_named
from clinic.domain.errors import ClinicNotFound, DoctorNotFound, InvalidInput, TooManyRows
from clinic.domain.people.people import scope_of
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import plain_line
from clinic.ports.appointments import AppointmentQuery, ScheduleEntry
from clinic.usecases.context import Context

ROWS_MAX = 5_000
DAYS_BACK = 7


@dataclass(frozen=True, slots=True)
class Schedule:
    """Appointments by (starts_at, id), and the clinic's zone."""

    entries: Sequence[ScheduleEntry]
    zone: ZoneInfo


async def read_schedule(
    context: Context, *, doctor: str | None = None, on_date: date | None = None
) -> Schedule:
    """Return all appointments that the actor may see on one day at the clinic; without `on_date`,
    from seven days ago to the booking horizon. `doctor` is an id, or a name in any case.

    Raises PermissionDenied, ClinicNotFound, DatetimeOutOfRange, DoctorNotFound, InvalidInput when
    several doctors have the name, TooManyRows above 5,000.
    """
    permit(context.actor, Operation.READ_APPOINTMENTS)
    query = AppointmentQuery(
        scope_of(context.actor),
        doctor_id=None if doctor is None else await _doctor_id(context, doctor),
    )
    if on_date is None:
        # The reader applies the horizon, so that without a date one query is enough.
        now = context.clock.now()
        query = replace(query, starts_from=now - timedelta(days=DAYS_BACK), horizon_from=now)
    else:
        day = day_interval(checked_date(on_date, "date"), await _zone(context))
        query = replace(query, starts_from=day.starts_at, starts_before=day.ends_at)
    found = await context.store.appointments.schedule(query, ROWS_MAX + 1)
    if len(found) > ROWS_MAX:
        raise TooManyRows(
            f"There are more than {ROWS_MAX:,} appointments; ask for one doctor or one date.",
            rowsMax=ROWS_MAX,
        )
    return Schedule(found, zone_named(found[0].time_zone if found else "UTC"))


async def _zone(context: Context) -> ZoneInfo:
    clinic = await context.store.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic.zone


def _compared(name: str) -> str:
    # Case folding may give text that is not in NFC, as with a capital I with a dot.
    return plain_line(plain_line(name).casefold())


async def _doctor_id(context: Context, id_or_name: str) -> UUID:
    """Return the id of the doctor with this id or name. Raises DoctorNotFound, InvalidInput."""
    name = _compared(id_or_name)
    doctors = await context.store.people.doctors(context.actor.clinic_id)
    if any(str(each.id) == name for each in doctors):
        return UUID(name)
    bearers = [each.id for each in doctors if _compared(each.name) == name]
    if not bearers:
        raise DoctorNotFound()
    if len(bearers) > 1:
        raise InvalidInput("Several doctors have this name; give the id.", pointer="doctor")
    return bearers[0]

"""Reading everything that doctors' slots follow from, inside a unit of work or outside."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException, Interval
from clinic.domain.calendar.closings import Block, ClosedTime, Leave
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Doctor
from clinic.ports.appointments import AppointmentReader
from clinic.ports.calendars import CalendarReader
from clinic.ports.closings import ClosingReader
from clinic.ports.locations import LocationReader
from clinic.ports.people import PeopleReader
from clinic.ports.resources import ResourceReader
from clinic.usecases.context import Context

R = TypeVar("R", Availability, AvailabilityException, Leave, Block, AddedPlace)


class Reads(Protocol):
    """What planning reads: a store, or a unit of work."""

    @property
    def appointments(self) -> AppointmentReader: ...
    @property
    def calendars(self) -> CalendarReader: ...
    @property
    def closings(self) -> ClosingReader: ...
    @property
    def locations(self) -> LocationReader: ...
    @property
    def people(self) -> PeopleReader: ...
    @property
    def resources(self) -> ResourceReader: ...


async def read_inputs(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    doctors: Sequence[Doctor],
    *,
    since: datetime | None = None,
) -> Mapping[UUID, CalendarInputs]:
    """Return what the slots of each of these doctors follow from, with blocks and places
    that end after `since` (default now).

    Inside a unit of work the doctors must be locked.
    """
    only = doctors[0].id if len(doctors) == 1 else None
    hours = _by_doctor(await reads.calendars.availabilities(clinic.id, only))
    exceptions = _by_doctor(await reads.calendars.exceptions(clinic.id, only))
    closures = tuple(await reads.closings.closures(clinic.id))
    locations = tuple(await reads.locations.all(clinic.id))
    leaves = _by_doctor(await reads.closings.leaves(clinic.id, only))
    since = since or context.clock.now()
    blocks = _by_doctor(await reads.closings.blocks(clinic.id, only, since=since))
    places = _by_doctor(await reads.closings.places(clinic.id, only, since=since))
    return {
        doctor.id: CalendarInputs(
            clinic.zone,
            context.holidays,
            works_here=doctor.works_here,
            last_day=doctor.last_day,
            hours=tuple(hours[doctor.id]),
            exceptions=tuple(exceptions[doctor.id]),
            closures=closures,
            locations=locations,
            leaves=tuple(leaves[doctor.id]),
            blocks=tuple(blocks[doctor.id]),
            places=tuple(places[doctor.id]),
        )
        for doctor in doctors
    }


async def closed_times(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    doctor_ids: Collection[UUID],
    span: Interval,
) -> Mapping[UUID, Sequence[ClosedTime]]:
    """Return when these doctors cannot work because of closures, leave and blocks, around a span,
    by doctor; also where no slots are planned."""
    doctors = [each for each in await reads.people.doctors(clinic.id) if each.id in doctor_ids]
    inputs = await read_inputs(context, reads, clinic, doctors, since=span.starts_at)
    days = clinic.local_date(span.starts_at), clinic.local_date(span.ends_at)
    return {doctor_id: each.closed_times(*days) for doctor_id, each in inputs.items()}


def in_lane(closed: Iterable[ClosedTime], lane: int, location_id: UUID | None) -> list[Interval]:
    """Return the time of those that close this lane at this location."""
    return [time.interval for time in closed if time.closes(lane, location_id)]


def _by_doctor(rows: Sequence[R]) -> Mapping[UUID, list[R]]:
    found: defaultdict[UUID, list[R]] = defaultdict(list)
    for row in rows:
        found[row.doctor_id].append(row)
    return found

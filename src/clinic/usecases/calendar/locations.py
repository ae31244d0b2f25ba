"""Add, change and read the clinic's locations; where public holidays change, slots follow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    ClinicNotFound,
    LocationInUse,
    LocationNameInUse,
    LocationNotFound,
)
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.change_calendar import (
    ClinicDecision,
    Deed,
    carry_out,
    preview_all_doctors,
)
from clinic.usecases.calendar.inputs import Reads
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import Context

#: how many hours, exceptions and places at a location a refusal names
USED_NAMED_MAX = 10
_SAME = "The location is the same as before."
#: what the audit trail calls each field that can change
_FIELDS = {
    "name": "name",
    "address": "address",
    "directions": "directions",
    "phone": "phone",
    "country": "country",
    "subdivision": "subdivision",
    "is_active": "active",
}


@dataclass(frozen=True, slots=True)
class LocationChanged:
    """A location after a change, and what that did to slots where its holidays changed."""

    location: Location
    effect: CalendarEffect | None = None
    #: why nothing was changed
    note: str | None = None


async def add_location(context: Context, location: Location, *, contacts: ContactRules) -> Location:
    """Add a location to the actor's clinic.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused, UnknownHolidayCalendar,
    LocationNameInUse.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> Location:
        clinic = await unit.people.lock_clinic(context.actor.clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        new = contacts.checked_location(location)
        _check(context, clinic, new, await unit.locations.all(clinic.id))
        await unit.locations.add(new)
        fields = [shown for name, shown in _FIELDS.items() if getattr(new, name) is not None]
        detail = {"fields": fields}
        await unit.events.add(context.event("add_location", "location", new.id, detail=detail))
        return new

    return await context.transactions.run(work)


async def change_location(
    context: Context,
    location_id: UUID,
    change: Callable[[Location], Location],
    *,
    contacts: ContactRules,
    preview: bool = False,
) -> LocationChanged:
    """Replace a location with what `change` returns; it may raise to refuse. Other public holidays
    change the slots of all doctors there.

    Raises PermissionDenied, LocationNotFound, InvalidInput, PhoneNumberRefused,
    UnknownHolidayCalendar, LocationNameInUse, LocationInUse.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)
    if preview:
        return await _preview(context, location_id, change, contacts)

    async def work(unit: UnitOfWork) -> LocationChanged:
        clinic = await unit.people.lock_clinic(context.actor.clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        known = await unit.locations.all(clinic.id)
        before = _named(known, location_id)
        new = contacts.checked_location(change(before), before)
        changed = [name for name in _FIELDS if getattr(new, name) != getattr(before, name)]
        if not changed:
            return LocationChanged(before, note=_SAME)
        _check(context, clinic, new, known)
        if before.is_active and not new.is_active:
            await _check_unused(context, unit, clinic, new)
        fields = [_FIELDS[name] for name in changed]
        if not _moves_holidays(before, new):
            await unit.locations.replace(new)
            detail = {"fields": fields}
            event = context.event("change_location", "location", location_id, detail=detail)
            await unit.events.add(event)
            return LocationChanged(new)
        deed = Deed("change_location", "location", location_id)
        effect = await carry_out(context, unit, clinic, deed, _decision(new))
        return LocationChanged(new, effect)

    return await context.transactions.run(work)


async def list_locations(context: Context) -> Sequence[Location]:
    """Return the clinic's locations, inactive ones included, in the order in which they were
    entered. Raises PermissionDenied."""
    permit(context.actor, Operation.READ_CLINIC)
    return await context.store.locations.all(context.actor.clinic_id)


async def read_location(context: Context, location_id: UUID) -> Location:
    """Return one location. Raises PermissionDenied, LocationNotFound."""
    permit(context.actor, Operation.READ_CLINIC)
    found = await context.store.locations.one(context.actor.clinic_id, location_id)
    if found is None:
        raise LocationNotFound()
    return found


async def _preview(
    context: Context,
    location_id: UUID,
    change: Callable[[Location], Location],
    contacts: ContactRules,
) -> LocationChanged:
    store, clinic_id = context.store, context.actor.clinic_id
    clinic = await store.people.clinic(clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    known = await store.locations.all(clinic_id)
    before = _named(known, location_id)
    new = contacts.checked_location(change(before), before)
    if new == before:
        return LocationChanged(before, note=_SAME)
    _check(context, clinic, new, known)
    if before.is_active and not new.is_active:
        await _check_unused(context, store, clinic, new)
    changed = await preview_all_doctors(context, lambda clinic_now, shared: _decision(new))
    return LocationChanged(new, changed.effect)


def _moves_holidays(before: Location, new: Location) -> bool:
    return (before.country, before.subdivision) != (new.country, new.subdivision)


def _decision(new: Location) -> ClinicDecision[Location]:
    def applied(inputs: CalendarInputs) -> CalendarInputs:
        after = tuple(new if one.id == new.id else one for one in inputs.locations)
        return replace(inputs, locations=after)

    return ClinicDecision(new, applied, lambda unit: unit.locations.replace(new))


def _check(context: Context, clinic: Clinic, new: Location, known: Iterable[Location]) -> None:
    if new.country is not None:
        today = clinic.local_date(context.clock.now())
        context.holidays(new.country, new.subdivision, today.year)
    for other in known:
        if other.id != new.id and other.is_active and new.is_active and other.is_called(new.name):
            raise LocationNameInUse(locationId=str(other.id))


async def _check_unused(context: Context, reads: Reads, clinic: Clinic, location: Location) -> None:
    """Raise LocationInUse when hours or added places ahead are at the location."""
    now = context.clock.now()
    today = clinic.local_date(now)
    hours = [
        one
        for one in await reads.calendars.availabilities(clinic.id)
        if (one.on_date or one.valid_until or today) >= today
    ]
    exceptions = [
        one for one in await reads.calendars.exceptions(clinic.id) if one.on_date >= today
    ]
    places = await reads.closings.places(clinic.id, since=now)
    used: dict[str, list[str]] = {}
    found: dict[str, Sequence[Availability | AvailabilityException | AddedPlace]] = {
        "availabilityIds": hours,
        "exceptionIds": exceptions,
        "placeIds": places,
    }
    for name, rows in found.items():
        there = [str(one.id) for one in rows if one.location_id == location.id]
        if there:
            used[name] = there[:USED_NAMED_MAX]
    if used:
        raise LocationInUse(None, **used)


def _named(known: Iterable[Location], location_id: UUID) -> Location:
    for one in known:
        if one.id == location_id:
            return one
    raise LocationNotFound()

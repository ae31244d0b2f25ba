"""Add, change and delete a doctor's hours and their exceptions; the slots follow at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

from clinic.domain.calendar.availability import (
    Availability,
    AvailabilityException,
    check_exception,
    check_not_empty,
    check_overlap,
)
from clinic.domain.calendar.locations import check_location
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.calendar.travel import check_travel
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AvailabilityNotFound,
    DoctorNotFound,
    ExceptionNotFound,
    PermissionDenied,
)
from clinic.domain.people.people import Role
from clinic.domain.permissions import Operation, permit
from clinic.usecases.calendar.align import Days
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.context import Context


async def add_availability(
    context: Context, availability: Availability, *, preview: bool = False
) -> CalendarChanged[Availability]:
    """Add hours and open their slots up to the clinic's horizon.

    Raises DoctorNotFound, PermissionDenied, LocationNotFound, LocationInactive,
    AvailabilityOverlap, TooClose, HoursEmpty.
    """

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Availability]:
        check_location(availability.location_id, inputs.locations)
        check_not_empty(availability, clinic.zone)
        check_overlap(availability, inputs.hours)
        after = replace(inputs, hours=(*inputs.hours, availability))
        _check_travel(context, clinic, availability, after)
        return Decision(
            availability,
            after,
            lambda unit: unit.calendars.add_availability(availability),
            _days_of(availability),
        )

    deed = Deed("add_availability", "availability", availability.id)
    return await change_doctor(context, availability.doctor_id, deed, decide, preview=preview)


async def change_availability(
    context: Context,
    availability_id: UUID,
    change: Callable[[Availability], Availability],
    *,
    preview: bool = False,
) -> CalendarChanged[Availability]:
    """Replace hours with what `change` returns; it may raise to refuse. Slots that no longer
    fit are retired, and appointments that are not within the hours reported.

    Raises AvailabilityNotFound, PermissionDenied, LocationNotFound, LocationInactive,
    AvailabilityOverlap, TooClose, InvalidInput.
    """
    known = await _availability(context, availability_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Availability]:
        before = _named(inputs.hours, availability_id)
        new = change(before)
        if new == before:
            return Decision(new, inputs, note="The hours are the same as before.")
        if new.location_id != before.location_id:
            check_location(new.location_id, inputs.locations)
        check_not_empty(new, clinic.zone)
        check_overlap(new, inputs.hours)
        after = replace(inputs, hours=(*_others(inputs.hours, availability_id), new))
        _check_travel(context, clinic, new, after)
        return Decision(
            new,
            after,
            lambda unit: unit.calendars.replace_availability(new),
            _both(_days_of(before), _days_of(new)),
        )

    deed = Deed("change_availability", "availability", availability_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def delete_availability(
    context: Context, availability_id: UUID, *, preview: bool = False
) -> CalendarChanged[Availability]:
    """Delete hours: their future slots are retired, and appointments in them reported.

    Raises AvailabilityNotFound, PermissionDenied.
    """
    known = await _availability(context, availability_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Availability]:
        gone = _named(inputs.hours, availability_id)
        return Decision(
            gone,
            replace(inputs, hours=_others(inputs.hours, availability_id)),
            lambda unit: unit.calendars.delete_availability(clinic.id, availability_id),
            _days_of(gone),
        )

    deed = Deed("delete_availability", "availability", availability_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def add_exception(
    context: Context, exception: AvailabilityException, *, preview: bool = False
) -> CalendarChanged[AvailabilityException]:
    """Remove or add hours on one day; the slots follow.

    Raises DoctorNotFound, PermissionDenied, LocationNotFound, LocationInactive,
    AvailabilityOverlap, TooClose, HoursEmpty.
    """

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[AvailabilityException]:
        check_location(exception.location_id, inputs.locations)
        check_not_empty(exception, clinic.zone)
        check_exception(exception, inputs.hours, inputs.exceptions, clinic.zone)
        after = replace(inputs, exceptions=(*inputs.exceptions, exception))
        _check_travel(context, clinic, exception, after)
        return Decision(
            exception,
            after,
            lambda unit: unit.calendars.add_exception(exception),
            _around(exception.on_date),
        )

    deed = Deed("add_exception", "availability", exception.id)
    return await change_doctor(context, exception.doctor_id, deed, decide, preview=preview)


async def delete_exception(
    context: Context, exception_id: UUID, *, preview: bool = False
) -> CalendarChanged[AvailabilityException]:
    """Delete an exception; the slots follow. Raises ExceptionNotFound, PermissionDenied."""
    known = await context.store.calendars.exceptions(context.actor.clinic_id)
    doctor_id = next((one.doctor_id for one in known if one.id == exception_id), None)
    if doctor_id is None:
        raise ExceptionNotFound()

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[AvailabilityException]:
        gone = next((one for one in inputs.exceptions if one.id == exception_id), None)
        if gone is None:
            raise ExceptionNotFound()
        left = tuple(one for one in inputs.exceptions if one.id != exception_id)
        return Decision(
            gone,
            replace(inputs, exceptions=left),
            lambda unit: unit.calendars.delete_exception(clinic.id, exception_id),
            _around(gone.on_date),
        )

    deed = Deed("delete_exception", "availability", exception_id)
    return await change_doctor(context, doctor_id, deed, decide, preview=preview)


async def list_availabilities(
    context: Context, *, doctor_id: UUID | None = None
) -> tuple[Sequence[Availability], Sequence[AvailabilityException]]:
    """Return hours and exceptions: doctors see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    doctor_id = await whose_calendar(context, doctor_id)
    hours = await context.store.calendars.availabilities(context.actor.clinic_id, doctor_id)
    exceptions = await context.store.calendars.exceptions(context.actor.clinic_id, doctor_id)
    return hours, exceptions


async def whose_calendar(context: Context, doctor_id: UUID | None) -> UUID | None:
    """Return whose inputs the actor may list who asked for those of `doctor_id`, or of all: doctors
    see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    permit(context.actor, Operation.CHANGE_CALENDAR)
    if context.actor.role is Role.DOCTOR:
        if doctor_id not in (None, context.actor.user_id):
            raise PermissionDenied()
        return context.actor.user_id
    if doctor_id is not None:
        people = context.store.people
        if await people.doctor(context.actor.clinic_id, doctor_id) is None:
            raise DoctorNotFound()
    return doctor_id


def _check_travel(
    context: Context,
    clinic: Clinic,
    new: Availability | AvailabilityException,
    after: CalendarInputs,
) -> None:
    today = clinic.local_date(context.clock.now())
    check_travel(new, after, clinic.policy.travel_min, today)


def _days_of(hours: Availability) -> Days | None:
    """Return the days whose slots these hours make; None are all."""
    return _around(hours.on_date) if hours.on_date is not None else None


def _around(day: date) -> Days:
    """Return the day with the nights around it, which hours may last into."""
    return day - timedelta(days=1), day + timedelta(days=1)


def _both(one: Days | None, two: Days | None) -> Days | None:
    return None if one is None or two is None else (min(one[0], two[0]), max(one[1], two[1]))


async def _availability(context: Context, availability_id: UUID) -> Availability:
    permit(context.actor, Operation.CHANGE_CALENDAR)
    return _named(
        await context.store.calendars.availabilities(context.actor.clinic_id), availability_id
    )


def _named(hours: Sequence[Availability], availability_id: UUID) -> Availability:
    for one in hours:
        if one.id == availability_id:
            return one
    raise AvailabilityNotFound()


def _others(hours: Sequence[Availability], availability_id: UUID) -> tuple[Availability, ...]:
    return tuple(one for one in hours if one.id != availability_id)

"""Add, change and delete a doctor's hours and their exceptions; the slots follow at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from clinic.domain.calendar.availability import (
    Availability,
    AvailabilityException,
    check_exception,
    check_overlap,
)
from clinic.domain.errors import (
    AvailabilityNotFound,
    DoctorNotFound,
    ExceptionNotFound,
    PermissionDenied,
)
from clinic.domain.people.people import Role
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.open_slots import Opened, align_slots, lock_calendar
from clinic.usecases.context import Context

H = TypeVar("H", Availability, AvailabilityException)


@dataclass(frozen=True, slots=True)
class HoursChanged(Generic[H]):
    """The hours (or exception) as written or deleted, and what happened to the slots."""

    hours: H
    opened: Opened


async def add_availability(
    context: Context, availability: Availability
) -> HoursChanged[Availability]:
    """Add hours and open their slots up to the clinic's horizon.

    Raises DoctorNotFound, PermissionDenied, AvailabilityOverlap.
    """

    async def write(unit: UnitOfWork) -> Availability:
        hours = await unit.calendars.availabilities(context.actor.clinic_id, availability.doctor_id)
        check_overlap(availability, hours)
        await unit.calendars.add_availability(availability)
        return availability

    doctor_id = availability.doctor_id
    return await _change(context, write, doctor_id, "add_availability")


async def change_availability(
    context: Context, availability_id: UUID, change: Callable[[Availability], Availability]
) -> HoursChanged[Availability]:
    """Replace hours with what `change` returns; it may raise to refuse. Slots that no longer
    fit are retired, and appointments that are not within the hours reported.

    Raises AvailabilityNotFound, PermissionDenied, AvailabilityOverlap, InvalidInput.
    """
    known = await _availability(context, availability_id)

    async def write(unit: UnitOfWork) -> Availability:
        hours = await unit.calendars.availabilities(context.actor.clinic_id, known.doctor_id)
        new = change(_named(hours, availability_id))
        check_overlap(new, hours)
        await unit.calendars.replace_availability(new)
        return new

    return await _change(context, write, known.doctor_id, "change_availability")


async def delete_availability(
    context: Context, availability_id: UUID
) -> HoursChanged[Availability]:
    """Delete hours: their future slots are retired, and appointments in them reported.

    Raises AvailabilityNotFound, PermissionDenied.
    """
    known = await _availability(context, availability_id)

    async def write(unit: UnitOfWork) -> Availability:
        await unit.calendars.delete_availability(context.actor.clinic_id, availability_id)
        return known

    return await _change(context, write, known.doctor_id, "delete_availability")


async def add_exception(
    context: Context, exception: AvailabilityException
) -> HoursChanged[AvailabilityException]:
    """Remove or add hours on one day; the slots follow.

    Raises DoctorNotFound, PermissionDenied, AvailabilityOverlap.
    """

    async def write(unit: UnitOfWork) -> AvailabilityException:
        clinic_id, doctor_id = context.actor.clinic_id, exception.doctor_id
        clinic = await unit.people.clinic(clinic_id)
        assert clinic is not None
        check_exception(
            exception,
            await unit.calendars.availabilities(clinic_id, doctor_id),
            await unit.calendars.exceptions(clinic_id, doctor_id),
            clinic.zone,
        )
        await unit.calendars.add_exception(exception)
        return exception

    return await _change(context, write, exception.doctor_id, "add_exception")


async def delete_exception(
    context: Context, exception_id: UUID
) -> HoursChanged[AvailabilityException]:
    """Delete an exception; the slots follow. Raises ExceptionNotFound, PermissionDenied."""
    for known in await context.store.calendars.exceptions(context.actor.clinic_id):
        if known.id == exception_id:
            break
    else:
        raise ExceptionNotFound()

    async def write(unit: UnitOfWork) -> AvailabilityException:
        await unit.calendars.delete_exception(context.actor.clinic_id, exception_id)
        return known

    return await _change(context, write, known.doctor_id, "delete_exception")


async def list_availabilities(
    context: Context, *, doctor_id: UUID | None = None
) -> tuple[Sequence[Availability], Sequence[AvailabilityException]]:
    """Return hours and exceptions: doctors see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    permit(context.actor, Operation.CHANGE_CALENDAR)
    if context.actor.role is Role.DOCTOR:
        if doctor_id not in (None, context.actor.user_id):
            raise PermissionDenied()
        doctor_id = context.actor.user_id
    hours = await context.store.calendars.availabilities(context.actor.clinic_id, doctor_id)
    exceptions = await context.store.calendars.exceptions(context.actor.clinic_id, doctor_id)
    if doctor_id is not None and not (hours or exceptions):
        await _check_doctor(context, doctor_id)
    return hours, exceptions


async def _change(
    context: Context, write: Callable[[UnitOfWork], Awaitable[H]], doctor_id: UUID, action: str
) -> HoursChanged[H]:
    """Run `write` with the doctor's calendar locked, then align the slots with the new hours."""

    async def work(unit: UnitOfWork) -> HoursChanged[H]:
        clinic, doctor = await lock_calendar(context, unit, doctor_id)
        hours = await write(unit)
        opened = await align_slots(context, unit, clinic=clinic, doctor=doctor)
        detail = {"doctor": str(doctor_id), "added": opened.added, "retired": opened.retired}
        await unit.events.add(context.event(action, "availability", hours.id, detail=detail))
        return HoursChanged(hours, opened)

    return await context.transactions.run(work)


async def _availability(context: Context, availability_id: UUID) -> Availability:
    permit(context.actor, Operation.CHANGE_CALENDAR)
    return _named(
        await context.store.calendars.availabilities(context.actor.clinic_id), availability_id
    )


async def _check_doctor(context: Context, doctor_id: UUID) -> None:
    if await context.store.people.doctor(context.actor.clinic_id, doctor_id) is None:
        raise DoctorNotFound()


def _named(hours: Sequence[Availability], availability_id: UUID) -> Availability:
    for one in hours:
        if one.id == availability_id:
            return one
    raise AvailabilityNotFound()

"""Add, change and delete a doctor's hours and their exceptions; the slots follow at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from clinic.domain.audit import event_by
from clinic.domain.availability import (
    Availability,
    AvailabilityException,
    check_addition,
    check_overlap,
)
from clinic.domain.errors import (
    AvailabilityNotFound,
    DoctorNotFound,
    ExceptionNotFound,
    PermissionDenied,
)
from clinic.domain.people import Actor, Role
from clinic.domain.permissions import Operation, permit
from clinic.ports.calendars import CalendarReader
from clinic.ports.clock import Clock, IdSource
from clinic.ports.people import PeopleReader
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.open_slots import Opened, align_slots, lock_calendar
from clinic.usecases.transactions import Commits

H = TypeVar("H", Availability, AvailabilityException)


@dataclass(frozen=True, slots=True)
class HoursChanged(Generic[H]):
    """The hours (or exception) as written or deleted, and what happened to the slots."""

    hours: H
    opened: Opened


async def add_availability(
    availability: Availability,
    *,
    transactions: Commits[HoursChanged[Availability]],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> HoursChanged[Availability]:
    """Add hours and open their slots up to the clinic's horizon.

    Raises DoctorNotFound, PermissionDenied, AvailabilityOverlap.
    """

    async def write(unit: UnitOfWork) -> Availability:
        hours = await unit.calendars.availabilities(actor.clinic_id, availability.doctor_id)
        check_overlap(availability, hours)
        await unit.calendars.add_availability(availability)
        return availability

    doctor_id = availability.doctor_id
    return await _change(
        write, doctor_id, "add_availability", transactions, clock, new_id, actor, reason
    )


async def change_availability(
    availability_id: UUID,
    change: Callable[[Availability], Availability],
    *,
    transactions: Commits[HoursChanged[Availability]],
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> HoursChanged[Availability]:
    """Make of hours what `change` makes of them, which may refuse: untaken slots that no longer fit
    are retired, taken ones reported.

    Raises AvailabilityNotFound, PermissionDenied, AvailabilityOverlap, InvalidInput.
    """
    known = await _availability(calendars, actor, availability_id)

    async def write(unit: UnitOfWork) -> Availability:
        hours = await unit.calendars.availabilities(actor.clinic_id, known.doctor_id)
        new = change(_named(hours, availability_id))
        check_overlap(new, hours)
        await unit.calendars.replace_availability(new)
        return new

    return await _change(
        write, known.doctor_id, "change_availability", transactions, clock, new_id, actor, reason
    )


async def delete_availability(
    availability_id: UUID,
    *,
    transactions: Commits[HoursChanged[Availability]],
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> HoursChanged[Availability]:
    """Delete hours: their untaken future slots are retired, taken ones reported and blocked.

    Raises AvailabilityNotFound, PermissionDenied.
    """
    known = await _availability(calendars, actor, availability_id)

    async def write(unit: UnitOfWork) -> Availability:
        await unit.calendars.delete_availability(actor.clinic_id, availability_id)
        return known

    return await _change(
        write, known.doctor_id, "delete_availability", transactions, clock, new_id, actor, reason
    )


async def add_exception(
    exception: AvailabilityException,
    *,
    transactions: Commits[HoursChanged[AvailabilityException]],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> HoursChanged[AvailabilityException]:
    """Remove or add hours on one day; the slots follow.

    Raises DoctorNotFound, PermissionDenied, AvailabilityOverlap.
    """

    async def write(unit: UnitOfWork) -> AvailabilityException:
        check_addition(
            exception,
            await unit.calendars.availabilities(actor.clinic_id, exception.doctor_id),
            await unit.calendars.exceptions(actor.clinic_id, exception.doctor_id),
        )
        await unit.calendars.add_exception(exception)
        return exception

    return await _change(
        write, exception.doctor_id, "add_exception", transactions, clock, new_id, actor, reason
    )


async def delete_exception(
    exception_id: UUID,
    *,
    transactions: Commits[HoursChanged[AvailabilityException]],
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> HoursChanged[AvailabilityException]:
    """Take an exception back; the slots follow. Raises ExceptionNotFound, PermissionDenied."""
    for known in await calendars.exceptions(actor.clinic_id):
        if known.id == exception_id:
            break
    else:
        raise ExceptionNotFound()

    async def write(unit: UnitOfWork) -> AvailabilityException:
        await unit.calendars.delete_exception(actor.clinic_id, exception_id)
        return known

    return await _change(
        write, known.doctor_id, "delete_exception", transactions, clock, new_id, actor, reason
    )


async def list_availabilities(
    *,
    calendars: CalendarReader,
    people: PeopleReader,
    actor: Actor,
    doctor_id: UUID | None = None,
) -> tuple[Sequence[Availability], Sequence[AvailabilityException]]:
    """Return hours and exceptions: doctors see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    permit(actor, Operation.CHANGE_CALENDAR)
    if actor.role is Role.DOCTOR:
        if doctor_id not in (None, actor.user_id):
            raise PermissionDenied()
        doctor_id = actor.user_id
    hours = await calendars.availabilities(actor.clinic_id, doctor_id)
    exceptions = await calendars.exceptions(actor.clinic_id, doctor_id)
    if doctor_id is not None and not (hours or exceptions):
        await _check_doctor(people, actor, doctor_id)
    return hours, exceptions


async def _change(
    write: Callable[[UnitOfWork], Awaitable[H]],
    doctor_id: UUID,
    action: str,
    transactions: Commits[HoursChanged[H]],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None,
) -> HoursChanged[H]:
    """Run `write` with the doctor's calendar locked, then let the slots follow the new hours."""

    async def work(unit: UnitOfWork) -> HoursChanged[H]:
        clinic, doctor = await lock_calendar(unit, actor, doctor_id)
        hours = await write(unit)
        opened = await align_slots(unit, clinic=clinic, doctor=doctor, clock=clock, new_id=new_id)
        detail = {"doctor": str(doctor_id), "added": opened.added, "retired": opened.retired}
        await unit.events.add(
            event_by(
                actor,
                action,
                "availability",
                hours.id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
                detail=detail,
            )
        )
        return HoursChanged(hours, opened)

    return await transactions.run(work)


async def _availability(
    calendars: CalendarReader, actor: Actor, availability_id: UUID
) -> Availability:
    permit(actor, Operation.CHANGE_CALENDAR)
    return _named(await calendars.availabilities(actor.clinic_id), availability_id)


async def _check_doctor(people: PeopleReader, actor: Actor, doctor_id: UUID) -> None:
    if await people.doctor(actor.clinic_id, doctor_id) is None:
        raise DoctorNotFound()


def _named(hours: Sequence[Availability], availability_id: UUID) -> Availability:
    for one in hours:
        if one.id == availability_id:
            return one
    raise AvailabilityNotFound()

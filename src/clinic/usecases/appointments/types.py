"""Add, change and read the clinic's types of appointments."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from clinic.domain.appointments.resources import known_kind
from clinic.domain.appointments.types import TYPES_MAX, AppointmentType, check_fits
from clinic.domain.calendar.availability import (
    SLOT_MAX_MIN,
    Availability,
    AvailabilityException,
    longest_stretch_min,
)
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AppointmentTypeNotFound,
    ClinicNotFound,
    DefaultTypeTaken,
    DoctorNotFound,
    NoSuchResource,
    TooManyTypes,
    TypeNameInUse,
)
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context

_SAME = "The type is the same as before."
#: what the audit trail calls each field that can change
_FIELDS = {
    "name": "name",
    "visible_min": "visibleMin",
    "before_min": "beforeMin",
    "after_min": "afterMin",
    "notice_min": "noticeMin",
    "horizon_days": "horizonDays",
    "bookable_by": "bookableBy",
    "offered_by": "offeredBy",
    "instructions": "instructions",
    "color": "color",
    "needs": "needs",
    "is_default": "default",
    "is_active": "active",
}
#: the fields that whether a type fits into doctors' hours depends on
_FITTING = frozenset({"visible_min", "offered_by", "is_active"})
#: those that whether it can get what it needs depends on
_NEEDING = frozenset({"needs", "is_active"})


@dataclass(frozen=True, slots=True)
class TypeChanged:
    """A type after a change."""

    type: AppointmentType
    #: why nothing was changed
    note: str | None = None


async def add_type(context: Context, type: AppointmentType) -> AppointmentType:
    """Add a type of appointment to the actor's clinic.

    Raises PermissionDenied, DoctorNotFound, TypeNameInUse, DefaultTypeTaken, TooManyTypes,
    TypeTooLong, NoSuchResource.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> AppointmentType:
        clinic = await _locked(context, unit)
        await _check(context, unit, clinic, type, _FITTING)
        new = await _with_known_kinds(unit, type, _NEEDING)
        await unit.appointment_types.add(new)
        fields = [shown for name, shown in _FIELDS.items() if getattr(new, name) not in (None, ())]
        event = context.event("add_type", "appointment_type", new.id, detail={"fields": fields})
        await unit.events.add(event)
        return new

    return await context.transactions.run(work)


async def change_type(
    context: Context, type_id: UUID, change: Callable[[AppointmentType], AppointmentType]
) -> TypeChanged:
    """Replace a type with what `change` returns; it may raise to refuse. Appointments that were
    booked keep the name and the length that they have.

    Raises PermissionDenied, AppointmentTypeNotFound, InvalidInput, DoctorNotFound, TypeNameInUse,
    DefaultTypeTaken, TooManyTypes, TypeTooLong, NoSuchResource.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> TypeChanged:
        clinic = await _locked(context, unit)
        before = await unit.appointment_types.one(clinic.id, type_id)
        if before is None:
            raise AppointmentTypeNotFound()
        new = change(before)
        changed = [name for name in _FIELDS if getattr(new, name) != getattr(before, name)]
        if not changed:
            return TypeChanged(before, _SAME)
        await _check(context, unit, clinic, new, changed)
        new = await _with_known_kinds(unit, new, changed)
        await unit.appointment_types.replace(new)
        detail = {"fields": [_FIELDS[name] for name in changed]}
        event = context.event("change_type", "appointment_type", type_id, detail=detail)
        await unit.events.add(event)
        return TypeChanged(new)

    return await context.transactions.run(work)


async def list_types(context: Context) -> Sequence[AppointmentType]:
    """Return the clinic's types, in the order in which they were entered: to patients those that
    patients may book, to staff all. Raises PermissionDenied."""
    permit(context.actor, Operation.READ_CLINIC)
    types = await context.store.appointment_types.all(context.actor.clinic_id)
    return [type for type in types if type.is_shown_to(context.actor.role)]


async def read_type(context: Context, type_id: UUID) -> AppointmentType:
    """Return one of those that `list_types` returns.

    Raises PermissionDenied, AppointmentTypeNotFound.
    """
    permit(context.actor, Operation.READ_CLINIC)
    type = await context.store.appointment_types.one(context.actor.clinic_id, type_id)
    if type is None or not type.is_shown_to(context.actor.role):
        raise AppointmentTypeNotFound()
    return type


async def _locked(context: Context, unit: UnitOfWork) -> Clinic:
    clinic = await unit.people.lock_clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic


async def _check(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    new: AppointmentType,
    changed: Iterable[str],
) -> None:
    """Check a type against the clinic's doctors and its other types."""
    doctors = await unit.people.doctors(clinic.id)
    known = {doctor.id for doctor in doctors}
    for offer in new.offered_by or ():
        if offer.doctor_id not in known:
            raise DoctorNotFound(doctorId=str(offer.doctor_id))
    if not new.is_active:
        return
    others = [
        other
        for other in await unit.appointment_types.all(clinic.id)
        if other.is_active and other.id != new.id
    ]
    if len(others) >= TYPES_MAX:
        raise TooManyTypes(most=TYPES_MAX)
    for other in others:
        if other.is_called(new.name):
            raise TypeNameInUse(typeId=str(other.id))
        if new.is_default and other.is_default:
            raise DefaultTypeTaken(typeId=str(other.id))
    if not _FITTING.isdisjoint(changed):
        today = clinic.local_date(context.clock.now())
        present = [doctor.id for doctor in doctors if not doctor.has_left(today)]
        check_fits(new, await _stretches_min(unit, clinic.id, present, today))


async def _with_known_kinds(
    unit: UnitOfWork, new: AppointmentType, changed: Iterable[str]
) -> AppointmentType:
    """Return the type with the kinds that it needs as resources of the clinic spell them.

    Raises NoSuchResource for a kind of which an active type has no active resource.
    """
    if not new.needs or _NEEDING.isdisjoint(changed):
        return new
    resources = await unit.resources.all(new.clinic_id)
    active = [each for each in resources if each.is_active]
    if new.is_active:
        for place, kind in enumerate(new.needs):
            if known_kind(kind, active) is None:
                raise NoSuchResource(pointer=f"/needs/{place}", kind=kind)
    return replace(new, needs=tuple(known_kind(kind, resources) or kind for kind in new.needs))


async def _stretches_min(
    unit: UnitOfWork, clinic_id: UUID, doctor_ids: Iterable[UUID], today: date
) -> Mapping[UUID, int]:
    """Return the longest stretch of hours of each of these doctors, in minutes."""
    hours: defaultdict[UUID, list[Availability]] = defaultdict(list)
    for each in await unit.calendars.availabilities(clinic_id):
        hours[each.doctor_id].append(each)
    added: defaultdict[UUID, list[AvailabilityException]] = defaultdict(list)
    for exception in await unit.calendars.exceptions(clinic_id):
        added[exception.doctor_id].append(exception)
    return {
        one: longest_stretch_min(hours[one], added[one], today, enough_min=SLOT_MAX_MIN)
        for one in doctor_ids
    }

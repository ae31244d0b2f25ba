"""Change an appointment's status or slot, or swap the slots of two appointments."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, AppointmentView, Change, Status
from clinic.domain.appointments.changes import (
    as_moved,
    decide_move,
    decide_status,
    decide_swap,
    place_in,
)
from clinic.domain.appointments.transitions import already_there, check_version
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AppointmentNotFound,
    ClinicNotFound,
    DoesNotFit,
    InvalidInput,
    NotSwappable,
    SlotTaken,
)
from clinic.domain.people.people import Scope, scope_of
from clinic.ports.appointments import Locked
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.find_places import nearest_places
from clinic.usecases.calendar.inputs import closed_times
from clinic.usecases.context import Context


async def change_status(
    context: Context, appointment_id: UUID, *, to: Status, expected_version: int | None = None
) -> AppointmentView:
    """Return the appointment in status `to`: confirm, arrive, complete, no-show, cancel.

    Repeated by the same actor, it changes nothing, whatever the expected version. Raises
    AppointmentNotFound, VersionMismatch, PermissionDenied, TransitionNotAllowed,
    InsideCancelNotice, TooEarly.
    """
    scope = scope_of(context.actor)

    async def work(unit: UnitOfWork) -> AppointmentView:
        locked = await unit.appointments.lock(scope, [appointment_id])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        if not already_there(before, to, context.actor):
            check_version(before, expected_version)
            change = decide_status(
                before,
                to,
                actor=context.actor,
                clinic=await _clinic(context, unit),
                reason=context.reason,
                now=context.clock.now(),
                new_id=context.new_id,
            )
            await unit.appointments.apply([change])
        return await _read(unit, scope, appointment_id)

    return await context.transactions.run(work)


async def reschedule(
    context: Context,
    appointment_id: UUID,
    *,
    slot_id: UUID,
    override: bool = False,
    expected_version: int | None = None,
) -> AppointmentView:
    """Return the appointment moved so that it begins in `slot_id`, with the same id.

    Raises AppointmentNotFound, VersionMismatch, SlotNotFound, PermissionDenied,
    TransitionNotAllowed, PolicyRefused, SameSlot, NotOffered, SlotBlocked, SlotTaken and
    DoesNotFit (with `nearest`), PatientBusy.
    """
    scope = scope_of(context.actor)

    async def work(unit: UnitOfWork) -> AppointmentView:
        around = await _slots_there(unit, scope, appointment_id, slot_id)
        locked = await unit.appointments.lock(scope, [appointment_id], [slot_id, *around])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        check_version(before, expected_version)
        clinic = await _clinic(context, unit)
        kind = await _type_of(unit, before)
        closed = await _closed_there(context, unit, clinic, before, locked.slots.get(slot_id))
        try:
            change = decide_move(
                before,
                locked.slots.get(slot_id),
                actor=context.actor,
                clinic=clinic,
                reason=context.reason,
                override=override,
                now=context.clock.now(),
                new_id=context.new_id,
                kind=kind,
                around=[locked.slots[each] for each in around if each in locked.slots],
                closed=closed,
            )
        except (SlotTaken, DoesNotFit) as error:
            slot = locked.slots[slot_id]
            raise await _with_nearest(context, unit, clinic, slot, before, kind, error) from None
        await unit.appointments.apply([change])
        return await _read(unit, scope, appointment_id)

    return await context.transactions.run(work)


async def _with_nearest(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    slot: Slot,
    before: Appointment,
    kind: AppointmentType | None,
    error: SlotTaken | DoesNotFit,
) -> SlotTaken | DoesNotFit:
    """Return `error` with the nearest slots in which the appointment would fit instead."""
    like_it = None if kind is None else as_moved(before, kind)
    nearest = await nearest_places(context, unit, clinic, slot, like_it)
    return type(error)(error.message, nearest=tuple(nearest), zone=clinic.zone)


async def swap(
    context: Context, appointment_ids: Sequence[UUID]
) -> tuple[AppointmentView, AppointmentView]:
    """Return two appointments after exchanging their places, in the order of `appointment_ids`.

    Raises InvalidInput, AppointmentNotFound, PermissionDenied, NotSwappable, PolicyRefused,
    SlotBlocked, PatientBusy.
    """
    if len(appointment_ids) != 2:
        raise InvalidInput("Name two appointments.", pointer="/appointmentIds")
    one, two = appointment_ids
    scope = scope_of(context.actor)

    async def work(unit: UnitOfWork) -> tuple[AppointmentView, AppointmentView]:
        around = await _slots_of_places(unit, scope, one, two)
        locked = await unit.appointments.lock(scope, [one, two], around)
        clinic = await _clinic(context, unit)
        kinds = {
            each.id: kind
            for each in locked.appointments.values()
            if (kind := await _type_of(unit, each)) is not None
        }
        closed = await _closed_after_swap(context, unit, clinic, locked)
        changes = _swapped(context, locked, one, two, clinic, kinds, closed)
        try:
            await unit.appointments.apply(changes)
        except SlotTaken:
            raise NotSwappable("One of them does not fit at the other's place.") from None
        return await _read(unit, scope, one), await _read(unit, scope, two)

    return await context.transactions.run(work)


def _swapped(
    context: Context,
    locked: Locked,
    one: UUID,
    two: UUID,
    clinic: Clinic,
    kinds: Mapping[UUID, AppointmentType],
    closed: Mapping[UUID, Sequence[Interval]],
) -> tuple[Change, Change]:
    a, b = locked.appointments.get(one), locked.appointments.get(two)
    if a is None or b is None:
        raise AppointmentNotFound(appointmentId=str(one if a is None else two))
    return decide_swap(
        (a, locked.slots[a.slot_id]),
        (b, locked.slots[b.slot_id]),
        actor=context.actor,
        clinic=clinic,
        reason=context.reason,
        now=context.clock.now(),
        new_id=context.new_id,
        kinds=kinds,
        closed=closed,
    )


async def _closed_after_swap(
    context: Context, unit: UnitOfWork, clinic: Clinic, locked: Locked
) -> Mapping[UUID, Sequence[Interval]]:
    """Return what is closed around each appointment at the other's place, by its id."""
    found = [*locked.appointments.values()]
    return {
        each.id: await _closed_there(context, unit, clinic, each, locked.slots[other.slot_id])
        for each, other in zip(found, reversed(found), strict=True)
    }


async def _slots_there(
    unit: UnitOfWork, scope: Scope, appointment_id: UUID, slot_id: UUID
) -> Sequence[UUID]:
    """Return the slots that the appointment would take if it began in this one; empty when it has
    no type, and takes that slot alone. With buffers, locks the doctor there: no slot may be added
    meanwhile where they reach."""
    seen = await unit.appointments.get(scope, appointment_id)
    target = await unit.calendars.slot(scope.clinic_id, slot_id)
    if seen is None or seen.appointment.type_id is None or target is None:
        return ()
    there = place_in(seen.appointment, target.slot)
    if there.before_min or there.after_min:
        await unit.calendars.lock_doctor(scope.clinic_id, there.doctor_id)
    busy = there.busy
    slots = await unit.calendars.slots_between(
        scope.clinic_id, [there.doctor_id], busy.starts_at, busy.ends_at
    )
    return [slot.id for slot in slots]


async def _closed_there(
    context: Context, unit: UnitOfWork, clinic: Clinic, before: Appointment, slot: Slot | None
) -> Sequence[Interval]:
    """Return what is closed around the appointment's place in this slot, if it has buffers."""
    if slot is None or not (before.before_min or before.after_min):
        return ()
    busy = place_in(before, slot).busy
    closed = await closed_times(context, unit, clinic, [slot.doctor_id], busy)
    return closed.get(slot.doctor_id, ())


async def _slots_of_places(unit: UnitOfWork, scope: Scope, one: UUID, two: UUID) -> Sequence[UUID]:
    """Return the slots that two appointments would take at each other's place, doctors locked by
    id where one has buffers."""
    seen = [await unit.appointments.get(scope, each) for each in (one, two)]
    a, b = (None if view is None else view.appointment for view in seen)
    if a is None or b is None:
        return ()
    found: list[UUID] = []
    for each, other in sorted(((a, b), (b, a)), key=lambda pair: pair[1].doctor_id):
        found += await _slots_there(unit, scope, each.id, other.slot_id)
    return found


async def _type_of(unit: UnitOfWork, appointment: Appointment) -> AppointmentType | None:
    if appointment.type_id is None:
        return None
    return await unit.appointment_types.one(appointment.clinic_id, appointment.type_id)


async def _clinic(context: Context, unit: UnitOfWork) -> Clinic:
    clinic = await unit.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic


async def _read(unit: UnitOfWork, scope: Scope, appointment_id: UUID) -> AppointmentView:
    # A doctor who has moved an appointment to another doctor may still see the result.
    view = await unit.appointments.get(Scope(scope.clinic_id), appointment_id)
    assert view is not None
    return view

"""Change an appointment's status or slot, or swap the slots of two appointments."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, AppointmentView, Change, Status
from clinic.domain.appointments.changes import (
    as_moved,
    decide_move,
    decide_status,
    decide_swap,
    place_in,
)
from clinic.domain.appointments.fitting import obstacles, others_at
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import Surroundings
from clinic.domain.appointments.transitions import already_there, check_version
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.appointments.undoing import (
    Place,
    decide_return,
    earlier_status,
    is_undo,
)
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.errors import (
    AppointmentNotFound,
    ClinicNotFound,
    DoesNotFit,
    InvalidInput,
    NoResourceFree,
    NotSwappable,
    SlotBlocked,
    SlotTaken,
    TransactionAborted,
    TransitionNotAllowed,
)
from clinic.domain.people.people import Scope, scope_of
from clinic.ports.appointments import Locked
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.appointments.freed_places import Leaving
from clinic.usecases.appointments.surroundings import in_turn_for, surroundings
from clinic.usecases.appointments.undo import keep_place_free, undone
from clinic.usecases.calendar.explain_slots import blockers_at
from clinic.usecases.calendar.find_places import nearest_places
from clinic.usecases.context import Context

#: an appointment, and the slot that it begins in
Placed = tuple[Appointment, Slot]


async def change_status(
    context: Context,
    appointment_id: UUID,
    *,
    to: Status,
    override: bool = False,
    expected_version: int | None = None,
) -> AppointmentView:
    """Return the appointment in status `to`: confirm, arrive, complete, no-show, cancel; or back in
    an earlier one, which undoes such a change.

    Repeated by the same actor, it changes nothing, whatever the expected version. `override` lets
    staff undo a cancellation whatever the limits on the patient's appointments. Raises
    AppointmentNotFound, VersionMismatch, PermissionDenied, TransitionNotAllowed,
    InsideCancelNotice, TooEarly, TooLateToUndo; undoing a cancellation, also PatientDisabled,
    SlotInPast, TooManyOpenAppointments, TooManyWithDoctor, SlotBlocked, SlotTaken and DoesNotFit
    (with `nearest`), PatientBusy.
    """
    scope = scope_of(context.actor)

    async def work(unit: UnitOfWork, leaving: Leaving) -> AppointmentView:
        patient_open = None
        if to is Status.BOOKED:
            patient_open = await keep_place_free(unit, scope, appointment_id)
        locked = await unit.appointments.lock(scope, [appointment_id])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        if not already_there(before, to, context.actor):
            check_version(before, expected_version)
            clinic = await _clinic(context, unit)
            if not is_undo(before, to):
                change = decide_status(
                    before,
                    to,
                    actor=context.actor,
                    clinic=clinic,
                    reason=context.reason,
                    now=context.clock.now(),
                    new_id=context.new_id,
                )
            elif before.status is Status.CANCELLED:
                change = await _returned(
                    context, unit, clinic, before, locked, patient_open, override=override
                )
            else:
                change = await undone(context, unit, clinic, before, to)
            await unit.appointments.apply([change])
            if change.frees is not None:
                await leaving.follow(unit, before)
        return await _read(unit, scope, appointment_id)

    return await Leaving(context).run(work)


async def undo_status(
    context: Context, appointment_id: UUID, *, override: bool = False
) -> AppointmentView:
    """Return the appointment in the status that it had before the last one; a cancelled one is
    booked again.

    Raises as `change_status` does.
    """
    scope = scope_of(context.actor)
    view = await context.store.appointments.get(scope, appointment_id)
    if view is None:
        raise AppointmentNotFound()
    it = view.appointment
    to = Status.BOOKED
    if it.status is not Status.CANCELLED:
        earlier = earlier_status(await context.store.appointments.trail(scope, appointment_id))
        to = it.status if earlier is None else earlier.status
    if not is_undo(it, to):
        raise TransitionNotAllowed(
            f"An appointment that is {it.status} has nothing to take back.",
            **{"from": it.status.value, "allowed": []},
        )
    return await change_status(
        context, appointment_id, to=to, override=override, expected_version=it.version
    )


async def _returned(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    before: Appointment,
    locked: Locked,
    patient_open: bool | None,
    *,
    override: bool,
) -> Change:
    """Return the change that books the locked, cancelled appointment again; a refusal names the
    nearest slots that could be booked instead."""
    if patient_open is None:
        # It was cancelled after the unit looked, so its patient and doctor are not locked.
        raise TransactionAborted()
    slot = locked.slots[before.slot_id]
    found = await _around(context, unit, clinic, before, before)
    around = replace(found, slots=[*locked.slots.values()])
    brakes = None
    if not override:
        brakes = await unit.appointments.brakes(clinic, before.patient_id, slot)
    try:
        return decide_return(
            before,
            Place(slot, around, patient_open, brakes),
            actor=context.actor,
            clinic=clinic,
            reason=context.reason,
            override=override,
            now=context.clock.now(),
            new_id=context.new_id,
        )
    except (SlotTaken, DoesNotFit) as error:
        kind = await _type_of(unit, before)
        raise await _with_nearest(context, unit, clinic, slot, before, kind, error) from None


async def reschedule(
    context: Context,
    appointment_id: UUID,
    *,
    slot_id: UUID,
    override: bool = False,
    expected_version: int | None = None,
) -> AppointmentView:
    """Return the appointment moved so that it begins in `slot_id`, with the same id; where that is
    taken, in another slot of the same doctor, start and length.

    Raises AppointmentNotFound, VersionMismatch, SlotNotFound, PermissionDenied,
    TransitionNotAllowed, PolicyRefused, SameSlot, NotOffered, SlotBlocked, SlotTaken and
    DoesNotFit and NoResourceFree (with `nearest`), PatientBusy.
    """
    scope = scope_of(context.actor)

    async def work(unit: UnitOfWork, leaving: Leaving) -> AppointmentView:
        to_id = slot_id
        around: Sequence[UUID] = ()
        if (asked := await _asked_for(unit, scope, appointment_id, slot_id)) is not None:
            to = await _lane_there(unit, *asked)
            to_id, around = to.id, await _slots_there(unit, asked[0], to)
        locked = await unit.appointments.lock(scope, [appointment_id], [to_id, *around])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        check_version(before, expected_version)
        clinic = await _clinic(context, unit)
        kind = await _type_of(unit, before)
        slot = locked.slots.get(to_id)
        decide = partial(
            decide_move,
            before,
            slot,
            actor=context.actor,
            clinic=clinic,
            reason=context.reason,
            override=override,
            now=context.clock.now(),
            new_id=context.new_id,
            kind=kind,
            around=[locked.slots[each] for each in around if each in locked.slots],
        )
        if slot is not None and kind is not None and kind.needs:
            decide = partial(decide, resources=await _resources_there(unit, before, kind, slot))
        if slot is not None and not override:
            brakes = await _brakes_there(unit, clinic, before, slot)
            decide = partial(decide, brakes=brakes)
        if slot is not None and before.has_buffers:
            there = await _around(context, unit, clinic, before, place_in(before, slot))
            decide = partial(decide, closed=there.closed, busy=there.busy)
        try:
            change = decide()
        except SlotBlocked:
            assert slot is not None
            visible, slots = place_in(before, slot).visible, [*locked.slots.values()]
            # Asked again, to be refused with the reason.
            decide(blockers=await blockers_at(context, unit, clinic, visible, slots))
            raise
        except NoResourceFree as error:
            assert slot is not None
            raise await _with_nearest(context, unit, clinic, slot, before, kind, error) from None
        except (SlotTaken, DoesNotFit) as error:
            assert slot is not None
            asked = await _asked_for(unit, scope, appointment_id, slot_id)
            if asked and (await _lane_there(unit, *asked)).id not in (to_id, slot_id):
                # Somebody was faster, and another lane is free.
                raise TransactionAborted() from error
            raise await _with_nearest(context, unit, clinic, slot, before, kind, error) from None
        await unit.appointments.apply([change])
        await leaving.follow(unit, before)
        return await _read(unit, scope, appointment_id)

    return await Leaving(context).run(work)


async def _brakes_there(
    unit: UnitOfWork, clinic: Clinic, before: Appointment, slot: Slot
) -> Brakes | None:
    """Return how many appointments the patient has with another doctor who would get this one, if
    the clinic limits that."""
    if clinic.policy.max_open_per_doctor is None or slot.doctor_id == before.doctor_id:
        return None
    brakes = await unit.appointments.brakes(clinic, before.patient_id, slot)
    return Brakes(doctor_full_until=brakes.doctor_full_until)


async def _with_nearest(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    slot: Slot,
    before: Appointment,
    kind: AppointmentType | None,
    error: SlotTaken | DoesNotFit | NoResourceFree,
) -> SlotTaken | DoesNotFit | NoResourceFree:
    """Return `error` with the nearest slots in which the appointment would fit instead."""
    like_it = None if kind is None else as_moved(before, kind)
    nearest = await nearest_places(context, unit, clinic, slot, like_it)
    facts = {**error.facts, "nearest": tuple(nearest), "zone": clinic.zone}
    return type(error)(error.message, **facts)


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
        a, b = _both(locked, one, two)
        decide = partial(
            decide_swap,
            a,
            b,
            actor=context.actor,
            clinic=clinic,
            reason=context.reason,
            now=context.clock.now(),
            new_id=context.new_id,
            kinds=kinds,
        )
        there = await _around_both(context, unit, clinic, a, b)
        try:
            changes = decide(there=there)
        except SlotBlocked:
            # Asked again, to be refused with the reason.
            decide(there=await _with_blockers(context, unit, clinic, a, b, there))
            raise
        try:
            await unit.appointments.apply(changes)
        except SlotTaken:
            raise NotSwappable("One of them does not fit at the other's place.") from None
        except NoResourceFree as error:
            kind = error.facts.get("kind")
            raise NotSwappable(
                f"No {kind} is free for one of them at the other's place.", kind=kind
            ) from None
        return await _read(unit, scope, one), await _read(unit, scope, two)

    return await context.transactions.run(work)


def _both(locked: Locked, one: UUID, two: UUID) -> tuple[Placed, Placed]:
    """Return two locked appointments with their slots. Raises AppointmentNotFound."""
    a, b = locked.appointments.get(one), locked.appointments.get(two)
    if a is None or b is None:
        raise AppointmentNotFound(appointmentId=str(one if a is None else two))
    return (a, locked.slots[a.slot_id]), (b, locked.slots[b.slot_id])


async def _around_both(
    context: Context, unit: UnitOfWork, clinic: Clinic, one: Placed, two: Placed
) -> Mapping[UUID, Surroundings]:
    """Return what is around each appointment at the other's place, by its id."""
    return {
        before.id: await _around(
            context, unit, clinic, before, place_in(before, slot, keeps_length=True), other
        )
        for (before, _), (other, slot) in ((one, two), (two, one))
    }


async def _with_blockers(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    one: Placed,
    two: Placed,
    there: Mapping[UUID, Surroundings],
) -> Mapping[UUID, Surroundings]:
    """Return the same surroundings with what blocks their slots."""
    found: dict[UUID, Surroundings] = {}
    for (before, _), (_, slot) in ((one, two), (two, one)):
        around = there[before.id]
        visible = place_in(before, slot, keeps_length=True).visible
        blockers = await blockers_at(context, unit, clinic, visible, around.slots)
        found[before.id] = replace(around, blockers=blockers)
    return found


async def _around(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    before: Appointment,
    after: Appointment,
    *others: Appointment,
) -> Surroundings:
    """Return what is around the place at which `before` would become `after`, once it and the
    others have left theirs."""
    found = await surroundings(context, unit, clinic, after, after.busy, has_buffers=True)
    leaving = [each.busy for each in (before, *others) if each.lane == after.lane]
    return replace(
        found,
        # Only buffers may meet closed time: slots that it blocks say so themselves.
        closed=found.closed if before.has_buffers else (),
        busy=[each for each in found.busy if each not in leaving],
    )


async def _asked_for(
    unit: UnitOfWork, scope: Scope, appointment_id: UUID, slot_id: UUID
) -> Placed | None:
    """Return the appointment that is to move, and the slot that is asked for; None when one of them
    does not exist."""
    seen = await unit.appointments.get(scope, appointment_id)
    target = await unit.calendars.slot(scope.clinic_id, slot_id)
    return None if seen is None or target is None else (seen.appointment, target.slot)


async def _slots_there(unit: UnitOfWork, before: Appointment, slot: Slot) -> Sequence[UUID]:
    """Return the slots that the appointment would take if it began in this one; empty when it has
    no type, and takes that slot alone. With buffers, locks the doctor there: no slot may be added
    meanwhile where they reach."""
    if before.type_id is None:
        return ()
    there = place_in(before, slot)
    if there.has_buffers:
        await unit.calendars.lock_doctor(there.clinic_id, there.doctor_id)
    busy = there.busy
    slots = await unit.calendars.slots_between(
        there.clinic_id, [there.doctor_id], busy.starts_at, busy.ends_at
    )
    return [slot.id for slot in slots if slot.lane == there.lane]


async def _lane_there(unit: UnitOfWork, before: Appointment, target: Slot) -> Slot:
    """Return the slot that the appointment should begin in that is to move to this one: the same,
    or where it does not fit there, another one of the same doctor, start and length in which it
    does."""
    if target.state is not SlotState.OPEN:
        return target
    busy = place_in(before, target).busy
    near = await unit.calendars.slots_between(
        target.clinic_id, [target.doctor_id], busy.starts_at, busy.ends_at
    )
    left = [replace(each, taken=False) if before.is_in_time_of(each) else each for each in near]
    for slot in (target, *in_turn_for(before.patient_id, others_at(target, near))):
        is_own = slot.id == before.slot_id and slot.id != target.id
        if not is_own and not obstacles(place_in(before, slot), left):
            return slot
    return target


async def _resources_there(
    unit: UnitOfWork, before: Appointment, kind: AppointmentType, slot: Slot
) -> ResourcesTime:
    """Return the resources that the appointment would need at the place of this slot."""
    busy = place_in(before, slot).busy
    return await unit.resources.timetable(
        before.clinic_id, kind.needs, busy.starts_at, busy.ends_at
    )


async def _slots_of_places(unit: UnitOfWork, scope: Scope, one: UUID, two: UUID) -> Sequence[UUID]:
    """Return the slots that two appointments would take at each other's place, doctors locked by
    id where one has buffers."""
    seen = [await unit.appointments.get(scope, each) for each in (one, two)]
    a, b = (None if view is None else view.appointment for view in seen)
    if a is None or b is None:
        return ()
    found: list[UUID] = []
    for each, other in sorted(((a, b), (b, a)), key=lambda pair: pair[1].doctor_id):
        there = await unit.calendars.slot(scope.clinic_id, other.slot_id)
        if there is not None:
            found += await _slots_there(unit, each, there.slot)
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

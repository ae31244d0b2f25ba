"""Change an appointment: its status, its slot, or two of them for each other."""

from collections.abc import Sequence
from uuid import UUID

from clinic.domain.appointments import (
    AppointmentView,
    Change,
    Status,
    already_there,
    check_version,
    decide_move,
    decide_status,
    decide_swap,
)
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AppointmentNotFound, ClinicNotFound, InvalidInput, SlotTaken
from clinic.domain.people import Actor, Scope, scope_of
from clinic.ports.appointments import Locked
from clinic.ports.clock import Clock, IdSource
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.transactions import Commits

NEAREST = 3


async def change_status(
    *,
    transactions: Commits[AppointmentView],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    appointment_id: UUID,
    to: Status,
    reason: str | None = None,
    expected_version: int | None = None,
) -> AppointmentView:
    """Return the appointment in status `to`: confirm, arrive, complete, no-show, cancel.

    Asked again by the same actor, it changes nothing, whatever the expected version. Raises
    AppointmentNotFound, VersionMismatch, PermissionDenied, TransitionNotAllowed,
    InsideCancelNotice, TooEarly.
    """
    scope = scope_of(actor)

    async def work(unit: UnitOfWork) -> AppointmentView:
        locked = await unit.appointments.lock(scope, [appointment_id])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        if not already_there(before, to, actor):
            check_version(before, expected_version)
            change = decide_status(
                before,
                to,
                actor=actor,
                clinic=await _clinic(unit, actor),
                reason=reason,
                now=clock.now(),
                new_id=new_id,
            )
            await unit.appointments.apply([change])
        return await _read(unit, scope, appointment_id)

    return await transactions.run(work)


async def reschedule(
    *,
    transactions: Commits[AppointmentView],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    appointment_id: UUID,
    slot_id: UUID,
    reason: str | None = None,
    override: bool = False,
    expected_version: int | None = None,
) -> AppointmentView:
    """Return the appointment moved into `slot_id`, its id kept.

    Raises AppointmentNotFound, VersionMismatch, SlotNotFound, PermissionDenied,
    TransitionNotAllowed, PolicyRefused, SameSlot, SlotBlocked, SlotTaken (with `nearest`),
    PatientBusy.
    """
    scope = scope_of(actor)

    async def work(unit: UnitOfWork) -> AppointmentView:
        locked = await unit.appointments.lock(scope, [appointment_id], [slot_id])
        before = locked.appointments.get(appointment_id)
        if before is None:
            raise AppointmentNotFound()
        check_version(before, expected_version)
        clinic = await _clinic(unit, actor)
        try:
            change = decide_move(
                before,
                locked.slots.get(slot_id),
                actor=actor,
                clinic=clinic,
                reason=reason,
                override=override,
                now=clock.now(),
                new_id=new_id,
            )
        except SlotTaken:
            earliest, latest = clinic.policy.bookable_window(clock.now())
            nearest = await unit.calendars.nearest_free(
                locked.slots[slot_id], starts_from=earliest, starts_before=latest, limit=NEAREST
            )
            raise SlotTaken(nearest=tuple(nearest), zone=clinic.zone) from None
        await unit.appointments.apply([change])
        return await _read(unit, scope, appointment_id)

    return await transactions.run(work)


async def swap(
    *,
    transactions: Commits[tuple[AppointmentView, AppointmentView]],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    appointment_ids: Sequence[UUID],
    reason: str | None = None,
) -> tuple[AppointmentView, AppointmentView]:
    """Return two appointments that exchanged their slots, in the order they were named.

    Raises InvalidInput, AppointmentNotFound, PermissionDenied, NotSwappable, PolicyRefused,
    SlotBlocked, PatientBusy.
    """
    if len(appointment_ids) != 2:
        raise InvalidInput("Name two appointments.", pointer="/appointmentIds")
    one, two = appointment_ids
    scope = scope_of(actor)

    async def work(unit: UnitOfWork) -> tuple[AppointmentView, AppointmentView]:
        locked = await unit.appointments.lock(scope, [one, two])
        clinic = await _clinic(unit, actor)
        changes = _swapped(locked, one, two, actor, clinic, clock, new_id, reason)
        await unit.appointments.apply(changes)
        return await _read(unit, scope, one), await _read(unit, scope, two)

    return await transactions.run(work)


def _swapped(
    locked: Locked,
    one: UUID,
    two: UUID,
    actor: Actor,
    clinic: Clinic,
    clock: Clock,
    new_id: IdSource,
    reason: str | None,
) -> tuple[Change, Change]:
    a, b = locked.appointments.get(one), locked.appointments.get(two)
    if a is None or b is None:
        raise AppointmentNotFound(appointmentId=str(one if a is None else two))
    return decide_swap(
        (a, locked.slots[a.slot_id]),
        (b, locked.slots[b.slot_id]),
        actor=actor,
        clinic=clinic,
        reason=reason,
        now=clock.now(),
        new_id=new_id,
    )


async def _clinic(unit: UnitOfWork, actor: Actor) -> Clinic:
    clinic = await unit.people.clinic(actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic


async def _read(unit: UnitOfWork, scope: Scope, appointment_id: UUID) -> AppointmentView:
    # A doctor who moved an appointment to another doctor may still see what became of it.
    view = await unit.appointments.get(Scope(scope.clinic_id), appointment_id)
    assert view is not None
    return view

"""Decides whether an appointment may change its status, move, or swap its slot with another.

Each decision returns the complete change to write, or raises.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Change
from clinic.domain.appointments.booking import check_override
from clinic.domain.appointments.consequences import (
    audit_entry,
    messages_of_time,
    messages_to_doctors,
)
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import (
    NO_HOURS,
    NOTHING_AROUND,
    Case,
    Surroundings,
    check,
    no_hours,
)
from clinic.domain.appointments.transitions import MOVABLE, check_move, check_status
from clinic.domain.appointments.types import AppointmentType, Offer
from clinic.domain.audit.audit import Action, checked_reason
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.errors import (
    DoesNotFit,
    InvalidInput,
    NotSwappable,
    SameSlot,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
)
from clinic.domain.notifications import (
    RESCHEDULE,
    message_for_cancellation,
)
from clinic.domain.people.people import Actor
from clinic.domain.permissions import Operation, permit
from clinic.domain.status import Status

NO_TYPES: Mapping[UUID, AppointmentType] = MappingProxyType({})
NOTHING_KNOWN: Mapping[UUID, Surroundings] = MappingProxyType({})


def decide_status(
    before: Appointment,
    to: Status,
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Change:
    """Return the change of `before` to status `to`.

    Raises InvalidInput, PermissionDenied, TransitionNotAllowed, InsideCancelNotice, TooEarly.
    """
    reason = checked_reason(reason)
    check_status(before, to, actor=actor, clinic=clinic, now=now)
    cancels = to is Status.CANCELLED
    after = replace(
        before,
        status=to,
        version=before.version + 1,
        schedule_version=before.schedule_version + cancels,
        status_by=actor.user_id,
    )
    entry = audit_entry(
        actor, Action.CHANGE_STATUS, before, after, reason=reason, now=now, entry_id=new_id()
    )
    if not cancels:
        return Change(before, after, entry)
    word = message_for_cancellation(
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        version=after.schedule_version,
        now=now,
        new_id=new_id,
    )
    to_doctor = messages_to_doctors(before, after, clinic, now, new_id)
    return Change(before, after, entry, (word, *to_doctor))


def decide_move(
    before: Appointment,
    slot: Slot | None,
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    override: bool,
    now: datetime,
    new_id: Callable[[], UUID],
    kind: AppointmentType | None = None,
    around: Sequence[Slot] = (),
    closed: Sequence[Interval] = (),
    busy: Sequence[Interval] = (),
    blockers: Sequence[Blocker] = (),
    resources: ResourcesTime | None = None,
    brakes: Brakes | None = None,
) -> Change:
    """Return the change that moves `before` into `slot`, keeping its id. One with a type keeps its
    length, any other gets the slot's.

    `around` are the doctor's slots that its busy time overlaps there; without them, only the slot
    itself is looked at. `closed` is time into which its buffers may not reach, `busy` the doctor's
    other busy times, as far as they have been read; `blockers` say why a blocked slot is. `kind` is
    its type, whose notice and horizon count, and which another doctor has to offer. `resources` are
    those that it needs; without them, the store alone says whether one is free. Raises
    InvalidInput, SlotNotFound, PermissionDenied, TransitionNotAllowed, SameSlot, NotOffered,
    PolicyRefused, SlotBlocked, SlotTaken, DoesNotFit, NoResourceFree.
    """
    reason = checked_reason(reason)
    if slot is None:
        raise SlotNotFound()
    # They may be taken by this very appointment; the store says whether by another one.
    slots = [
        replace(each, taken=False) if before.is_in_time_of(each) else each
        for each in around or [slot]
    ]
    case = Case(
        place_in(before, slot),
        slot,
        clinic,
        clinic.policy if kind is None else kind.policy_at(clinic),
        now,
        kind if slot.doctor_id != before.doctor_id else None,
        override=override,
        brakes=brakes,
        around=slots,
        closed=closed,
        busy=busy,
        blockers=blockers,
        needs=() if kind is None else kind.needs,
        resources=resources,
        leaving=[before.id],
    )
    no_hours(case)
    permit(actor, Operation.CHANGE_APPOINTMENT, doctor_id=slot.doctor_id)
    check_override(actor, override)
    check_move(before, actor=actor, policy=clinic.policy, now=now)
    if slot.id == before.slot_id:
        raise SameSlot()
    check(case)
    return _moved(before, slot, kind, Action.RESCHEDULE, actor, clinic, reason, now, new_id)


def as_moved(before: Appointment, kind: AppointmentType) -> AppointmentType:
    """Return the type as a move of the appointment needs it: with the appointment's length and
    buffers, with every doctor who offers it and the one who has the appointment."""
    doctors = {before.doctor_id, *(offer.doctor_id for offer in kind.offered_by or ())}
    return replace(
        kind,
        visible_min=(before.ends_at - before.starts_at) // timedelta(minutes=1),
        before_min=before.before_min,
        after_min=before.after_min,
        offered_by=None if kind.offered_by is None else tuple(map(Offer, doctors)),
    )


def place_in(before: Appointment, slot: Slot, *, keeps_length: bool = False) -> Appointment:
    """Return the appointment at the place of this slot, where it may not fit. One without a type
    gets the slot's length unless it `keeps_length`."""
    length = before.ends_at - before.starts_at
    has_own_length = keeps_length or before.type_id is not None
    return replace(
        before,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        lane=slot.lane,
        starts_at=slot.starts_at,
        ends_at=slot.starts_at + length if has_own_length else slot.ends_at,
    )


def _moved(
    before: Appointment,
    slot: Slot,
    kind: AppointmentType | None,
    action: Action,
    actor: Actor,
    clinic: Clinic,
    reason: str,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Change:
    # When staff move it, the patient has not confirmed the new time yet.
    unconfirmed = actor.is_staff and before.status is Status.CONFIRMED
    after = replace(
        place_in(before, slot, keeps_length=action is Action.SWAP),
        status=Status.BOOKED if unconfirmed else before.status,
        status_by=actor.user_id if unconfirmed else before.status_by,
        version=before.version + 1,
        schedule_version=before.schedule_version + 1,
    )
    entry = audit_entry(actor, action, before, after, reason=reason, now=now, entry_id=new_id())
    messages = messages_of_time(
        RESCHEDULE, before, after, clinic=clinic, policy=clinic.policy, now=now, new_id=new_id
    )
    needs = None if kind is None else kind.needs
    return Change(before, after, entry, messages, needs)


def decide_swap(
    one: tuple[Appointment, Slot],
    two: tuple[Appointment, Slot],
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    now: datetime,
    new_id: Callable[[], UUID],
    kinds: Mapping[UUID, AppointmentType] = NO_TYPES,
    there: Mapping[UUID, Surroundings] = NOTHING_KNOWN,
) -> tuple[Change, Change]:
    """Return the changes by which two appointments exchange their places; `kinds` are their types,
    and `there` is what is around the other's place, with the busy times of other appointments
    only, both by the appointments' ids. Those with types may be of unlike lengths: each must fit
    at the other's place once both have left, about which the store has the last word.

    Raises InvalidInput, PermissionDenied, NotSwappable, SlotInPast, SlotBlocked, NotOffered.
    """
    reason = checked_reason(reason)
    (a, slot_a), (b, slot_b) = one, two
    permit(actor, Operation.SWAP_APPOINTMENTS)
    if a.id == b.id:
        raise InvalidInput("Name two different appointments.", pointer="/appointmentIds")
    for appointment in (a, b):
        if appointment.status not in MOVABLE:
            raise NotSwappable(
                f"Appointment {appointment.id} is {appointment.status};"
                " only BOOKED and CONFIRMED ones can be swapped.",
                appointmentId=str(appointment.id),
            )
        clinic.policy.check_bookable(appointment.starts_at, now, override=True)
    are_typed = a.type_id is not None and b.type_id is not None
    if not are_typed and a.ends_at - a.starts_at != b.ends_at - b.starts_at:
        raise NotSwappable("The two appointments do not last equally long.")
    for appointment, slot in ((a, slot_b), (b, slot_a)):
        around = there.get(appointment.id, NOTHING_AROUND)
        _check_swapped(appointment, slot, clinic, kinds.get(appointment.id), around, now)
    return (
        _moved(a, slot_b, kinds.get(a.id), Action.SWAP, actor, clinic, reason, now, new_id),
        _moved(b, slot_a, kinds.get(b.id), Action.SWAP, actor, clinic, reason, now, new_id),
    )


def _check_swapped(
    before: Appointment,
    slot: Slot,
    clinic: Clinic,
    kind: AppointmentType | None,
    around: Surroundings,
    now: datetime,
) -> None:
    """Raise SlotBlocked, NotOffered, or NotSwappable with the reason, unless the appointment may be
    at the other's place."""
    if slot.state is SlotState.RETIRED:
        raise SlotBlocked(NO_HOURS)
    after = place_in(before, slot, keeps_length=True)
    # Without what is around it, the store alone says whether it fits.
    slots = around.slots or [replace(slot, ends_at=max(slot.ends_at, after.ends_at))]
    parked = [replace(each, taken=any(map(each.interval.overlaps, around.busy))) for each in slots]
    try:
        check(
            Case(
                after,
                slot,
                clinic,
                clinic.policy,
                now,
                kind if slot.doctor_id != before.doctor_id else None,
                override=True,
                around=parked,
                closed=around.closed,
                blockers=around.blockers,
                busy=around.busy,
            )
        )
    except (SlotTaken, DoesNotFit) as error:
        raise NotSwappable(
            f"Appointment {before.id} does not fit at the other's place: {error.message}",
            appointmentId=str(before.id),
            reason=error.code,
        ) from None

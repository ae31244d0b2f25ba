"""Book a slot for a patient: one read, one write, and the database decides the race."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView, Booking, BookingFacts
from clinic.domain.appointments.booking import decide_booking, end_of, patient_to_book_for
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import NOTHING_AROUND, Surroundings
from clinic.domain.appointments.types import TypeAsked, asked_for
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    ClinicError,
    DoesNotFit,
    IdempotencyConflict,
    NoResourceFree,
    PatientBusy,
    SlotBlocked,
    SlotTaken,
    TransactionAborted,
    UnknownType,
)
from clinic.domain.idempotency import StoredAnswer, answer_to_repeat
from clinic.ports.figures import BOOKED
from clinic.usecases.appointments.surroundings import free_beside, surroundings
from clinic.usecases.calendar.explain_slots import blockers_at
from clinic.usecases.calendar.find_places import nearest_places
from clinic.usecases.context import Context
from clinic.usecases.idempotency import IdempotentCall, KeyedAnswer, keep_refusal
from clinic.usecases.types_asked import bookable_types, unknown_type


@dataclass(frozen=True, slots=True)
class _Order:
    """The requested booking."""

    slot_id: UUID
    patient_id: UUID
    type: TypeAsked
    override: bool


#: facts are read again after a lost race: a duplicate request may have won it, or a cancel just
#: freed the slot
ATTEMPTS = 3
_LOST = (SlotTaken, PatientBusy, NoResourceFree, IdempotencyConflict, TransactionAborted)


async def book(
    context: Context,
    slot_id: UUID,
    *,
    patient_id: UUID | None = None,
    type: str | UUID | None = None,
    override: bool = False,
) -> AppointmentView:
    """Return the new appointment. Patients book for themselves, staff for `patient_id`.

    At a clinic with types, it has the one of this name or id, or the default, and lasts as long.
    `override` lets staff book inside the notice or beyond the horizon. Raises InvalidInput,
    UnknownType, NotSignedIn, SlotNotFound, PatientNotFound, PermissionDenied, PatientDisabled,
    PolicyRefused, NotOffered, SlotBlocked, SlotTaken, DoesNotFit and NoResourceFree (with up to
    three `nearest` slots that could be booked instead), PatientBusy.
    """
    patient_id = patient_to_book_for(context.actor, patient_id)
    order = _Order(slot_id, patient_id, asked_for(type), override)
    result = await _take(context, order, None)
    assert isinstance(result, AppointmentView)
    return result


async def book_once(
    context: Context,
    call: IdempotentCall[AppointmentView],
    slot_id: UUID,
    *,
    patient_id: UUID | None = None,
    type: str | UUID | None = None,
    override: bool = False,
) -> KeyedAnswer:
    """Return the answer to a booking request with an idempotency key, booking only the first time.

    No cache is read, since `load_facts` also returns an earlier answer: a cache would cost every
    first request time to save it for the rare repeated one. Raises as `book` does, except that
    final refusals are returned as answers.
    """
    try:
        patient_id = patient_to_book_for(context.actor, patient_id)
        order = _Order(slot_id, patient_id, asked_for(type), override)
        result = await _take(context, order, call)
    except ClinicError as error:
        return await keep_refusal(context, error, call)
    if isinstance(result, KeyedAnswer):
        return result
    assert isinstance(result, StoredAnswer)
    return KeyedAnswer(result.answer, replayed=False)


async def _take(
    context: Context, order: _Order, call: IdempotentCall[AppointmentView] | None
) -> AppointmentView | StoredAnswer | KeyedAnswer:
    """Return the view of the new appointment; with a key, its stored answer or a replay."""
    request = call.request if call else None
    lost: ClinicError | None = None
    #: one for each race that was lost
    lost_in: list[UUID] = []
    # A race that is lost in one lane may be won in another.
    while len(lost_in) - len({*lost_in}) < ATTEMPTS - 1 or lost is None:
        facts = await context.store.desk.load_facts(
            context.actor, order.slot_id, order.patient_id, request, order.type
        )
        if request is not None:
            repeat = answer_to_repeat(facts.stored, request)
            if repeat is not None:
                return KeyedAnswer(repeat, replayed=True)
        if isinstance(lost, PatientBusy):
            raise lost
        if isinstance(lost, NoResourceFree):
            raise await _with_nearest(context, lost, facts)
        if order.type.id is not None and not facts.has_types:
            raise unknown_type(order.type, ())
        now = context.clock.now()
        booking = await _decide(context, order, facts, now, lost_in)
        view = _view(booking, facts)
        if call is not None and not booking.needs:
            stored = StoredAnswer(call.request, call.render(view), now)
            booking = replace(booking, stored=stored)
        try:
            if booking.needs:
                return await _reserve_with_resources(context, booking, view, call)
            await context.store.desk.reserve(booking)
        except _LOST as error:
            lost = error
            lost_in.append(booking.appointment.slot_id)
            continue
        return booking.stored or view
    raise lost


async def _decide(
    context: Context,
    order: _Order,
    facts: BookingFacts,
    now: datetime,
    lost_in: Collection[UUID],
) -> Booking:
    """Return the booking of the slot that was asked for, or, where it is taken, of another one of
    its start. Raises as `book` does."""
    try:
        is_lost = facts.slot is not None and facts.slot.id in lost_in
        if not is_lost:
            return await _decide_in(context, order, facts, now, is_first=not lost_in)
        # Somebody who has not committed yet may have it.
        return await _decide_beside(context, order, facts, now, lost_in) or await _decide_in(
            context, order, facts, now
        )
    except SlotBlocked as error:
        found = await _decide_beside(context, order, facts, now, lost_in)
        if found is None:
            raise await _with_blockers(context, order, facts, now, error) from None
        return found
    except NoResourceFree as error:
        raise await _with_nearest(context, error, facts) from None
    except (SlotTaken, DoesNotFit) as error:
        found = await _decide_beside(context, order, facts, now, lost_in)
        if found is None:
            raise await _with_nearest(context, error, facts) from None
        return found
    except UnknownType as error:
        raise unknown_type(order.type, await bookable_types(context)) from error


async def _decide_in(
    context: Context,
    order: _Order,
    facts: BookingFacts,
    now: datetime,
    blockers: Sequence[Blocker] = (),
    *,
    is_first: bool = False,
) -> Booking:
    around = await _around(context, facts, is_first=is_first)
    return decide_booking(
        facts,
        actor=context.actor,
        type=order.type.name,
        reason=context.reason,
        override=order.override,
        now=now,
        new_id=context.new_id,
        around=around.slots,
        closed=around.closed,
        busy=around.busy,
        blockers=blockers,
        resources=await _resources(context, facts),
    )


async def _decide_beside(
    context: Context,
    order: _Order,
    facts: BookingFacts,
    now: datetime,
    lost_in: Collection[UUID],
) -> Booking | None:
    """Return the booking of another slot of the same doctor, start and length; None when none is
    free, or fits. One that is blocked is not replaced by another."""
    slot = facts.slot
    if slot is None or slot.state is not SlotState.OPEN:
        return None
    for other in await free_beside(context.store, slot, order.patient_id, last=lost_in):
        try:
            return await _decide_in(context, order, replace(facts, slot=other), now)
        except (SlotBlocked, SlotTaken, DoesNotFit):
            continue
    return None


async def _with_blockers(
    context: Context, order: _Order, facts: BookingFacts, now: datetime, error: SlotBlocked
) -> ClinicError:
    """Return the refusal with what blocks the slot."""
    blockers = await _blockers(context, facts, await _around(context, facts, is_first=False))
    try:
        # Asked again, to be refused with the reason.
        await _decide_in(context, order, facts, now, blockers)
    except ClinicError as refused:
        return refused
    return error


async def _reserve_with_resources(
    context: Context,
    booking: Booking,
    view: AppointmentView,
    call: IdempotentCall[AppointmentView] | None,
) -> AppointmentView | StoredAnswer:
    """Write the booking in a unit of work, and its answer after it: the answer names the resources
    that the store has picked."""
    appointment, figures = booking.appointment, context.store.figures
    stored: StoredAnswer | None = None
    try:
        async with context.store.begin() as unit:
            if appointment.before_min or appointment.after_min:
                # So that no slot is added meanwhile where a buffer reaches and there is none.
                await unit.calendars.lock_doctor(appointment.clinic_id, appointment.doctor_id)
            held = await unit.appointments.reserve(booking)
            view = replace(view, resources=tuple(held))
            if call is not None:
                stored = StoredAnswer(call.request, call.render(view), appointment.created_at)
                await unit.answers.add(stored)
            await unit.commit()
    except ClinicError as error:
        figures.count_booking(error.code)
        raise
    figures.count_booking(BOOKED)
    return stored or view


async def _resources(context: Context, facts: BookingFacts) -> ResourcesTime | None:
    """Return the resources that the appointment would need; None when it needs none, or the doctor
    does not offer its type."""
    slot, kind = facts.slot, facts.type if facts.has_types else None
    if slot is None or kind is None or not kind.needs:
        return None
    if kind.visible_min_with(slot.doctor_id) is None:
        return None
    busy = kind.busy(Interval(slot.starts_at, end_of(slot, kind)))
    return await context.store.resources.timetable(
        slot.clinic_id, kind.needs, busy.starts_at, busy.ends_at
    )


async def _around(context: Context, facts: BookingFacts, *, is_first: bool) -> Surroundings:
    """Return what is around the place of the appointment; nothing when it needs no more than its
    own slot, or the doctor does not offer its type.

    At the first attempt, a free slot of a type without buffers and needs goes on as long as the
    appointment: the store looks at the slots after it anyway, and most bookings succeed. Any other
    is decided with the real ones, so that the first rule that it breaks refuses it.
    """
    slot, kind = facts.slot, facts.type if facts.has_types else None
    if slot is None or kind is None or kind.visible_min_with(slot.doctor_id) is None:
        return NOTHING_AROUND
    busy = kind.busy(Interval(slot.starts_at, end_of(slot, kind)))
    if slot.interval.holds(busy):
        return NOTHING_AROUND
    if is_first and kind.is_of_slots_alone and slot.is_free:
        return Surroundings([replace(slot, ends_at=busy.ends_at)])
    return await surroundings(
        context,
        context.store,
        facts.clinic,
        slot,
        busy,
        has_buffers=kind.has_buffers,
    )


async def _blockers(
    context: Context, facts: BookingFacts, around: Surroundings
) -> tuple[Blocker, ...]:
    slot = facts.slot
    assert slot is not None
    visible = Interval(slot.starts_at, end_of(slot, facts.type if facts.has_types else None))
    slots = around.slots or [slot]
    return await blockers_at(context, context.store, facts.clinic, visible, slots)


def _view(booking: Booking, facts: BookingFacts) -> AppointmentView:
    assert facts.patient is not None
    return AppointmentView(
        booking.appointment,
        facts.doctor_name,
        facts.patient.name,
        facts.clinic.zone,
        location_id=None if facts.slot is None else facts.slot.location_id,
        location_name=facts.location_name,
    )


async def _with_nearest(
    context: Context, error: SlotTaken | DoesNotFit | NoResourceFree, facts: BookingFacts
) -> SlotTaken | DoesNotFit | NoResourceFree:
    """Return `error` with up to three slots that could be booked instead."""
    slot, kind = facts.slot, facts.type if facts.has_types else None
    assert slot is not None
    nearest = await nearest_places(context, context.store, facts.clinic, slot, kind)
    facts_told = {**error.facts, "nearest": tuple(nearest), "zone": facts.clinic.zone}
    return type(error)(error.message, **facts_told)

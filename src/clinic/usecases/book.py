"""Book a slot for a patient: one read, one write, and the database decides the race."""

from dataclasses import dataclass
from uuid import UUID

from clinic.domain.appointments import (
    AppointmentView,
    Booking,
    BookingFacts,
    decide_booking,
    patient_to_book_for,
)
from clinic.domain.errors import (
    ClinicError,
    IdempotencyConflict,
    NotSignedIn,
    PatientBusy,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.idempotency import StoredAnswer, answer_to_repeat
from clinic.domain.people import Actor
from clinic.ports.answers import AnswerBook
from clinic.ports.booking_desk import BookingDesk
from clinic.ports.calendars import CalendarReader
from clinic.ports.clock import Clock, IdSource
from clinic.usecases.answer_once import Keyed, Outcome, keep_refusal


@dataclass(frozen=True, slots=True)
class _Order:
    """What is asked for, by whom."""

    actor: Actor
    slot_id: UUID
    patient_id: UUID
    type: str | None
    reason: str | None
    override: bool


#: a lost race is looked at again: a twin may have won it, or a cancel just freed the slot
ATTEMPTS = 3
NEAREST = 3


async def book(
    *,
    desk: BookingDesk,
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    slot_id: UUID,
    patient_id: UUID | None = None,
    type: str | None = None,
    reason: str | None = None,
    override: bool = False,
) -> AppointmentView:
    """Return the new appointment. Patients book for themselves, staff for `patient_id`.

    `override` lets staff book inside the notice or beyond the horizon. Raises InvalidInput,
    SlotNotFound, PatientNotFound, PermissionDenied, PatientDisabled, PolicyRefused, SlotBlocked,
    SlotTaken (with up to three `nearest` free slots), PatientBusy.
    """
    patient_id = patient_to_book_for(actor, patient_id)
    order = _Order(actor, slot_id, patient_id, type, reason, override)
    result = await _take(order, None, desk, calendars, clock, new_id)
    assert isinstance(result, AppointmentView)
    return result


async def book_once(
    keyed: Keyed[AppointmentView],
    *,
    answers: AnswerBook,
    desk: BookingDesk,
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    slot_id: UUID,
    patient_id: UUID | None = None,
    type: str | None = None,
    reason: str | None = None,
    override: bool = False,
) -> Outcome:
    """Return the answer to a booking request that bears a key, doing it only the first time.

    An earlier answer comes with what booking reads anyway, so no cache is asked: that would cost
    every first request to spare the rare repeated one. Raises as `book`, except that final refusals
    come back as answers.
    """
    try:
        patient_id = patient_to_book_for(actor, patient_id)
        order = _Order(actor, slot_id, patient_id, type, reason, override)
        result = await _take(order, keyed, desk, calendars, clock, new_id)
    except ClinicError as error:
        return await keep_refusal(error, keyed, answers=answers, clock=clock)
    if isinstance(result, Outcome):
        return result
    assert isinstance(result, StoredAnswer)
    return Outcome(result.answer, replayed=False)


async def _take(
    order: _Order,
    keyed: Keyed[AppointmentView] | None,
    desk: BookingDesk,
    calendars: CalendarReader,
    clock: Clock,
    new_id: IdSource,
) -> AppointmentView | StoredAnswer | Outcome:
    """Return the view of the new appointment; with a key, its stored answer or a replay."""
    request = keyed.request if keyed else None
    lost: ClinicError | None = None
    for _ in range(ATTEMPTS):
        facts = await desk.look(
            order.actor.clinic_id,
            order.slot_id,
            order.patient_id,
            request,
            order.actor if order.actor.session_id else None,
        )
        if not facts.signed_in:
            raise NotSignedIn()
        if request is not None:
            repeat = answer_to_repeat(facts.stored, request)
            if repeat is not None:
                return Outcome(repeat, replayed=True)
        if isinstance(lost, PatientBusy):
            raise lost
        now = clock.now()
        try:
            booking = decide_booking(
                facts,
                actor=order.actor,
                type=order.type,
                reason=order.reason,
                override=order.override,
                now=now,
                new_id=new_id,
            )
        except SlotTaken as error:
            raise await _with_nearest(error, facts, calendars, clock) from None
        view = _view(booking, facts)
        if keyed is not None:
            stored = StoredAnswer(keyed.request, keyed.render(view), now)
            booking = Booking(booking.appointment, booking.audit, booking.messages, stored)
        try:
            await desk.take(booking)
        except (SlotTaken, PatientBusy, IdempotencyConflict, TransactionAborted) as error:
            lost = error
            continue
        return booking.stored or view
    assert lost is not None
    raise lost


def _view(booking: Booking, facts: BookingFacts) -> AppointmentView:
    assert facts.patient is not None
    return AppointmentView(
        booking.appointment, facts.doctor_name, facts.patient.name, facts.clinic.zone
    )


async def _with_nearest(
    error: SlotTaken, facts: BookingFacts, calendars: CalendarReader, clock: Clock
) -> SlotTaken:
    """Return `error` naming up to three slots that could be booked instead."""
    assert facts.slot is not None
    earliest, latest = facts.clinic.policy.bookable_window(clock.now())
    nearest = await calendars.nearest_free(
        facts.slot, starts_from=earliest, starts_before=latest, limit=NEAREST
    )
    return SlotTaken(error.message, nearest=tuple(nearest), zone=facts.clinic.zone)

"""Decides whether a booking is allowed, and everything to write for it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Booking, BookingFacts, checked_type
from clinic.domain.appointments.consequences import audit_entry, messages_to_doctors
from clinic.domain.appointments.fitting import obstacles
from clinic.domain.appointments.types import AppointmentType, BookableBy
from clinic.domain.audit.audit import Action, checked_reason
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    InvalidInput,
    NotOffered,
    PatientDisabled,
    PatientNotFound,
    PermissionDenied,
    SlotBlocked,
    SlotNotFound,
    TypeNotBookable,
    UnknownType,
)
from clinic.domain.notifications import CONFIRMATION, messages_for_schedule
from clinic.domain.people.people import Actor, Role
from clinic.domain.permissions import Operation, permit, reach_of
from clinic.domain.status import Status

CLOSED_BESIDE = "The time that the type needs before or after it is closed."


def patient_to_book_for(actor: Actor, patient_id: UUID | None) -> UUID:
    """Return the patient to book for: patients book for themselves, staff for a patient they name.

    Raises InvalidInput when staff name no patient, PatientNotFound when a patient names another.
    """
    if actor.role is Role.PATIENT:
        if patient_id not in (None, actor.user_id):
            raise PatientNotFound()
        return actor.user_id
    permit(actor, Operation.BOOK)
    if patient_id is None:
        raise InvalidInput("Name the patient to book for.", pointer="/patientId")
    return patient_id


def decide_booking(
    facts: BookingFacts,
    *,
    actor: Actor,
    type: str | None,
    reason: str | None,
    override: bool,
    now: datetime,
    new_id: Callable[[], UUID],
    around: Sequence[Slot] = (),
    closed: Sequence[Interval] = (),
) -> Booking:
    """Return the booking to write (the use case adds its answer).

    At a clinic that has types, the appointment has the type of the facts, and its length; at any
    other, it is as long as the slot and `type` is any text. `around` are the doctor's slots that
    its busy time overlaps; without them, only the slot itself is looked at. `closed` is time into
    which its buffers may not reach, although there are no slots. `override` lets staff book inside
    the notice or beyond the horizon. Raises, in this order, InvalidInput, SlotNotFound,
    PatientNotFound, PermissionDenied, PatientDisabled, UnknownType, NotOffered, TypeNotBookable,
    PolicyRefused, SlotBlocked, SlotTaken, DoesNotFit.
    """
    type = checked_type(type)
    reason = checked_reason(reason)
    slot, patient = facts.slot, facts.patient
    if slot is None or slot.state is SlotState.RETIRED:
        raise SlotNotFound()
    if patient is None:
        raise PatientNotFound()
    permit(actor, Operation.BOOK, doctor_id=slot.doctor_id)
    if not facts.patient_open:
        raise PatientDisabled()
    check_override(actor, override)
    kind = type_to_book(facts, actor)
    policy = facts.clinic.policy if kind is None else kind.policy_at(facts.clinic)
    policy.check_bookable(slot.starts_at, now, override=override)
    if not override:
        policy.check_open_appointments(facts.full_until, now)
    appointment = Appointment(
        id=new_id(),
        clinic_id=slot.clinic_id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        patient_id=patient.id,
        starts_at=slot.starts_at,
        ends_at=end_of(slot, kind),
        type=type if kind is None else kind.name,
        status=Status.BOOKED,
        version=1,
        schedule_version=0,
        status_by=actor.user_id,
        created_at=now,
        type_id=None if kind is None else kind.id,
        before_min=0 if kind is None else kind.before_min,
        after_min=0 if kind is None else kind.after_min,
    )
    check_fits(appointment, around or [slot], closed)
    entry = audit_entry(
        actor, Action.BOOK, None, appointment, reason=reason, now=now, entry_id=new_id()
    )
    messages = messages_for_schedule(
        kind=CONFIRMATION,
        clinic_id=appointment.clinic_id,
        appointment_id=appointment.id,
        version=appointment.schedule_version,
        starts_at=appointment.starts_at,
        policy=policy,
        now=now,
        new_id=new_id,
    )
    to_doctor = messages_to_doctors(None, appointment, facts.clinic, now, new_id)
    return Booking(
        appointment,
        entry,
        messages + to_doctor,
        reaches_beyond=not slot.interval.holds(appointment.busy),
    )


def type_to_book(facts: BookingFacts, actor: Actor) -> AppointmentType | None:
    """Return the type of the appointment, None at a clinic without types.

    Raises UnknownType, NotOffered, TypeNotBookable.
    """
    if not facts.has_types:
        return None
    kind, slot = facts.type, facts.slot
    if kind is None:
        raise UnknownType(pointer="/type")
    if slot is not None and kind.visible_min_with(slot.doctor_id) is None:
        raise NotOffered()
    if actor.role is Role.PATIENT:
        if kind.bookable_by is BookableBy.STAFF:
            raise TypeNotBookable()
        if kind.bookable_by is BookableBy.KNOWN_PATIENTS and not facts.patient_known:
            raise TypeNotBookable(
                "Patients book this type themselves only after an earlier visit to the clinic."
            )
    return kind


def end_of(slot: Slot, kind: AppointmentType | None) -> datetime:
    """Return when an appointment of this type ends that begins in the slot; without a type, it is
    as long as the slot. Raises NotOffered when the doctor does not offer the type."""
    if kind is None:
        return slot.ends_at
    minutes = kind.visible_min_with(slot.doctor_id)
    if minutes is None:
        raise NotOffered()
    return slot.starts_at + timedelta(minutes=minutes)


def check_fits(
    appointment: Appointment, around: Sequence[Slot], closed: Sequence[Interval]
) -> None:
    """Raise SlotBlocked, SlotTaken or DoesNotFit unless it fits among these slots of its doctor."""
    if len(around) == 1 and not closed:
        [own] = around
        # Nearly every booking.
        if own.is_free and own.interval.holds(appointment.busy):
            return
    for error in obstacles(appointment, around, closed):
        if error is SlotBlocked and not any(
            slot.state is SlotState.BLOCKED and appointment.visible.overlaps(slot.interval)
            for slot in around
        ):
            raise SlotBlocked(CLOSED_BESIDE)
        raise error()


def check_override(actor: Actor, override: bool) -> None:
    """Raise PermissionDenied for an override by a patient."""
    if override and not reach_of(actor.role, Operation.OVERRIDE_POLICY):
        raise PermissionDenied("Only staff may override the clinic's policy.")

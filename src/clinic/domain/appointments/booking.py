"""Decides whether a booking is allowed, and everything to write for it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Booking, BookingFacts, checked_type
from clinic.domain.appointments.consequences import audit_entry, messages_to_doctors
from clinic.domain.audit.audit import Action, checked_reason
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    InvalidInput,
    PatientDisabled,
    PatientNotFound,
    PermissionDenied,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
)
from clinic.domain.notifications import CONFIRMATION, messages_for_schedule
from clinic.domain.people.people import Actor, Role
from clinic.domain.permissions import Operation, permit, reach_of
from clinic.domain.status import Status


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
) -> Booking:
    """Return the booking to write (the use case adds its answer).

    `override` lets staff book inside the notice or beyond the horizon. Raises, in this order,
    InvalidInput, SlotNotFound, PatientNotFound, PermissionDenied, PatientDisabled, PolicyRefused,
    SlotBlocked, SlotTaken.
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
    policy = facts.clinic.policy
    policy.check_bookable(slot.starts_at, now, override=override)
    if not override:
        policy.check_open_appointments(facts.full_until, now)
    check_free(slot)
    appointment = Appointment(
        id=new_id(),
        clinic_id=slot.clinic_id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        patient_id=patient.id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        type=type,
        status=Status.BOOKED,
        version=1,
        schedule_version=0,
        status_by=actor.user_id,
        created_at=now,
    )
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
    return Booking(appointment, entry, messages + to_doctor)


def check_override(actor: Actor, override: bool) -> None:
    """Raise PermissionDenied for an override by a patient."""
    if override and not reach_of(actor.role, Operation.OVERRIDE_POLICY):
        raise PermissionDenied("Only staff may override the clinic's policy.")


def check_free(slot: Slot) -> None:
    """Raise SlotBlocked or SlotTaken unless the slot can be booked."""
    if slot.state is SlotState.BLOCKED:
        raise SlotBlocked()
    if slot.taken:
        raise SlotTaken()

"""Decides whether a booking is allowed, and everything to write for it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Booking, BookingFacts, checked_type
from clinic.domain.appointments.consequences import audit_entry, messages_of_time
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import Case, check, no_hours, patient_disabled
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.audit.audit import Action, checked_reason
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import (
    InvalidInput,
    PatientNotFound,
    PermissionDenied,
    SlotNotFound,
    UnknownType,
)
from clinic.domain.notifications import CONFIRMATION
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
    around: Sequence[Slot] = (),
    closed: Sequence[Interval] = (),
    busy: Sequence[Interval] = (),
    blockers: Sequence[Blocker] = (),
    resources: ResourcesTime | None = None,
) -> Booking:
    """Return the booking to write (the use case adds its answer).

    At a clinic that has types, the appointment has the type of the facts, and its length; at any
    other, it is as long as the slot and `type` is any text. `around` are the doctor's slots that
    its busy time overlaps; without them, only the slot itself is looked at. `closed` is time into
    which its buffers may not reach, although there are no slots, and `busy` the doctor's other busy
    times, as far as they have been read: the store finds the rest. `blockers` say why a blocked
    slot is. `resources` are those that the type needs; without them, the store alone says whether
    one is free. `override` lets staff book inside the notice or beyond the horizon. Raises, in this
    order, InvalidInput, SlotNotFound, PatientNotFound, PermissionDenied, PatientDisabled,
    UnknownType, NotOffered, TypeNotBookable, PolicyRefused, SlotBlocked, SlotTaken, DoesNotFit,
    NoResourceFree.
    """
    type = checked_type(type)
    reason = checked_reason(reason)
    slot, patient, kind = facts.slot, facts.patient, facts.type if facts.has_types else None
    if slot is None:
        raise SlotNotFound()
    policy = facts.clinic.policy if kind is None else kind.policy_at(facts.clinic)
    patient_id = actor.user_id if patient is None else patient.id
    needs = () if kind is None else kind.needs
    appointment = draft(slot, kind, type, new_id(), patient_id, actor, now)
    case = Case(
        appointment,
        slot,
        facts.clinic,
        policy,
        now,
        kind,
        facts,
        actor.role is Role.PATIENT,
        override,
        None if override else facts,
        around,
        closed,
        blockers,
        busy,
        needs=needs,
        resources=resources,
    )
    no_hours(case)
    if patient is None:
        raise PatientNotFound()
    permit(actor, Operation.BOOK, doctor_id=slot.doctor_id)
    patient_disabled(case)
    check_override(actor, override)
    if kind is None and facts.has_types:
        raise UnknownType(pointer="/type")
    check(case)
    entry = audit_entry(
        actor, Action.BOOK, None, appointment, reason=reason, now=now, entry_id=new_id()
    )
    messages = messages_of_time(
        CONFIRMATION, None, appointment, clinic=facts.clinic, policy=policy, now=now, new_id=new_id
    )
    return Booking(
        appointment,
        entry,
        messages,
        reaches_beyond=not appointment.is_within(slot),
        needs=needs,
    )


def draft(
    slot: Slot,
    kind: AppointmentType | None,
    type: str | None,
    id: UUID,
    patient_id: UUID,
    actor: Actor,
    now: datetime,
) -> Appointment:
    """Return the appointment of this type that begins in the slot, whether or not it may be booked.
    Without a type, it is as long as the slot, and `type` is its name."""
    return Appointment(
        id=id,
        clinic_id=slot.clinic_id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        patient_id=patient_id,
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
        lane=slot.lane,
    )


def end_of(slot: Slot, kind: AppointmentType | None) -> datetime:
    """Return when an appointment of this type ends that begins in the slot; without a type, it is
    as long as the slot, and where the doctor does not offer it, as long as with others."""
    if kind is None:
        return slot.ends_at
    minutes = kind.visible_min_with(slot.doctor_id) or kind.visible_min
    return slot.starts_at + timedelta(minutes=minutes)


def check_override(actor: Actor, override: bool) -> None:
    """Raise PermissionDenied for an override by a patient."""
    if override and not reach_of(actor.role, Operation.OVERRIDE_POLICY):
        raise PermissionDenied("Only staff may override the clinic's policy.")

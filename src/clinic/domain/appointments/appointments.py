"""An appointment, its status machine, and the changes that may be made to it.

Every function here decides and returns a complete change (all that must be written); nothing is
written here. `docs/architecture.md` draws the machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from uuid import UUID
from zoneinfo import ZoneInfo

from clinic.domain.audit.audit import Action, AuditEntry, checked_reason
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.errors import (
    InvalidInput,
    NotSwappable,
    PatientDisabled,
    PatientNotFound,
    PermissionDenied,
    SameSlot,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
    TooEarly,
    TransitionNotAllowed,
    VersionMismatch,
)
from clinic.domain.idempotency import StoredAnswer
from clinic.domain.notifications import (
    CONFIRMATION,
    RESCHEDULE,
    Message,
    message_for_cancellation,
    messages_for_doctors,
    messages_for_schedule,
)
from clinic.domain.people.people import STAFF, Actor, Patient, Role
from clinic.domain.permissions import Operation, permit, reach_of
from clinic.domain.status import OCCUPYING as OCCUPYING
from clinic.domain.status import OPEN as OPEN
from clinic.domain.status import Status as Status
from clinic.domain.text import checked_line

TYPE_MAX_CHARS = 80


class When(Enum):
    """When a transition may happen, against the appointment's start at the clinic."""

    ANY_TIME = "at any time"
    FROM_START = "not before the start"
    ON_THE_DAY = "on the day of the appointment"


@dataclass(frozen=True, slots=True)
class Transition:
    by: frozenset[Role]
    when: When = When.ANY_TIME


_STAFF = Transition(STAFF)
_ANYONE = Transition(STAFF | {Role.PATIENT})
_ON_THE_DAY = Transition(STAFF, When.ON_THE_DAY)
_FROM_START = Transition(STAFF, When.FROM_START)
_SERVICE = Transition(frozenset({Role.SYSTEM}))

#: from → to → who and when; what is not here is not allowed
TRANSITIONS: Mapping[Status, Mapping[Status, Transition]] = {
    Status.HELD: {
        Status.BOOKED: _ANYONE,
        Status.EXPIRED: _SERVICE,
        Status.CANCELLED: _ANYONE,
    },
    Status.BOOKED: {
        Status.CONFIRMED: _ANYONE,
        Status.ARRIVED: _ON_THE_DAY,
        Status.CANCELLED: _ANYONE,
        Status.NO_SHOW: _FROM_START,
        Status.COMPLETED: _FROM_START,
    },
    Status.CONFIRMED: {
        Status.ARRIVED: _ON_THE_DAY,
        Status.CANCELLED: _ANYONE,
        Status.NO_SHOW: _FROM_START,
        Status.COMPLETED: _FROM_START,
    },
    Status.ARRIVED: {
        Status.COMPLETED: _FROM_START,
        Status.CANCELLED: _STAFF,
    },
    Status.COMPLETED: {},
    Status.CANCELLED: {},
    Status.NO_SHOW: {},
    Status.EXPIRED: {},
}

#: the statuses in which an appointment may move to another slot
MOVABLE = frozenset({Status.BOOKED, Status.CONFIRMED})


@dataclass(frozen=True, slots=True)
class Appointment:
    """One patient in one slot. Doctor and times are the slot's, copied."""

    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    patient_id: UUID
    starts_at: datetime
    ends_at: datetime
    type: str | None
    status: Status
    #: rises with every change; the ETag
    version: int
    #: rises only when it moves, swaps or is cancelled; the iCalendar SEQUENCE
    schedule_version: int
    #: who brought it into its status
    status_by: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AppointmentView:
    """An appointment as people read it: with names and the clinic's zone."""

    appointment: Appointment
    doctor_name: str
    patient_name: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class BookingFacts:
    """All that must be known to decide a booking; None is what does not exist."""

    clinic: Clinic
    slot: Slot | None
    doctor_name: str
    patient: Patient | None
    #: an earlier answer to the same idempotency key
    stored: StoredAnswer | None = None
    #: the patient is neither disabled nor erased, and still belongs to the clinic
    patient_open: bool = True
    #: when the patient's `max_open_appointments`-th latest open appointment starts; None with fewer
    full_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """A new appointment and all that is written with it, all or nothing."""

    appointment: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...]
    #: kept for the idempotency key, when the request bears one
    stored: StoredAnswer | None = None

    @property
    def takes(self) -> UUID | None:
        """The slot that the appointment occupies, if it does."""
        return self.appointment.slot_id if self.appointment.status.occupies else None


@dataclass(frozen=True, slots=True)
class Change:
    """An appointment before and after, and all that is written with the change."""

    before: Appointment
    after: Appointment
    audit: AuditEntry
    messages: tuple[Message, ...] = ()

    @property
    def frees(self) -> UUID | None:
        """The slot that the appointment leaves, if it does."""
        leaves = not self.after.status.occupies or self.after.slot_id != self.before.slot_id
        return self.before.slot_id if self.before.status.occupies and leaves else None

    @property
    def takes(self) -> UUID | None:
        """The slot that the appointment moves into, if it does."""
        enters = not self.before.status.occupies or self.after.slot_id != self.before.slot_id
        return self.after.slot_id if self.after.status.occupies and enters else None


def checked_type(value: str | None) -> str | None:
    """Return the appointment's type as it is stored. Raises InvalidInput."""
    if value is None:
        return None
    return checked_line(value, "type", max_chars=TYPE_MAX_CHARS, pointer="/type")


def _entry(
    actor: Actor,
    action: Action,
    before: Appointment | None,
    after: Appointment,
    *,
    reason: str,
    now: datetime,
    entry_id: UUID,
) -> AuditEntry:
    return AuditEntry(
        id=entry_id,
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        at=now,
        actor_id=actor.user_id,
        actor_role=actor.role,
        action=action,
        from_status=before.status if before else None,
        to_status=after.status,
        from_slot_id=before.slot_id if before else None,
        to_slot_id=after.slot_id,
        version=after.version,
        reason=reason,
        request_id=actor.request_id,
        ip=actor.ip,
        session_id=actor.session_id,
    )


def patient_to_book_for(actor: Actor, patient_id: UUID | None) -> UUID:
    """Return whom the actor books for: patients for themselves, staff for the patient they name.

    Raises InvalidInput when staff name nobody, PatientNotFound when a patient names another one.
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
    """Return the booking to write (its answer is added by the use case).

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
    _check_override(actor, override)
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
    entry = _entry(actor, Action.BOOK, None, appointment, reason=reason, now=now, entry_id=new_id())
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
    to_doctor = _messages_for_doctors(None, appointment, facts.clinic, now, new_id)
    return Booking(appointment, entry, messages + to_doctor)


def _check_override(actor: Actor, override: bool) -> None:
    if override and not reach_of(actor.role, Operation.OVERRIDE_POLICY):
        raise PermissionDenied("Only staff may override the clinic's policy.")


def check_free(slot: Slot) -> None:
    """Raise SlotBlocked or SlotTaken unless the slot can be booked."""
    if slot.state is SlotState.BLOCKED:
        raise SlotBlocked()
    if slot.taken:
        raise SlotTaken()


def check_version(appointment: Appointment, expected_version: int | None) -> None:
    """Raise VersionMismatch unless `expected_version` is None or the appointment's."""
    if expected_version is not None and expected_version != appointment.version:
        raise VersionMismatch(version=appointment.version)


def already_there(appointment: Appointment, to: Status, actor: Actor) -> bool:
    """Say whether this actor has already brought the appointment into this status."""
    return appointment.status is to and appointment.status_by == actor.user_id


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
    """Return the change of `before` into status `to`.

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
    entry = _entry(
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
    to_doctor = _messages_for_doctors(before, after, clinic, now, new_id)
    return Change(before, after, entry, (word, *to_doctor))


def check_status(
    before: Appointment, to: Status, *, actor: Actor, clinic: Clinic, now: datetime
) -> None:
    """Refuse a change into status `to` that the actor may not make, or not now.

    Raises PermissionDenied, TransitionNotAllowed, InsideCancelNotice, TooEarly.
    """
    transition = TRANSITIONS[before.status].get(to)
    if transition is None:
        _refuse_transition(before, to, actor)
    elif actor.role not in transition.by:
        raise PermissionDenied(f"A {actor.role.lower()} may not make an appointment {to}.")
    else:
        if actor.role is Role.PATIENT and to is Status.CANCELLED:
            clinic.policy.check_own_change(before.starts_at, now)
        _check_time(before, to, transition.when, clinic, now)


def _refuse_transition(before: Appointment, to: Status, actor: Actor) -> None:
    allowed = [
        target for target, rule in TRANSITIONS[before.status].items() if actor.role in rule.by
    ]
    choices = ", ".join(allowed) or "nothing: this status is final"
    raise TransitionNotAllowed(
        f"An appointment that is {before.status} cannot become {to}; allowed: {choices}.",
        **{"from": before.status.value, "to": to.value, "allowed": [str(s) for s in allowed]},
    )


def _check_time(
    appointment: Appointment, to: Status, when: When, clinic: Clinic, now: datetime
) -> None:
    early = when is When.FROM_START and now < appointment.starts_at
    wrong_day = when is When.ON_THE_DAY and (
        clinic.local_date(now) != clinic.local_date(appointment.starts_at)
    )
    if early or wrong_day:
        raise TooEarly(f"An appointment becomes {to} {when.value}.", to=to.value, when=when.value)


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
) -> Change:
    """Return the change that moves `before` into `slot`, keeping its id.

    Raises InvalidInput, SlotNotFound, PermissionDenied, TransitionNotAllowed, PolicyRefused,
    SameSlot, SlotBlocked, SlotTaken.
    """
    reason = checked_reason(reason)
    if slot is None or slot.state is SlotState.RETIRED:
        raise SlotNotFound()
    permit(actor, Operation.CHANGE_APPOINTMENT, doctor_id=slot.doctor_id)
    _check_override(actor, override)
    check_move(before, actor=actor, policy=clinic.policy, now=now)
    if slot.id == before.slot_id:
        raise SameSlot()
    clinic.policy.check_bookable(slot.starts_at, now, override=override)
    check_free(slot)
    return _moved(before, slot, Action.RESCHEDULE, actor, clinic, reason, now, new_id)


def check_move(before: Appointment, *, actor: Actor, policy: Policy, now: datetime) -> None:
    """Refuse a move out of the appointment's slot, wherever it is to go.

    Raises TransitionNotAllowed, InsideCancelNotice.
    """
    if before.status not in MOVABLE:
        raise TransitionNotAllowed(
            f"An appointment that is {before.status} cannot move; only BOOKED and CONFIRMED can.",
            **{"from": before.status.value, "allowed": []},
        )
    if actor.role is Role.PATIENT:
        policy.check_own_change(before.starts_at, now)


def _moved(
    before: Appointment,
    slot: Slot,
    action: Action,
    actor: Actor,
    clinic: Clinic,
    reason: str,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Change:
    # Moved by staff, the patient has not confirmed the new time yet.
    unconfirmed = actor.is_staff and before.status is Status.CONFIRMED
    after = replace(
        before,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        status=Status.BOOKED if unconfirmed else before.status,
        status_by=actor.user_id if unconfirmed else before.status_by,
        version=before.version + 1,
        schedule_version=before.schedule_version + 1,
    )
    entry = _entry(actor, action, before, after, reason=reason, now=now, entry_id=new_id())
    messages = messages_for_schedule(
        kind=RESCHEDULE,
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        version=after.schedule_version,
        starts_at=after.starts_at,
        policy=clinic.policy,
        now=now,
        new_id=new_id,
    )
    to_doctors = _messages_for_doctors(before, after, clinic, now, new_id)
    return Change(before, after, entry, messages + to_doctors)


def _messages_for_doctors(
    before: Appointment | None,
    after: Appointment,
    clinic: Clinic,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Message, ...]:
    return messages_for_doctors(
        clinic_id=after.clinic_id,
        appointment_id=after.id,
        version=after.schedule_version,
        zone=clinic.zone,
        before=(before.doctor_id, before.starts_at) if before else None,
        after=(after.doctor_id, after.starts_at),
        now=now,
        new_id=new_id,
    )


def decide_swap(
    one: tuple[Appointment, Slot],
    two: tuple[Appointment, Slot],
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[Change, Change]:
    """Return the changes by which two appointments exchange their slots.

    Raises InvalidInput, PermissionDenied, NotSwappable, SlotInPast, SlotBlocked.
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
    if a.ends_at - a.starts_at != b.ends_at - b.starts_at:
        raise NotSwappable("The two appointments do not last equally long.")
    if SlotState.BLOCKED in (slot_a.state, slot_b.state):
        raise SlotBlocked()
    return (
        _moved(a, slot_b, Action.SWAP, actor, clinic, reason, now, new_id),
        _moved(b, slot_a, Action.SWAP, actor, clinic, reason, now, new_id),
    )

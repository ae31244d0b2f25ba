"""Decides whether a status is taken back: an arrival, an end or a cancellation by mistake."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Change
from clinic.domain.appointments.booking import check_override
from clinic.domain.appointments.consequences import audit_entry, messages_of_time
from clinic.domain.appointments.rules import Case, Surroundings, check
from clinic.domain.appointments.transitions import UNDOS
from clinic.domain.audit.audit import Action, AuditEntry, checked_reason
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.errors import PatientDisabled, SlotBlocked, TooLateToUndo, TransitionNotAllowed
from clinic.domain.notifications import CONFIRMATION
from clinic.domain.people.people import Actor
from clinic.domain.permissions import Operation, permit
from clinic.domain.status import Status


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an appointment's trail says about its status now."""

    #: the status that it had before
    status: Status
    #: when it got the one that it has
    until: datetime


def is_undo(before: Appointment, to: Status) -> bool:
    """Return whether a change to `to` would take the appointment's status back."""
    return to in UNDOS.get(before.status, {})


def earlier_status(trail: Iterable[AuditEntry]) -> Earlier | None:
    """Return what a trail, oldest entry first, says about the status before; None when it has only
    had one."""
    had: list[AuditEntry] = []
    for entry in trail:
        takes_back = entry.action is Action.UNDO and len(had) > 1
        if takes_back and had[-2].to_status is entry.to_status:
            had.pop()
        elif not had or had[-1].to_status is not entry.to_status:
            had.append(entry)
    return Earlier(had[-2].to_status, had[-1].at) if len(had) > 1 else None


def decide_undo(
    before: Appointment,
    to: Status,
    earlier: Earlier | None,
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Change:
    """Return the change that takes an arrival, an end or an absence back, to the status `to` that
    the appointment had before. It keeps its place and its messages.

    Raises InvalidInput, PermissionDenied, TransitionNotAllowed, and TooLateToUndo on another day at
    the clinic than the one on which it got the status.
    """
    reason = checked_reason(reason)
    permit(actor, Operation.UNDO, doctor_id=before.doctor_id)
    if earlier is None or earlier.status is not to:
        allowed = [] if earlier is None else [str(earlier.status)]
        raise TransitionNotAllowed(
            f"An appointment that is {before.status} can only become what it was before:"
            f" {', '.join(allowed) or 'nothing'}.",
            **{"from": before.status.value, "to": to.value, "allowed": allowed},
        )
    rule = UNDOS[before.status][to]
    if clinic.local_date(now) != clinic.local_date(earlier.until):
        raise TooLateToUndo(
            f"An appointment that is {before.status} can become {to} again {rule.when.value}.",
            when=rule.when.value,
        )
    after = replace(before, status=to, version=before.version + 1, status_by=actor.user_id)
    entry = audit_entry(
        actor, Action.UNDO, before, after, reason=reason, now=now, entry_id=new_id()
    )
    return Change(before, after, entry)


@dataclass(frozen=True, slots=True)
class Place:
    """What a cancelled appointment finds at its place, as it is now."""

    #: the slot that it began in
    slot: Slot
    around: Surroundings
    #: whether the patient can be booked for
    patient_open: bool
    #: what the limits are checked against; None when they are waived
    brakes: Brakes | None


def decide_return(
    before: Appointment,
    place: Place,
    *,
    actor: Actor,
    clinic: Clinic,
    reason: str | None,
    override: bool,
    now: datetime,
    new_id: Callable[[], UUID],
) -> Change:
    """Return the change that books a cancelled appointment again, at its place and with its id.

    The patient gets a confirmation, and reminders are planned as for a new one. `override` waives
    the limits on a patient's appointments. Raises, in this order, InvalidInput, PermissionDenied,
    PatientDisabled, PolicyRefused, SlotBlocked, SlotTaken, DoesNotFit.
    """
    reason = checked_reason(reason)
    permit(actor, Operation.UNDO, doctor_id=before.doctor_id)
    if not place.patient_open:
        raise PatientDisabled()
    check_override(actor, override)
    after = replace(
        before,
        status=Status.BOOKED,
        version=before.version + 1,
        schedule_version=before.schedule_version + 1,
        status_by=actor.user_id,
    )
    check(
        Case(
            after,
            place.slot,
            clinic,
            clinic.policy,
            now,
            override=True,
            brakes=None if place.brakes is None else replace(place.brakes, day_full_since=None),
            around=place.around.slots,
            closed=place.around.closed,
            blockers=place.around.blockers,
            busy=place.around.busy,
        )
    )
    if place.slot.state is SlotState.RETIRED:
        raise SlotBlocked("The doctor has no hours at the time of this appointment any more.")
    entry = audit_entry(
        actor, Action.UNDO, before, after, reason=reason, now=now, entry_id=new_id()
    )
    messages = messages_of_time(
        CONFIRMATION, before, after, clinic=clinic, policy=clinic.policy, now=now, new_id=new_id
    )
    return Change(before, after, entry, messages)

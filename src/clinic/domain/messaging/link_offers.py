"""What patients may still do about an appointment themselves, so that nothing else is offered.

It is decided by the same checks that refuse the change.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.transitions import check_move, check_status
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicError, InsideCancelNotice
from clinic.domain.links import Link, Purpose
from clinic.domain.people.people import Actor, Role
from clinic.domain.status import Status


class LinkState(Enum):
    """What the page behind an appointment's link has to say."""

    ASKS = "it can do what the link is for"
    DONE = "it has just done so"
    CONFIRMED = "already confirmed"
    CANCELLED = "cancelled"
    MOVED = "moved since, or cancelled and booked again"
    LATE = "inside the cancel notice"
    OVER = "arrived, completed, missed or expired"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the patient may do."""

    confirm: bool
    cancel: bool
    move: bool


def offer_of(appointment: Appointment, clinic: Clinic, now: datetime) -> Offer:
    """Return which of the patient's changes would be allowed now."""

    def is_possible(purpose: Purpose) -> bool:
        return _refusal(purpose, appointment, clinic, now) is None

    return Offer(
        confirm=is_possible(Purpose.CONFIRM),
        cancel=is_possible(Purpose.CANCEL),
        move=is_possible(Purpose.MOVE),
    )


def link_state(link: Link, appointment: Appointment, clinic: Clinic, now: datetime) -> LinkState:
    """Return what the page of `link` says before anything is done."""
    if appointment.status is Status.CANCELLED:
        return LinkState.CANCELLED
    if appointment.schedule_version != link.version:
        return LinkState.MOVED
    if link.purpose is Purpose.CONFIRM and appointment.status is Status.CONFIRMED:
        return LinkState.CONFIRMED
    refusal = _refusal(link.purpose, appointment, clinic, now)
    if refusal is None:
        return LinkState.ASKS
    return LinkState.LATE if isinstance(refusal, InsideCancelNotice) else LinkState.OVER


def _refusal(
    purpose: Purpose, appointment: Appointment, clinic: Clinic, now: datetime
) -> ClinicError | None:
    patient = Actor(appointment.patient_id, Role.PATIENT, appointment.clinic_id)
    try:
        if purpose is Purpose.MOVE:
            check_move(appointment, actor=patient, policy=clinic.policy, now=now)
        else:
            to = Status.CONFIRMED if purpose is Purpose.CONFIRM else Status.CANCELLED
            check_status(appointment, to, actor=patient, clinic=clinic, now=now)
    except ClinicError as error:
        return error
    return None

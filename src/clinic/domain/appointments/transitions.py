"""The status machine: which changes are allowed, by whom and when.

`docs/architecture.md` has the diagram.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.errors import (
    PermissionDenied,
    TooEarly,
    TransitionNotAllowed,
    VersionMismatch,
)
from clinic.domain.people.people import STAFF, Actor, Role
from clinic.domain.status import Status


class When(Enum):
    """When a transition may happen, relative to the appointment's start at the clinic."""

    ANY_TIME = "at any time"
    FROM_START = "not before the start"
    ON_THE_DAY = "on the day of the appointment"
    BEFORE_START = "before the start"
    SAME_DAY = "on the day on which it got this status"


@dataclass(frozen=True, slots=True)
class Transition:
    by: frozenset[Role]
    when: When = When.ANY_TIME


_STAFF = Transition(STAFF)


_ANYONE = Transition(STAFF | {Role.PATIENT})


_ON_THE_DAY = Transition(STAFF, When.ON_THE_DAY)


_FROM_START = Transition(STAFF, When.FROM_START)


_BEFORE_START = Transition(STAFF, When.BEFORE_START)


_SAME_DAY = Transition(STAFF, When.SAME_DAY)


_SERVICE = Transition(frozenset({Role.SYSTEM}))


#: from → to → who and when; transitions that are not listed are not allowed
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


#: the same for what takes a status back; only to the one that it had before, but a cancelled
#: appointment is booked again
UNDOS: Mapping[Status, Mapping[Status, Transition]] = {
    Status.ARRIVED: {
        Status.BOOKED: _SAME_DAY,
        Status.CONFIRMED: _SAME_DAY,
    },
    Status.COMPLETED: {
        Status.BOOKED: _SAME_DAY,
        Status.CONFIRMED: _SAME_DAY,
        Status.ARRIVED: _SAME_DAY,
    },
    Status.NO_SHOW: {
        Status.BOOKED: _SAME_DAY,
        Status.CONFIRMED: _SAME_DAY,
    },
    Status.CANCELLED: {
        Status.BOOKED: _BEFORE_START,
    },
}


#: the statuses in which an appointment may move to another slot
MOVABLE = frozenset({Status.BOOKED, Status.CONFIRMED})


def check_version(appointment: Appointment, expected_version: int | None) -> None:
    """Raise VersionMismatch unless `expected_version` is None or the appointment's."""
    if expected_version is not None and expected_version != appointment.version:
        raise VersionMismatch(version=appointment.version)


def already_there(appointment: Appointment, to: Status, actor: Actor) -> bool:
    """Return whether this actor has already given the appointment this status."""
    return appointment.status is to and appointment.status_by == actor.user_id


def check_status(
    before: Appointment, to: Status, *, actor: Actor, clinic: Clinic, now: datetime
) -> None:
    """Refuse a change to status `to` that this actor may not make, or may not make now.

    Raises PermissionDenied, TransitionNotAllowed, InsideCancelNotice, TooEarly.
    """
    transition = TRANSITIONS[before.status].get(to)
    if transition is None:
        _refuse_transition(before, to, actor)
    elif actor.role not in transition.by:
        raise PermissionDenied(f"A {actor.role.lower()} may not make an appointment {to}.")
    else:
        if actor.role is Role.PATIENT and to is Status.CANCELLED:
            clinic.policy.check_own_change(before.starts_at, before.created_at, now)
        _check_time(before, to, transition.when, clinic, now)


def _refuse_transition(before: Appointment, to: Status, actor: Actor) -> None:
    rules = {**TRANSITIONS[before.status], **UNDOS.get(before.status, {})}
    allowed = [target for target, rule in rules.items() if actor.role in rule.by]
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


def check_move(before: Appointment, *, actor: Actor, policy: Policy, now: datetime) -> None:
    """Refuse to move the appointment out of its slot, whatever the new slot.

    Raises TransitionNotAllowed, InsideCancelNotice.
    """
    if before.status not in MOVABLE:
        raise TransitionNotAllowed(
            f"An appointment that is {before.status} cannot move; only BOOKED and CONFIRMED can.",
            **{"from": before.status.value, "allowed": []},
        )
    if actor.role is Role.PATIENT:
        policy.check_own_change(before.starts_at, before.created_at, now)

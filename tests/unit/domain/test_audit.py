"""A trail leads to its appointment's state, or the mismatch is found."""

from dataclasses import replace
from uuid import uuid4

import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.audit.audit import NO_REASON, AuditEntry, Replayed, checked_reason, replay
from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import Doctor
from clinic.testing.builders import (
    MORNING,
    a_booking,
    a_clinic,
    a_move,
    a_patient,
    a_status_change,
    slots_of,
)

CLINIC = a_clinic()
FIRST, SECOND = slots_of(Doctor(CLINIC.id, uuid4(), "Dr Hill", "General"), 2)


def trail() -> list[AuditEntry]:
    booking = a_booking(CLINIC, FIRST, a_patient(CLINIC))
    move = a_move(CLINIC, booking.appointment, SECOND)
    confirm = a_status_change(CLINIC, move.after, Status.CONFIRMED)
    done = a_status_change(CLINIC, confirm.after, Status.COMPLETED, now=MORNING.replace(hour=20))
    return [booking.audit, move.audit, confirm.audit, done.audit]


def test_replay_leads_to_where_the_appointment_stands() -> None:
    entries = trail()

    stands = [replay(entries[:length]) for length in (1, 2, 3, 4)]

    assert stands == [
        Replayed(Status.BOOKED, FIRST.id, 1),
        Replayed(Status.BOOKED, SECOND.id, 2),
        Replayed(Status.CONFIRMED, SECOND.id, 3),
        Replayed(Status.COMPLETED, SECOND.id, 4),
    ]


def test_replay_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="without a trail"):
        replay([])


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_replay_with_an_entry_missing_raises(missing: int) -> None:
    entries = trail()
    del entries[missing]

    with pytest.raises(ValueError, match="does not follow"):
        replay(entries)


@pytest.mark.parametrize(
    "forgery",
    [
        {"version": 7},
        {"from_status": Status.CONFIRMED},
        {"from_slot_id": uuid4()},
        {"to_slot_id": uuid4()},
        {"to_status": Status.ARRIVED},
    ],
)
def test_replay_with_a_forged_entry_raises(forgery) -> None:
    entries = trail()
    entries[1] = replace(entries[1], **forgery)

    with pytest.raises(ValueError, match="does not follow"):
        replay(entries)


def test_replay_out_of_order_raises() -> None:
    one, two, *rest = trail()

    with pytest.raises(ValueError, match="does not follow"):
        replay([two, one, *rest])


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, NO_REASON), ("", NO_REASON), ("  a \n b ", "a b"), ("x" * 500, "x" * 500)],
)
def test_reason_is_trimmed(given: str | None, kept: str) -> None:
    assert checked_reason(given) == kept


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b", "\u202e"])
def test_reason_that_is_odd_is_refused(reason: str) -> None:
    with pytest.raises(InvalidInput):
        checked_reason(reason)

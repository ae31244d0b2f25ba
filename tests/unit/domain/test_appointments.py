"""Transitions of appointments: every status, role and time of the table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from clinic.domain.appointments.appointments import OCCUPYING, BookingFacts, Change, Status
from clinic.domain.appointments.booking import decide_booking, patient_to_book_for
from clinic.domain.appointments.changes import decide_move, decide_status, decide_swap
from clinic.domain.appointments.transitions import (
    TRANSITIONS,
    UNDOS,
    already_there,
    check_version,
)
from clinic.domain.audit.audit import NO_REASON, Action, AuditEntry
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import (
    BeyondHorizon,
    ClinicError,
    InsideCancelNotice,
    InsideNotice,
    InvalidInput,
    NotSwappable,
    PatientNotFound,
    PermissionDenied,
    SameSlot,
    SlotBlocked,
    SlotInPast,
    SlotNotFound,
    SlotTaken,
    TooEarly,
    TransitionNotAllowed,
    VersionMismatch,
)
from clinic.domain.people.people import Actor, Doctor, Patient, Role
from clinic.testing.builders import a_clinic, a_slot, an_appointment
from clinic.testing.ids import CountingIds

CLINIC = a_clinic(policy=Policy(notice_min=60, horizon_days=30, cancel_notice_min=120))
DOCTOR = Doctor(CLINIC.id, uuid4(), "Dr Hill", "General")
COLLEAGUE = Doctor(CLINIC.id, uuid4(), "Dr Khan", "General")
PATIENT = Patient(CLINIC.id, uuid4(), "Ada Adams", "ada@example.org")
OTHER_PATIENT = Patient(CLINIC.id, uuid4(), "Ben Bell", "ben@example.org")
#: a Tuesday, ten in the morning in London
START = datetime(2026, 11, 24, 10, tzinfo=UTC)
SLOT = a_slot(DOCTOR, START)
DAY_BEFORE = START - timedelta(days=1)
HOUR = timedelta(hours=1)
USERS = {Role.PATIENT: PATIENT.id, Role.DOCTOR: DOCTOR.id}


def actor(role: Role) -> Actor:
    return Actor(
        USERS.get(role) or uuid4(), role, CLINIC.id, "request-1", "192.0.2.1", session_id=uuid4()
    )


# --- the table, restated from the clinic's rules and not from the code ---

ALL = "PATIENT DOCTOR RECEPTIONIST ADMIN SYSTEM"
STAFF = "DOCTOR RECEPTIONIST ADMIN SYSTEM"
RULES = {
    ("HELD", "BOOKED"): ALL,
    ("HELD", "EXPIRED"): "SYSTEM",
    ("HELD", "CANCELLED"): ALL,
    ("BOOKED", "CONFIRMED"): ALL,
    ("BOOKED", "ARRIVED"): STAFF,
    ("BOOKED", "CANCELLED"): ALL,
    ("BOOKED", "NO_SHOW"): STAFF,
    ("BOOKED", "COMPLETED"): STAFF,
    ("CONFIRMED", "ARRIVED"): STAFF,
    ("CONFIRMED", "CANCELLED"): ALL,
    ("CONFIRMED", "NO_SHOW"): STAFF,
    ("CONFIRMED", "COMPLETED"): STAFF,
    ("ARRIVED", "COMPLETED"): STAFF,
    ("ARRIVED", "CANCELLED"): STAFF,
}
TIMES = {
    "the day before": DAY_BEFORE,
    "two hours before": START - 2 * HOUR,
    "a minute later than that": START - 2 * HOUR + timedelta(minutes=1),
    "at the start": START,
    "in the evening": START + 10 * HOUR,
    "the day after": START + 24 * HOUR,
}


def expected(was: Status, to: Status, role: Role, now: datetime) -> type[ClinicError] | None:
    who = RULES.get((was, to))
    if who is None:
        return TransitionNotAllowed
    if role not in who.split():
        return PermissionDenied
    if role is Role.PATIENT and to is Status.CANCELLED and now > START - 2 * HOUR:
        return InsideCancelNotice
    if to in (Status.COMPLETED, Status.NO_SHOW) and now < START:
        return TooEarly
    if to is Status.ARRIVED and now.date() != START.date():
        return TooEarly
    return None


def decide(was: Status, to: Status, role: Role, now: datetime, reason: str | None = None) -> Change:
    before = an_appointment(SLOT, PATIENT.id, was, version=7)
    return decide_status(
        before, to, actor=actor(role), clinic=CLINIC, reason=reason, now=now, new_id=uuid4
    )


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("to", list(Status))
@pytest.mark.parametrize("was", list(Status))
def test_decide_status_follows_the_table(was: Status, to: Status, role: Role) -> None:
    outcomes: dict[str, type[ClinicError] | None] = {}
    wanted: dict[str, type[ClinicError] | None] = {}
    for name, now in TIMES.items():
        wanted[name] = expected(was, to, role, now)
        try:
            change = decide(was, to, role, now)
            outcomes[name] = None
            assert (change.before.status, change.after.status) == (was, to)
        except ClinicError as error:
            outcomes[name] = type(error)

    assert outcomes == wanted


def test_transitions_lead_on_from_every_status_that_is_not_final() -> None:
    final = {status for status in Status if not TRANSITIONS[status]}

    assert final == {Status.COMPLETED, Status.CANCELLED, Status.NO_SHOW, Status.EXPIRED}
    assert final - set(UNDOS) == {Status.EXPIRED}


def test_undo_leads_back_to_where_the_status_can_have_come_from() -> None:
    for status, targets in UNDOS.items():
        before = {each for each in Status if status in TRANSITIONS[each]}
        assert set(targets) <= before
        if status is not Status.CANCELLED:
            assert set(targets) == before


def test_occupying_is_every_status_but_cancelled_and_expired() -> None:
    assert set(Status) - set(OCCUPYING) == {Status.CANCELLED, Status.EXPIRED}


def test_decide_status_arrived_goes_by_the_clinics_own_day() -> None:
    # In the evening in London, the day of the appointment has begun in Kathmandu.
    nepal = replace(CLINIC, time_zone="Asia/Kathmandu")
    late = a_slot(DOCTOR, datetime(2026, 11, 24, 4, tzinfo=UTC))
    before = an_appointment(late, PATIENT.id)
    eve_in_london = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)

    change = decide_status(
        before,
        Status.ARRIVED,
        actor=actor(Role.RECEPTIONIST),
        clinic=nepal,
        reason=None,
        now=eve_in_london,
        new_id=uuid4,
    )

    assert change.after.status is Status.ARRIVED


def test_decide_status_returns_the_whole_change() -> None:
    who, ids = actor(Role.RECEPTIONIST), CountingIds()
    before = an_appointment(SLOT, PATIENT.id, Status.BOOKED, version=3)

    change = decide_status(
        before,
        Status.CONFIRMED,
        actor=who,
        clinic=CLINIC,
        reason="  by  telephone ",
        now=DAY_BEFORE,
        new_id=ids,
    )

    after = replace(before, status=Status.CONFIRMED, version=4, status_by=who.user_id)
    entry = AuditEntry(
        id=CountingIds()(),
        clinic_id=CLINIC.id,
        appointment_id=before.id,
        at=DAY_BEFORE,
        actor_id=who.user_id,
        actor_role=Role.RECEPTIONIST,
        action=Action.CHANGE_STATUS,
        from_status=Status.BOOKED,
        to_status=Status.CONFIRMED,
        from_slot_id=SLOT.id,
        to_slot_id=SLOT.id,
        version=4,
        reason="by telephone",
        request_id="request-1",
        ip="192.0.2.1",
        session_id=who.session_id,
    )
    assert change == Change(before, after, entry)
    assert (change.frees, change.takes) == (None, None)


def test_decide_status_cancelled_frees_the_slot_and_tells_the_patient() -> None:
    change = decide(Status.BOOKED, Status.CANCELLED, Role.ADMIN, START - 3 * 24 * HOUR)

    assert (change.frees, change.takes) == (SLOT.id, None)
    assert (change.after.version, change.after.schedule_version) == (8, 1)
    assert [message.kind for message in change.messages] == ["cancellation"]
    assert change.audit.reason == NO_REASON


@pytest.mark.parametrize("to", [Status.CONFIRMED, Status.NO_SHOW, Status.COMPLETED])
def test_decide_status_otherwise_keeps_slot_and_schedule(to: Status) -> None:
    change = decide(Status.BOOKED, to, Role.ADMIN, START)

    assert (change.frees, change.takes) == (None, None)
    assert (change.after.schedule_version, change.messages) == (0, ())


def test_decide_status_not_in_the_table_names_what_is_allowed() -> None:
    with pytest.raises(TransitionNotAllowed) as refused:
        decide(Status.CONFIRMED, Status.BOOKED, Role.PATIENT, DAY_BEFORE)

    assert refused.value.facts == {"from": "CONFIRMED", "to": "BOOKED", "allowed": ["CANCELLED"]}
    assert refused.value.message == (
        "An appointment that is CONFIRMED cannot become BOOKED; allowed: CANCELLED."
    )


def test_decide_status_from_a_final_one_says_so() -> None:
    with pytest.raises(TransitionNotAllowed, match="nothing: this status is final"):
        decide(Status.EXPIRED, Status.BOOKED, Role.ADMIN, DAY_BEFORE)


def test_decide_status_with_a_reason_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput):
        decide(Status.BOOKED, Status.CONFIRMED, Role.ADMIN, DAY_BEFORE, "x" * 501)


def test_already_there_is_true_for_the_same_actor_only() -> None:
    appointment = replace(an_appointment(SLOT, PATIENT.id), status_by=PATIENT.id)

    assert already_there(appointment, Status.BOOKED, actor(Role.PATIENT))
    assert not already_there(appointment, Status.BOOKED, actor(Role.ADMIN))
    assert not already_there(appointment, Status.CONFIRMED, actor(Role.PATIENT))


def test_check_version_that_is_stale_raises() -> None:
    appointment = an_appointment(SLOT, PATIENT.id, version=3)

    check_version(appointment, None)
    check_version(appointment, 3)
    with pytest.raises(VersionMismatch) as refused:
        check_version(appointment, 2)
    assert refused.value.facts == {"version": 3}


# --- booking ---


def facts(slot: Slot | None = SLOT, patient: Patient | None = PATIENT) -> BookingFacts:
    return BookingFacts(CLINIC, slot, DOCTOR.name, patient)


def book(
    known: BookingFacts,
    role: Role = Role.RECEPTIONIST,
    *,
    now: datetime = DAY_BEFORE,
    override: bool = False,
    who: Actor | None = None,
    kind: str | None = None,
    reason: str | None = None,
):
    return decide_booking(
        known,
        actor=who or actor(role),
        type=kind,
        reason=reason,
        override=override,
        now=now,
        new_id=uuid4,
    )


def test_decide_booking_returns_appointment_entry_and_messages() -> None:
    who = actor(Role.PATIENT)

    booking = book(facts(), who=who, kind=" Follow-up ", reason="cough", now=START - 48 * HOUR)

    appointment = booking.appointment
    assert appointment == replace(
        an_appointment(SLOT, PATIENT.id),
        id=appointment.id,
        type="Follow-up",
        status_by=PATIENT.id,
        created_at=START - 48 * HOUR,
    )
    assert booking.audit == AuditEntry(
        booking.audit.id,
        CLINIC.id,
        appointment.id,
        START - 48 * HOUR,
        PATIENT.id,
        Role.PATIENT,
        Action.BOOK,
        None,
        Status.BOOKED,
        None,
        SLOT.id,
        1,
        "cough",
        "request-1",
        "192.0.2.1",
        who.session_id,
    )
    assert [(message.kind, message.scheduled_for) for message in booking.messages] == [
        ("confirmation", START - 48 * HOUR),
        ("reminder_1440m", START - 24 * HOUR),
        ("reminder_120m", START - 2 * HOUR),
    ]
    assert booking.stored is None


RETIRED = replace(SLOT, state=SlotState.RETIRED)
BLOCKED = replace(SLOT, state=SlotState.BLOCKED)
TAKEN = replace(SLOT, taken=True)


@pytest.mark.parametrize(
    ("known", "options", "error"),
    [
        (facts(slot=None), {}, SlotNotFound),
        (facts(slot=RETIRED), {}, SlotNotFound),
        (facts(patient=None), {}, PatientNotFound),
        (facts(BLOCKED), {}, SlotBlocked),
        (facts(replace(BLOCKED, taken=True)), {}, SlotBlocked),
        (facts(TAKEN), {}, SlotTaken),
        (facts(), {"now": START}, SlotInPast),
        (facts(), {"now": START, "override": True}, SlotInPast),
        (facts(), {"now": START - HOUR + timedelta(minutes=1)}, InsideNotice),
        (facts(), {"now": START - timedelta(days=30, minutes=1)}, BeyondHorizon),
        (facts(), {"role": Role.PATIENT, "override": True}, PermissionDenied),
        (facts(a_slot(COLLEAGUE, START)), {"role": Role.DOCTOR}, PermissionDenied),
        (facts(), {"kind": "x" * 81}, InvalidInput),
        (facts(), {"kind": " "}, InvalidInput),
        (facts(), {"reason": "\x00"}, InvalidInput),
    ],
)
def test_decide_booking_refuses(known: BookingFacts, options, error) -> None:
    with pytest.raises(error):
        book(known, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"now": START - HOUR},
        {"now": START - timedelta(days=30)},
        {"now": START - timedelta(minutes=1), "override": True},
        {"now": START - timedelta(days=200), "override": True},
        {"role": Role.DOCTOR},
    ],
)
def test_decide_booking_allows(options) -> None:
    assert book(facts(), **options).appointment.status is Status.BOOKED


def test_decide_booking_tells_policy_before_the_race() -> None:
    with pytest.raises(InsideNotice):
        book(facts(TAKEN), now=START - timedelta(minutes=5))


@pytest.mark.parametrize(
    ("role", "named", "outcome"),
    [
        (Role.PATIENT, None, PATIENT.id),
        (Role.PATIENT, PATIENT.id, PATIENT.id),
        (Role.PATIENT, OTHER_PATIENT.id, PatientNotFound),
        (Role.RECEPTIONIST, OTHER_PATIENT.id, OTHER_PATIENT.id),
        (Role.RECEPTIONIST, None, InvalidInput),
        (Role.DOCTOR, PATIENT.id, PATIENT.id),
    ],
)
def test_patient_to_book_for(role: Role, named, outcome) -> None:
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            patient_to_book_for(actor(role), named)
    else:
        assert patient_to_book_for(actor(role), named) == outcome


# --- moving ---

LATER = a_slot(DOCTOR, START + 3 * HOUR)


def move(
    slot: Slot | None = LATER,
    role: Role = Role.RECEPTIONIST,
    *,
    status: Status = Status.BOOKED,
    now: datetime = DAY_BEFORE,
    override: bool = False,
) -> Change:
    return decide_move(
        an_appointment(SLOT, PATIENT.id, status, version=3),
        slot,
        actor=actor(role),
        clinic=CLINIC,
        reason=None,
        override=override,
        now=now,
        new_id=uuid4,
    )


def test_decide_move_keeps_the_id_and_takes_the_slot() -> None:
    change = move()

    assert change.after == replace(
        change.before,
        slot_id=LATER.id,
        starts_at=LATER.starts_at,
        ends_at=LATER.ends_at,
        version=4,
        schedule_version=1,
    )
    assert (change.frees, change.takes) == (SLOT.id, LATER.id)
    assert (change.audit.action, change.audit.from_slot_id, change.audit.to_slot_id) == (
        Action.RESCHEDULE,
        SLOT.id,
        LATER.id,
    )
    assert change.messages[0].kind == "reschedule"
    assert {message.version for message in change.messages} == {1}


@pytest.mark.parametrize(
    ("role", "status_after"),
    [(Role.RECEPTIONIST, Status.BOOKED), (Role.PATIENT, Status.CONFIRMED)],
)
def test_decide_move_of_a_confirmed_one(role: Role, status_after: Status) -> None:
    assert move(role=role, status=Status.CONFIRMED).after.status is status_after


@pytest.mark.parametrize("status", set(Status) - {Status.BOOKED, Status.CONFIRMED})
def test_decide_move_of_one_that_cannot_move_is_refused(status: Status) -> None:
    with pytest.raises(TransitionNotAllowed):
        move(status=status)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"slot": None}, SlotNotFound),
        ({"slot": replace(LATER, state=SlotState.RETIRED)}, SlotNotFound),
        ({"slot": replace(LATER, state=SlotState.BLOCKED)}, SlotBlocked),
        ({"slot": replace(LATER, taken=True)}, SlotTaken),
        ({"slot": TAKEN}, SameSlot),
        ({"slot": a_slot(COLLEAGUE, START), "role": Role.DOCTOR}, PermissionDenied),
        ({"role": Role.PATIENT, "override": True}, PermissionDenied),
        ({"role": Role.PATIENT, "now": START - HOUR}, InsideCancelNotice),
        ({"slot": a_slot(DOCTOR, START + timedelta(days=40))}, BeyondHorizon),
        ({"slot": a_slot(DOCTOR, DAY_BEFORE)}, SlotInPast),
        ({"slot": a_slot(DOCTOR, DAY_BEFORE + HOUR / 2)}, InsideNotice),
    ],
)
def test_decide_move_refuses(options, error) -> None:
    with pytest.raises(error):
        move(**options)


def test_decide_move_by_staff_may_override_the_policy() -> None:
    soon = a_slot(DOCTOR, DAY_BEFORE + HOUR / 2)

    assert move(soon, override=True).takes == soon.id


# --- swapping ---

ONE = an_appointment(SLOT, PATIENT.id)
TWO = an_appointment(LATER, OTHER_PATIENT.id, Status.CONFIRMED)


def swapped(one=(ONE, TAKEN), two=(TWO, LATER), role: Role = Role.RECEPTIONIST, now=DAY_BEFORE):
    return decide_swap(
        one, two, actor=actor(role), clinic=CLINIC, reason=None, now=now, new_id=uuid4
    )


def test_decide_swap_exchanges_slots_and_unconfirms() -> None:
    a, b = swapped()

    assert (a.after.slot_id, a.after.starts_at) == (LATER.id, LATER.starts_at)
    assert (b.after.slot_id, b.after.starts_at) == (SLOT.id, SLOT.starts_at)
    assert (a.after.status, b.after.status) == (Status.BOOKED, Status.BOOKED)
    assert [(c.frees, c.takes) for c in (a, b)] == [(SLOT.id, LATER.id), (LATER.id, SLOT.id)]
    assert {c.audit.action for c in (a, b)} == {Action.SWAP}


LONGER = a_slot(DOCTOR, START + 3 * HOUR, minutes=60)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"role": Role.PATIENT}, PermissionDenied),
        ({"two": (ONE, TAKEN)}, InvalidInput),
        ({"two": (replace(TWO, status=Status.ARRIVED), LATER)}, NotSwappable),
        ({"two": (an_appointment(LONGER, OTHER_PATIENT.id), LONGER)}, NotSwappable),
        ({"now": START}, SlotInPast),
        ({"one": (ONE, BLOCKED)}, SlotBlocked),
        ({"two": (TWO, replace(LATER, state=SlotState.BLOCKED))}, SlotBlocked),
    ],
)
def test_decide_swap_refuses(options, error) -> None:
    with pytest.raises(error):
        swapped(**options)

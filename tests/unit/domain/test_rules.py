"""The rules of bookings: each refuses a booking, and is named by an explanation, alike."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from clinic.domain.appointments.appointments import BookingFacts
from clinic.domain.appointments.booking import decide_booking, draft
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import RULES, Case, findings
from clinic.domain.appointments.types import BookableBy, Offer
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker, BlockKind
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import ClinicError, PatientBusy
from clinic.domain.people.people import Doctor, Role
from clinic.testing.builders import NOW, a_clinic, a_patient, a_slot, a_type, an_actor, new_id

CLINIC = a_clinic(policy=Policy(max_open_appointments=2))
DOCTOR = Doctor(CLINIC.id, new_id(), "Dr Grace Hill", "General")
PATIENT = a_patient(CLINIC)
START = NOW + timedelta(days=1)
SLOT = a_slot(DOCTOR, START)
BLOCKED = replace(SLOT, state=SlotState.BLOCKED)
KIND = a_type(CLINIC, "Check-up", 30)
FACTS = BookingFacts(CLINIC, SLOT, DOCTOR.name, PATIENT, has_types=True, type=KIND)
BUFFERED = replace(FACTS, type=replace(KIND, after_min=10))
HOUR = timedelta(hours=1)
MEANWHILE = Interval(START - HOUR, START + HOUR)
AFTER = Interval(SLOT.ends_at, SLOT.ends_at + HOUR)

#: facts and arguments that exactly one rule refuses, by the name of its check
BROKEN: dict[str, tuple[BookingFacts, dict[str, Any]]] = {
    "no_hours": (replace(FACTS, slot=replace(SLOT, state=SlotState.RETIRED)), {}),
    "patient_disabled": (replace(FACTS, patient_open=False), {}),
    "not_offered": (replace(FACTS, type=replace(KIND, offered_by=(Offer(new_id()),))), {}),
    "type_not_bookable": (replace(FACTS, type=replace(KIND, bookable_by=BookableBy.STAFF)), {}),
    "slot_in_past": (replace(FACTS, clinic=replace(CLINIC, policy=Policy(0))), {"now": START}),
    "inside_notice": (FACTS, {"now": START - timedelta(minutes=59)}),
    "beyond_horizon": (FACTS, {"now": START - timedelta(days=91)}),
    "too_many_open_appointments": (replace(FACTS, full_until=START), {}),
    "too_many_with_doctor": (replace(FACTS, doctor_full_until=START), {}),
    "too_many_bookings_today": (replace(FACTS, day_full_since=NOW), {}),
    "closure": (
        replace(FACTS, slot=BLOCKED),
        {"blockers": [Blocker(BlockKind.CLOSURE, name="Outing")]},
    ),
    "leave": (replace(FACTS, slot=BLOCKED), {"blockers": [Blocker(BlockKind.LEAVE)]}),
    "no_hours_any_more": (
        replace(FACTS, slot=BLOCKED),
        {"blockers": [Blocker(BlockKind.NO_HOURS)]},
    ),
    "block": (replace(FACTS, slot=BLOCKED), {}),
    "closed_beside": (BUFFERED, {"closed": [AFTER]}),
    "slot_taken": (replace(FACTS, slot=replace(SLOT, taken=True)), {}),
    "buffer": (BUFFERED, {"busy": [AFTER]}),
    "does_not_fit": (replace(FACTS, type=replace(KIND, visible_min=60)), {}),
    "no_resource_free": (
        replace(FACTS, type=replace(KIND, needs=("room",))),
        {"resources": ResourcesTime(())},
    ),
    "patient_busy": (FACTS, {}),
}
#: what the decision does not know: the store refuses it
BY_THE_STORE = {"patient_busy": {"patient_busy": [MEANWHILE]}}


def test_every_rule_is_broken_below() -> None:
    assert [rule.check.__name__ for rule in RULES] == list(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_rule_refuses_a_booking_as_it_is_explained(name: str) -> None:
    facts, arguments = BROKEN[name]
    now = arguments.get("now", NOW)
    more = {key: value for key, value in arguments.items() if key != "now"}
    who = Role.RECEPTIONIST if name == "leave" else Role.PATIENT
    actor = an_actor(CLINIC, who, user_id=PATIENT.id)
    slot, kind = facts.slot, facts.type
    assert slot is not None
    assert kind is not None
    case = Case(
        draft(slot, kind, None, uuid4(), PATIENT.id, actor, now),
        slot,
        facts.clinic,
        facts.clinic.policy,
        now,
        kind,
        facts,
        by_patient=who is Role.PATIENT,
        brakes=facts,
        needs=kind.needs,
        **{**more, **BY_THE_STORE.get(name, {})},
    )

    found = [finding for finding in findings(case) if finding.refuses]
    refused = None
    try:
        decide_booking(
            facts,
            actor=actor,
            type=None,
            reason=None,
            override=False,
            now=now,
            new_id=uuid4,
            **more,
        )
    except ClinicError as error:
        refused = error

    [rule] = [rule for rule in RULES if rule.check.__name__ == name]
    if name == "slot_in_past":
        # The notice of any clinic refuses it as well.
        found = found[:1]
    [finding] = found
    assert finding.kind == rule.kind
    assert finding.error is not None
    if name in BY_THE_STORE:
        assert (refused, type(finding.error)) == (None, PatientBusy)
        return
    assert refused is not None
    assert (type(refused), refused.message) == (type(finding.error), finding.sentence)
    assert refused.facts == finding.error.facts

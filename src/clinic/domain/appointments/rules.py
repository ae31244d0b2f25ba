"""The rules that a booking has to keep: a decision raises the first one that it breaks, an
explanation lists them all."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, BookingFacts
from clinic.domain.appointments.fitting import obstacles
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.types import AppointmentType, BookableBy
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker, BlockKind, sentence_of
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic, Policy
from clinic.domain.errors import (
    ClinicError,
    Conflict,
    DoesNotFit,
    NoResourceFree,
    NotOffered,
    PatientBusy,
    PatientDisabled,
    SlotBlocked,
    SlotInPast,
    SlotNotFound,
    SlotTaken,
    TypeNotBookable,
)

NO_HOURS = "The doctor has no hours then."
NOT_OPENED = "The slots of that day have not been opened yet."
CLOSED_BESIDE = "The time that the type needs before or after it is closed."
TAKEN_BESIDE = "The time that the type needs before or after it is taken."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around the place of an appointment, or of several, on the doctor's calendar."""

    slots: Sequence[Slot] = ()
    #: time that is closed although there are no slots
    closed: Sequence[Interval] = ()
    #: the doctor's busy times
    busy: Sequence[Interval] = ()
    #: what blocks the slots of the visible time; empty when it has not been looked up
    blockers: Sequence[Blocker] = ()


NOTHING_AROUND = Surroundings()


@dataclass(slots=True)
class Case:
    """An appointment that is asked for, and what the rules compare it with.

    Not frozen: each booking makes one, and a frozen one takes three times as long to make.
    """

    #: as it would be
    appointment: Appointment
    #: the one that it begins in; None where none begins
    slot: Slot | None
    clinic: Clinic
    #: with the notice and horizon of its type
    policy: Policy
    now: datetime
    #: None where its doctor need not offer it
    kind: AppointmentType | None = None
    #: of a booking; None of an appointment that moves
    facts: BookingFacts | None = None
    by_patient: bool = False
    #: notice and horizon are waived
    override: bool = False
    #: what the limits on the patient's appointments are compared with; None where they are waived
    brakes: Brakes | BookingFacts | None = None
    #: its doctor's slots that it would keep busy; without them, only its own slot is looked at
    around: Sequence[Slot] = ()
    #: time that is closed although there are no slots
    closed: Sequence[Interval] = ()
    #: what blocks the slots of its visible time, as far as the actor may know; empty when it has
    #: not been looked up
    blockers: Sequence[Blocker] = ()
    #: busy times of the doctor's other appointments; those that are left out, the store finds
    busy: Sequence[Interval] = ()
    #: times of the patient's other appointments; those that are left out, the store finds
    patient_busy: Sequence[Interval] = ()
    #: the kinds of resources that it needs
    needs: Sequence[str] = ()
    #: the resources of these kinds; without them, the store finds one that is free
    resources: ResourcesTime | None = None
    #: appointments that leave their places
    leaving: Collection[UUID] = ()
    #: why no slot begins then
    no_slot: str | None = None
    #: why it does not fit among the slots
    obstacles: Sequence[type[Conflict]] = ()

    def __post_init__(self) -> None:
        slot = self.slot
        if slot is None or slot.state is SlotState.RETIRED:
            return
        if not self.around:
            if not self.closed and slot.is_free and self.appointment.is_within(slot):
                # Nearly every booking.
                return
            self.around = (slot,)
        self.obstacles = obstacles(self.appointment, self.around, self.closed)

    @property
    def is_blocked(self) -> bool:
        """Whether its visible time overlaps a blocked slot."""
        visible = self.appointment.visible
        return SlotBlocked in self.obstacles and any(
            slot.state is SlotState.BLOCKED and visible.overlaps(slot.interval)
            for slot in self.around
        )

    def blocked_by(self, kind: BlockKind) -> list[Blocker]:
        """Return what blocks it and is of this kind."""
        return [each for each in self.blockers if each.kind is kind and self.is_blocked]


def no_hours(case: Case) -> None:
    if case.no_slot is not None:
        raise SlotNotFound(case.no_slot)
    if case.slot is None:
        raise SlotNotFound()
    if case.slot.state is SlotState.RETIRED:
        raise SlotNotFound(NO_HOURS)


def patient_disabled(case: Case) -> None:
    facts = case.facts
    if facts is not None and not facts.patient_open and facts.patient is not None:
        raise PatientDisabled()


def not_offered(case: Case) -> None:
    kind = case.kind
    if kind is not None and kind.visible_min_with(case.appointment.doctor_id) is None:
        raise NotOffered()


def type_not_bookable(case: Case) -> None:
    kind, facts = case.kind, case.facts
    if kind is None or facts is None or not case.by_patient:
        return
    if kind.bookable_by is BookableBy.STAFF:
        raise TypeNotBookable()
    if kind.bookable_by is BookableBy.KNOWN_PATIENTS and not facts.patient_known:
        raise TypeNotBookable(
            "Patients book this type themselves only after an earlier visit to the clinic."
        )


def slot_in_past(case: Case) -> None:
    if case.appointment.starts_at <= case.now:
        raise SlotInPast()


def inside_notice(case: Case) -> None:
    if not case.override:
        case.policy.check_notice(case.appointment.starts_at, case.now)


def beyond_horizon(case: Case) -> None:
    if not case.override:
        case.policy.check_horizon(case.appointment.starts_at, case.now)


def too_many_open_appointments(case: Case) -> None:
    if case.brakes is not None and case.brakes.full_until is not None:
        case.clinic.check_open_appointments(case.brakes.full_until, case.now)


def too_many_with_doctor(case: Case) -> None:
    if case.brakes is not None and case.brakes.doctor_full_until is not None:
        case.clinic.check_open_with_doctor(case.brakes.doctor_full_until, case.now)


def too_many_bookings_today(case: Case) -> None:
    if case.brakes is not None and case.brakes.day_full_since is not None:
        case.clinic.check_bookings_today(case.brakes.day_full_since, case.now)


def closure(case: Case) -> None:
    _refuse_blocked(case, BlockKind.CLOSURE)


def leave(case: Case) -> None:
    _refuse_blocked(case, BlockKind.LEAVE)


def no_hours_any_more(case: Case) -> None:
    """What patients learn of leave."""
    _refuse_blocked(case, BlockKind.NO_HOURS)


def block(case: Case) -> None:
    if case.is_blocked:
        blocks = case.blocked_by(BlockKind.BLOCK)
        if blocks:
            raise SlotBlocked(blockedBy=blocks)
        if not case.blockers:
            raise SlotBlocked()


def closed_beside(case: Case) -> None:
    if SlotBlocked in case.obstacles and not case.is_blocked:
        raise SlotBlocked(CLOSED_BESIDE)


def slot_taken(case: Case) -> None:
    if SlotTaken in case.obstacles:
        raise SlotTaken()


def buffer(case: Case) -> None:
    if case.busy and any(map(case.appointment.busy.overlaps, case.busy)):
        raise SlotTaken(TAKEN_BESIDE)


def does_not_fit(case: Case) -> None:
    if DoesNotFit in case.obstacles:
        raise DoesNotFit()


def no_resource_free(case: Case) -> None:
    if case.resources is None or case.slot is None:
        return
    it, here = case.appointment, case.resources.at(case.slot.location_id)
    kind = here.lacking(case.needs, it.busy, it.occasion, leaving=case.leaving)
    if kind is not None:
        raise NoResourceFree(kind=kind)


def patient_busy(case: Case) -> None:
    if case.patient_busy and any(map(case.appointment.visible.overlaps, case.patient_busy)):
        raise PatientBusy()


def _refuse_blocked(case: Case, kind: BlockKind) -> None:
    found = case.blocked_by(kind)
    if found:
        raise SlotBlocked(sentence_of(found), blockedBy=found)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, and what an explanation says of it."""

    #: stable; the same word as the code of its error, where no other rule has that error
    kind: str
    #: what is said when it is kept
    kept: str
    #: raises what a booking that breaks it is refused with
    check: Callable[[Case], None]
    #: whether it refuses only what has obstacles among the slots
    is_of_slots: bool = False
    #: whether it can be asked only where a slot begins, as those of the slots
    needs_slot: bool = False
    #: whether it can be asked only for a patient
    needs_patient: bool = False
    #: whether it refuses every time of the doctor, if it refuses one
    is_of_any_time: bool = False
    #: whether patients must not learn of it
    for_staff: bool = False


#: in the order in which a booking is refused
RULES = (
    Rule("no_hours", "A slot begins then.", no_hours),
    Rule(
        "patient_disabled",
        "The patient can be booked for.",
        patient_disabled,
        needs_patient=True,
        is_of_any_time=True,
    ),
    Rule("not_offered", "The doctor offers the type.", not_offered, is_of_any_time=True),
    Rule(
        "type_not_bookable",
        "The patient may book the type.",
        type_not_bookable,
        needs_patient=True,
        is_of_any_time=True,
    ),
    Rule("slot_in_past", "The time is ahead.", slot_in_past),
    Rule("inside_notice", "It is long enough before the start.", inside_notice),
    Rule("beyond_horizon", "The clinic takes bookings for that day.", beyond_horizon),
    Rule(
        "too_many_open_appointments",
        "The patient may have more appointments ahead.",
        too_many_open_appointments,
        needs_patient=True,
        is_of_any_time=True,
    ),
    Rule(
        "too_many_with_doctor",
        "The patient may have more appointments ahead with the doctor.",
        too_many_with_doctor,
        needs_patient=True,
        is_of_any_time=True,
    ),
    Rule(
        "too_many_bookings_today",
        "The patient may book more today.",
        too_many_bookings_today,
        needs_patient=True,
        is_of_any_time=True,
    ),
    Rule("closure", "The clinic is open.", closure, is_of_slots=True),
    Rule("leave", "The doctor is not on leave.", leave, is_of_slots=True, for_staff=True),
    Rule("no_hours", "A slot begins then.", no_hours_any_more, is_of_slots=True),
    Rule("block", "The time is not blocked.", block, is_of_slots=True),
    Rule(
        "closed_beside",
        "The time that the type needs before and after it is open.",
        closed_beside,
        is_of_slots=True,
    ),
    Rule("slot_taken", "The time is free.", slot_taken, is_of_slots=True),
    Rule(
        "buffer",
        "The time that the type needs before and after it is free.",
        buffer,
        needs_slot=True,
    ),
    Rule("does_not_fit", "The doctor's open hours last that long.", does_not_fit, is_of_slots=True),
    Rule(
        "no_resource_free",
        "The rooms and equipment that the type needs are free.",
        no_resource_free,
        needs_slot=True,
    ),
    Rule(
        "patient_busy",
        "The patient has no other appointment at the time.",
        patient_busy,
        needs_slot=True,
        needs_patient=True,
    ),
)
#: each kind once
EVERY_KIND = tuple(dict.fromkeys(rule.kind for rule in RULES))
#: the rules that come after the questions whether a request can be understood and is allowed
_CHECKS = tuple(rule.check for rule in RULES[2:])
_CHECKS_IN_A_FREE_SLOT = tuple(rule.check for rule in RULES[2:] if not rule.is_of_slots)


def check(case: Case) -> None:
    """Raise what the appointment is refused with, but for `no_hours` and `patient_disabled`, which
    come before it is known which type is asked for."""
    for rule in _CHECKS if case.obstacles else _CHECKS_IN_A_FREE_SLOT:
        rule(case)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of an appointment."""

    kind: str
    sentence: str
    #: whether it refuses every time of the doctor, if it refuses this one
    is_of_any_time: bool
    #: what a booking would be refused with; None when the rule is kept
    error: ClinicError | None = None

    @property
    def refuses(self) -> bool:
        return self.error is not None


def findings(case: Case) -> tuple[Finding, ...]:
    """Return what each rule says that can be asked, in order, each kind once; to patients, nothing
    of what is for staff."""
    has_patient = case.facts is not None and case.facts.patient is not None
    found: dict[str, Finding] = {}
    for rule in RULES:
        if (
            ((rule.needs_slot or rule.is_of_slots) and case.slot is None)
            or (rule.needs_patient and not has_patient)
            or (rule.for_staff and case.by_patient)
        ):
            continue
        finding = _ask(rule, case)
        if rule.kind not in found or finding.refuses:
            found[rule.kind] = finding
    return tuple(found.values())


def _ask(rule: Rule, case: Case) -> Finding:
    try:
        rule.check(case)
    except ClinicError as error:
        return Finding(rule.kind, error.message, rule.is_of_any_time, error)
    return Finding(rule.kind, rule.kept, rule.is_of_any_time)

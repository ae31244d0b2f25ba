"""Explain why a doctor's times can be booked or not, by the rules that decide bookings."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from clinic.domain.appointments.appointments import OCCUPYING, BookingFacts
from clinic.domain.appointments.booking import draft
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.rules import (
    NO_HOURS,
    NOT_OPENED,
    Case,
    Finding,
    Surroundings,
    findings,
)
from clinic.domain.appointments.types import (
    BUFFER_MAX_MIN,
    BUSY_MAX_MIN,
    AppointmentType,
    TypeAsked,
    asked_for,
)
from clinic.domain.calendar.availability import SLOT_MAX_MIN, Interval
from clinic.domain.calendar.closings import Blocker, BlockKind, ClosedTime
from clinic.domain.calendar.plan import plan
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import HORIZON_MAX_DAYS, Clinic, checked_instant
from clinic.domain.errors import (
    DoctorNotFound,
    EndBeforeStart,
    InvalidInput,
    PatientNotFound,
    RangeTooLong,
    TooManyRows,
)
from clinic.domain.paging import LIMIT_MAX, PageRequest
from clinic.domain.people.people import Doctor, Role, Scope
from clinic.domain.permissions import Operation, permit
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.usecases.calendar.explain_slots import blockers_of, known_holidays
from clinic.usecases.calendar.find_places import nearest_places
from clinic.usecases.calendar.inputs import closed_times, in_lane, read_inputs
from clinic.usecases.context import Context
from clinic.usecases.types_asked import bookable_types, unknown_type

#: the longest range, and the most starts in it
EXPLAINED_MAX_DAYS = 7
EXPLAINED_MAX = 400
#: the id of no row
_NOTHING = UUID(int=0)
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: one start, or all starts of a doctor in the half-open range from
    `starts_from` to `starts_before`."""

    doctor_id: UUID
    at: datetime | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    #: the type by its name or id; None is the clinic's default
    type: str | UUID | None = None
    #: for staff: the patient for whom the rules of patients are asked; None leaves them out
    patient_id: UUID | None = None

    def span(self) -> tuple[datetime, datetime]:
        """Return the half-open range of starts. Raises InvalidInput, EndBeforeStart, RangeTooLong,
        NaiveDatetime, DatetimeOutOfRange."""
        if self.at is not None:
            if self.starts_from is not None or self.starts_before is not None:
                raise InvalidInput("Give `at`, or `from` and `to`.", pointer="at")
            at = checked_instant(self.at, "at")
            return at, at + _MOMENT
        if self.starts_from is None or self.starts_before is None:
            pointer = "at" if self.starts_from is self.starts_before else "to"
            raise InvalidInput("Give `at`, or `from` and `to`.", pointer=pointer)
        start = checked_instant(self.starts_from, "from")
        end = checked_instant(self.starts_before, "to")
        if end <= start:
            raise EndBeforeStart("to must be after from.", pointer="to")
        if end - start > timedelta(days=EXPLAINED_MAX_DAYS):
            raise RangeTooLong(
                f"At most {EXPLAINED_MAX_DAYS} days are explained at once.",
                pointer="to",
                maxDays=EXPLAINED_MAX_DAYS,
            )
        return start, end


@dataclass(frozen=True, slots=True)
class ExplainedStart:
    """A time at which an appointment would begin, and what each rule says of it."""

    starts_at: datetime
    #: None where no slot begins, at a clinic without types
    ends_at: datetime | None
    #: in which it would begin; None where none does
    slot_id: UUID | None
    findings: tuple[Finding, ...]

    @property
    def is_possible(self) -> bool:
        return not any(finding.refuses for finding in self.findings)

    @property
    def rules_kept(self) -> int:
        """How many rules are kept before the first that refuses."""
        refusing = (at for at, finding in enumerate(self.findings) if finding.refuses)
        return next(refusing, len(self.findings))


@dataclass(frozen=True, slots=True)
class Explanation:
    doctor: Doctor
    #: None at a clinic without types
    kind: AppointmentType | None
    #: for whom it is; None for nobody in particular
    patient_id: UUID | None
    #: one for `at`, also where no slot begins
    starts: tuple[ExplainedStart, ...]
    #: up to three free slots near the first start that can be booked; empty when one of `starts`
    #: can, or when none of the doctor's can
    nearest: tuple[SlotView, ...]


async def explain(context: Context, question: Question, *, clinic: Clinic) -> Explanation:
    """Return what each rule says of the starts that are asked for, as of now.

    Patients ask for themselves, and learn neither of leave nor of the reasons of staff. `clinic` is
    the actor's. Raises InvalidInput, UnknownType, DoctorNotFound, PatientNotFound,
    PermissionDenied, TooManyRows.
    """
    actor = context.actor
    permit(actor, Operation.EXPLAIN_TIMES, doctor_id=question.doctor_id)
    patient_id = question.patient_id
    if actor.role is Role.PATIENT:
        if patient_id not in (None, actor.user_id):
            raise PatientNotFound()
        patient_id = actor.user_id
    start, end = question.span()
    asked = asked_for(question.type)
    doctor = await context.store.people.doctor(actor.clinic_id, question.doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    look = await _look(context, clinic, doctor, asked, patient_id, (start, end))
    places = _places(look, start, end)
    if len(places) > EXPLAINED_MAX:
        raise TooManyRows(
            f"There are more than {EXPLAINED_MAX} starts in this range; ask for a shorter one.",
            pointer="to",
        )
    starts = [_explained(context, look, slots) for slots in places]
    if question.at is not None and not starts:
        starts = [_nothing_begins(context, look, start)]
    nearest: Sequence[SlotView] = ()
    if not any(each.is_possible for each in starts):
        probe = starts or [_nothing_begins(context, look, start)]
        nearest = await _nearest(context, look, patient_id, probe[0])
    return Explanation(doctor, look.kind, patient_id, tuple(starts), tuple(nearest))


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything that the rules are asked with."""

    clinic: Clinic
    doctor: Doctor
    facts: BookingFacts
    kind: AppointmentType | None
    #: earliest first, those that are planned and not stored among them
    slots: Sequence[Slot]
    #: what is around the slots of each lane
    lanes: Mapping[int, Surroundings]
    #: what is closed, for a type with buffers
    closed: Sequence[ClosedTime]
    #: the rooms and equipment that the type needs
    resources: ResourcesTime | None
    #: the visible times of the patient's other appointments
    patient_busy: Sequence[Interval]
    #: ids of slots that are planned, and not stored
    planned: Collection[UUID]
    #: what blocks slots, by their ids
    blockers: Mapping[UUID, Sequence[Blocker]]
    #: ids of slots that look like missing hours to the actor
    hidden: Collection[UUID]
    now: datetime

    def shown_near(self, time: Interval) -> list[Slot]:
        """Return the slots on the calendar that may overlap this time, but for hidden ones."""
        return [
            slot
            for slot in _near(self.slots, time, SLOT_MAX_MIN)
            if slot.state is not SlotState.RETIRED and slot.id not in self.hidden
        ]

    def around(self, slot: Slot, visible: Interval, busy: Interval) -> Surroundings:
        """Return what is around these times of an appointment that begins in the slot."""
        found = self.lanes[slot.lane]
        slots = _near(found.slots, busy, SLOT_MAX_MIN)
        blockers = (
            by
            for slot in slots
            if slot.id in self.blockers and visible.overlaps(slot.interval)
            for by in self.blockers[slot.id]
        )
        return replace(
            found,
            slots=slots,
            closed=in_lane(self.closed, slot.lane, slot.location_id),
            busy=_near(found.busy, busy, BUSY_MAX_MIN),
            blockers=tuple(dict.fromkeys(blockers)),
        )


T = TypeVar("T", Slot, Interval)


def _near(times: Sequence[T], span: Interval, longest_min: int) -> Sequence[T]:
    """Return those that may overlap the span, of times by start that last at most this long."""
    earliest = span.starts_at - timedelta(minutes=longest_min)
    first = bisect_left(times, earliest, key=lambda each: each.starts_at)
    last = bisect_left(times, span.ends_at, key=lambda each: each.starts_at)
    return times[first:last]


async def _look(
    context: Context,
    clinic: Clinic,
    doctor: Doctor,
    asked: TypeAsked,
    patient_id: UUID | None,
    span: tuple[datetime, datetime],
) -> _Look:
    """Raises PatientNotFound, UnknownType."""
    store = context.store
    reach = Interval(
        span[0] - timedelta(minutes=BUFFER_MAX_MIN + SLOT_MAX_MIN),
        span[1] + timedelta(minutes=BUSY_MAX_MIN),
    )
    stored = await store.calendars.slots_between(
        clinic.id, [doctor.id], reach.starts_at, reach.ends_at
    )
    facts = await _facts(context, clinic, doctor, asked, patient_id, span[0], stored)
    if patient_id is not None and facts.patient is None:
        raise PatientNotFound()
    kind = facts.type if facts.has_types else None
    if kind is None and facts.has_types:
        raise unknown_type(asked, await bookable_types(context))
    if asked.id is not None and not facts.has_types:
        raise unknown_type(asked, ())
    planned = await _planned(context, facts.clinic, doctor, reach)
    slots = sorted([*stored, *planned], key=lambda slot: (slot.starts_at, slot.lane, slot.id))
    blocked = [slot for slot in slots if slot.state is SlotState.BLOCKED]
    reasons = await blockers_of(context, store, facts.clinic, blocked)
    blockers = {slot.id: by for slot, by in zip(blocked, reasons, strict=True)}
    looks_missing = Blocker(BlockKind.NO_HOURS)
    by_patient = context.actor.role is Role.PATIENT
    return _Look(
        facts.clinic,
        doctor,
        facts,
        kind,
        slots,
        await _lanes(context, doctor, kind, slots, reach),
        await _closed(context, facts.clinic, doctor, kind, reach),
        await _resources(context, kind, reach),
        () if patient_id is None else await _times_of(context, patient_id, reach),
        {slot.id for slot in planned},
        blockers,
        {each for each, by in blockers.items() if by_patient and looks_missing in by},
        context.clock.now(),
    )


async def _lanes(
    context: Context,
    doctor: Doctor,
    kind: AppointmentType | None,
    slots: Sequence[Slot],
    reach: Interval,
) -> Mapping[int, Surroundings]:
    """Return the slots of each lane; for a type with buffers, busy times too."""
    by_lane: defaultdict[int, list[Slot]] = defaultdict(list)
    for slot in slots:
        by_lane[slot.lane].append(slot)
    if kind is None or not kind.has_buffers:
        return {lane: Surroundings(found) for lane, found in by_lane.items()}
    busy = await context.store.appointments.busy_times(
        doctor.clinic_id, [doctor.id], reach.starts_at, reach.ends_at
    )
    return {
        lane: Surroundings(found, busy=busy.get((doctor.id, lane), ()))
        for lane, found in by_lane.items()
    }


async def _closed(
    context: Context,
    clinic: Clinic,
    doctor: Doctor,
    kind: AppointmentType | None,
    reach: Interval,
) -> Sequence[ClosedTime]:
    if kind is None or not kind.has_buffers:
        return ()
    return (await closed_times(context, context.store, clinic, [doctor.id], reach)).get(
        doctor.id, ()
    )


async def _resources(
    context: Context, kind: AppointmentType | None, reach: Interval
) -> ResourcesTime | None:
    if kind is None or not kind.needs:
        return None
    return await context.store.resources.timetable(
        kind.clinic_id, kind.needs, reach.starts_at, reach.ends_at
    )


async def _facts(
    context: Context,
    clinic: Clinic,
    doctor: Doctor,
    asked: TypeAsked,
    patient_id: UUID | None,
    at: datetime,
    slots: Sequence[Slot],
) -> BookingFacts:
    """Return the facts of a booking with this doctor. They are read with a slot, any near `at` and
    not beyond the horizon: what concerns the patient is the same for each of these."""
    near = min(slots, key=lambda slot: abs(slot.starts_at - at), default=None)
    now, calendars = context.clock.now(), context.store.calendars
    earliest, latest = now - timedelta(days=HORIZON_MAX_DAYS), clinic.policy.bookable_window(now)[1]
    if near is None or near.starts_at > latest:
        query = SlotQuery(clinic.id, earliest, latest, doctor_id=doctor.id, free_only=False)
        # A doctor without slots may have colleagues who have some.
        views = await calendars.list_slots(query, PageRequest(1)) or await calendars.nearest_free(
            _at(doctor, at), starts_from=earliest, starts_before=latest, limit=1
        )
        near = next((view.slot for view in views), near)
    return await context.store.desk.load_facts(
        context.actor,
        _NOTHING if near is None else near.id,
        patient_id or _NOTHING,
        None,
        asked,
    )


def _at(doctor: Doctor, at: datetime) -> Slot:
    """Return a slot of the doctor's that is nowhere, at this time."""
    minute = timedelta(minutes=1)
    return Slot(_NOTHING, doctor.clinic_id, doctor.id, doctor.specialty, at, at + minute)


async def _planned(context: Context, clinic: Clinic, doctor: Doctor, reach: Interval) -> list[Slot]:
    """Return the slots that are planned on days that have not been opened yet, with ids of their
    own."""
    starts = await context.store.calendars.last_slot_starts(clinic.id, [doctor.id])
    opened = starts.get(doctor.id, context.clock.now())
    first = clinic.local_date(max(opened, reach.starts_at))
    last = clinic.local_date(reach.ends_at)
    if clinic.local_date(opened) >= last:
        return []
    read = await read_inputs(context, context.store, clinic, [doctor], since=reach.starts_at)
    inputs = replace(read[doctor.id], holidays=known_holidays(context.holidays))
    return [
        Slot(
            context.new_id(),
            clinic.id,
            doctor.id,
            doctor.specialty,
            each.interval.starts_at,
            each.interval.ends_at,
            each.state,
            lane=each.lane,
            location_id=each.location_id,
        )
        for each in plan(inputs, first, last)
        if each.starts_at > opened and each.interval.overlaps(reach)
    ]


async def _times_of(context: Context, patient_id: UUID, span: Interval) -> Sequence[Interval]:
    """Return the times of the patient's appointments that may overlap the span."""
    query = AppointmentQuery(
        Scope(context.actor.clinic_id),
        patient_id=patient_id,
        starts_from=span.starts_at - timedelta(minutes=SLOT_MAX_MIN),
        starts_before=span.ends_at,
        statuses=OCCUPYING,
    )
    found = await context.store.appointments.list(context.actor, query, PageRequest(LIMIT_MAX))
    return [view.appointment.visible for view in found]


def _places(look: _Look, start: datetime, end: datetime) -> list[list[Slot]]:
    """Return the slots that begin in the range, by start."""
    by_start: defaultdict[datetime, list[Slot]] = defaultdict(list)
    for slot in look.shown_near(Interval(start, end)):
        if start <= slot.starts_at < end:
            by_start[slot.starts_at].append(slot)
    return [by_start[each] for each in sorted(by_start)]


def _explained(context: Context, look: _Look, slots: Sequence[Slot]) -> ExplainedStart:
    """Return what the rules say of a start: of the first of its slots that can be booked, else of
    the one that is refused by the last rule, as a booking takes another one where it can."""
    found = [_explained_in(context, look, slot) for slot in slots]
    return max(found, key=lambda each: each.rules_kept)


def _explained_in(context: Context, look: _Look, slot: Slot) -> ExplainedStart:
    case = _case(context, look, slot)
    visible, busy = case.appointment.visible, case.appointment.busy
    around, is_planned = look.around(slot, visible, busy), slot.id in look.planned
    case = replace(
        case,
        slot=slot,
        around=around.slots,
        closed=around.closed,
        busy=around.busy,
        blockers=around.blockers,
        no_slot=NOT_OPENED if is_planned else None,
    )
    slot_id = None if is_planned else slot.id
    return ExplainedStart(visible.starts_at, visible.ends_at, slot_id, findings(case))


def _nothing_begins(context: Context, look: _Look, at: datetime) -> ExplainedStart:
    """Return what the rules say of a time at which no slot begins."""
    case = replace(
        _case(context, look, _at(look.doctor, at)), slot=None, no_slot=_why_no_slot(look, at)
    )
    ends_at = None if look.kind is None else case.appointment.ends_at
    return ExplainedStart(at, ends_at, None, findings(case))


def _case(context: Context, look: _Look, slot: Slot) -> Case:
    actor, patient = context.actor, look.facts.patient
    patient_id = actor.user_id if patient is None else patient.id
    kind = look.kind
    return Case(
        draft(slot, kind, None, slot.id, patient_id, actor, look.now),
        None,
        look.clinic,
        look.clinic.policy if kind is None else kind.policy_at(look.clinic),
        look.now,
        kind,
        look.facts,
        by_patient=actor.role is Role.PATIENT,
        brakes=look.facts,
        patient_busy=look.patient_busy,
        needs=() if kind is None else kind.needs,
        resources=look.resources,
    )


def _why_no_slot(look: _Look, at: datetime) -> str:
    for slot in look.shown_near(Interval(at, at + _MOMENT)):
        if slot.starts_at < at < slot.ends_at:
            start, end = (
                each.astimezone(look.clinic.zone) for each in (slot.starts_at, slot.ends_at)
            )
            return f"No slot begins then; one lasts from {start:%H:%M} to {end:%H:%M}."
    return NO_HOURS


async def _nearest(
    context: Context, look: _Look, patient_id: UUID | None, start: ExplainedStart
) -> Sequence[SlotView]:
    """Return up to three free slots near this start that can be booked; none when a rule refuses
    every time of the doctor."""
    if any(each.refuses and each.is_of_any_time for each in start.findings):
        return ()
    return await nearest_places(
        context,
        context.store,
        look.clinic,
        _at(look.doctor, start.starts_at),
        look.kind,
        None if patient_id is None else partial(_times_of, context, patient_id),
    )

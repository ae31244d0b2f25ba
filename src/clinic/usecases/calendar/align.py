"""Bring doctors' slots in line with the plan: the only place where slots get their state."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, AppointmentView
from clinic.domain.calendar.availability import RANGE_MAX_DAYS, Interval, day_interval
from clinic.domain.calendar.changes import CalendarChange, SlotCounts
from clinic.domain.calendar.plan import CalendarInputs, is_covered, plan
from clinic.domain.calendar.slots import PlannedSlot, Slot, SlotPlan, SlotState, plan_slots
from clinic.domain.clinic import Clinic
from clinic.domain.errors import InvalidInput
from clinic.domain.notifications import day_sheets
from clinic.domain.people.people import Doctor
from clinic.ports.calendars import CalendarReader
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.inputs import Reads, read_inputs
from clinic.usecases.context import Context

#: the first and the last day of a range, both included
Days = tuple[date, date]
#: a doctor and a lane
_Lane = tuple[UUID, int]
#: open times at each location
_ByLocation = defaultdict[UUID | None, list[Interval]]
_MOMENT = timedelta(microseconds=1)
#: how many days ahead slots may be opened: in a new time zone, the last one may be two days later
OPEN_MAX_DAYS = RANGE_MAX_DAYS - 3


@dataclass(frozen=True, slots=True)
class CalendarEffect:
    """What a change of the inputs does to slots and appointments."""

    counts: SlotCounts = field(default_factory=SlotCounts)
    #: the appointments ahead, in the days concerned, that are not within open slots any more; staff
    #: should call them
    stranded: tuple[AppointmentView, ...] = ()
    #: the changes of each doctor's slots
    alignments: tuple["Alignment", ...] = ()
    #: why nothing changes, when nothing does
    note: str | None = None
    #: the change that a worker carries out, when it concerns too many slots to wait for
    change: CalendarChange | None = None
    #: when a preview was made; None when the change was
    as_of: datetime | None = None

    @property
    def added(self) -> int:
        return self.counts.added

    @property
    def retired(self) -> int:
        return self.counts.retired

    @property
    def switched(self) -> tuple[Slot, ...]:
        """The slots that are blocked or unblocked, as they are after it."""
        return tuple(
            replace(slot, state=state)
            for each in self.alignments
            for slots, state in (
                (each.plan.block, SlotState.BLOCKED),
                (each.plan.unblock, SlotState.OPEN),
            )
            for slot in slots
        )

    @property
    def detail(self) -> dict[str, object]:
        """What the audit trail keeps of it; appointments by id."""
        return {
            "added": self.counts.added,
            "retired": self.counts.retired,
            "blocked": self.counts.blocked,
            "unblocked": self.counts.unblocked,
            **({"relocated": self.counts.relocated} if self.counts.relocated else {}),
            "stranded": [str(view.appointment.id) for view in self.stranded],
        }


@dataclass(frozen=True, slots=True)
class Span:
    """The days that are aligned, both included, and their time."""

    first: date
    last: date
    starts_at: datetime
    ends_at: datetime
    #: the last day that is opened of the calendars that are not opened until `last`
    opened: Mapping[UUID, date] = field(default_factory=dict)

    def planned(self, doctor_id: UUID, inputs: CalendarInputs) -> Sequence[PlannedSlot]:
        """Return the slots of a doctor that should be there. Raises UnknownHolidayCalendar."""
        last = self.opened.get(doctor_id, self.last)
        return plan(inputs, self.first, last) if self.first <= last else ()


@dataclass(frozen=True, slots=True)
class Alignment:
    """The changes of one doctor's slots in a span, and the slots as they were."""

    doctor: Doctor
    plan: SlotPlan
    before: tuple[Slot, ...]
    #: whether any slot is planned in the span
    has_slots: bool


async def span_of(
    context: Context,
    calendars: CalendarReader,
    clinic: Clinic,
    doctor_ids: Sequence[UUID],
    *,
    days: Days | None = None,
    until: date | None = None,
) -> Span | None:
    """Return the days to align: those of `days`, by default all, from today until the last one that
    is opened, which is for each doctor the latest of `until`, the clinic's horizon (when `until` is
    not given) and the day of the doctor's last slot. None when none of them is.

    Raises InvalidInput when `until` is too far off.
    """
    today = clinic.local_date(context.clock.now())
    if until is not None and not today <= until <= today + timedelta(days=OPEN_MAX_DAYS):
        raise InvalidInput(
            f"Open slots from today up to {OPEN_MAX_DAYS} days ahead.", pointer="/until"
        )
    horizon = until or today + timedelta(days=clinic.policy.horizon_days)
    starts = await calendars.last_slot_starts(clinic.id, doctor_ids)
    opened = dict.fromkeys(doctor_ids, horizon)
    opened |= {each: max(horizon, clinic.local_date(last)) for each, last in starts.items()}
    first, last = today, max(opened.values(), default=horizon)
    if days is not None:
        first, last = max(first, days[0]), min(last, days[1])
    if first > last:
        return None
    sooner = {doctor_id: day for doctor_id, day in opened.items() if day < last}
    return replace(span_between(clinic, first, last), opened=sooner)


def span_between(clinic: Clinic, first: date, last: date) -> Span:
    """Return these days, both included, and their time at the clinic."""
    zone = clinic.zone
    return Span(first, last, day_interval(first, zone).starts_at, day_interval(last, zone).ends_at)


def alignments(
    context: Context,
    span: Span,
    doctors: Iterable[Doctor],
    inputs: Mapping[UUID, CalendarInputs],
    slots: Iterable[Slot],
) -> list[Alignment]:
    """Return the changes that bring `slots`, all that there are in the span, in line with the plan
    of each doctor."""
    existing: defaultdict[UUID, list[Slot]] = defaultdict(list)
    for slot in slots:
        existing[slot.doctor_id].append(slot)
    # Slots that began before the span are not its concern; nothing may overlap them, though.
    after = max(context.clock.now(), span.starts_at - _MOMENT)
    found = []
    for doctor in doctors:
        planned = span.planned(doctor.id, inputs[doctor.id])
        before = tuple(existing[doctor.id])
        changes = plan_slots(planned, before, after)
        found.append(Alignment(doctor, changes, before, bool(planned)))
    return found


async def align(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    span: Span | None,
    doctors: Sequence[Doctor],
    inputs: Mapping[UUID, CalendarInputs],
) -> CalendarEffect:
    """Bring the slots of these doctors in line with `inputs`, and return what that changed.

    The doctors must be locked, and the inputs as they are stored now.
    """
    if span is None or not doctors:
        return _nothing_open(context, span)
    ids = [doctor.id for doctor in doctors]
    # Locked first: what is read from here on is not changed by a booking or a cancellation.
    slots = await unit.calendars.lock_slots(clinic.id, ids, span.starts_at, span.ends_at)
    found = alignments(context, span, doctors, inputs, slots)
    await _write(context, unit, clinic, span, found)
    effect = await _effect(context, unit, clinic, span, found)
    await _add_day_sheets(context, unit, clinic, found, effect.stranded)
    return effect


async def foresee(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    span: Span | None,
    doctors: Sequence[Doctor],
    inputs: Mapping[UUID, CalendarInputs],
) -> CalendarEffect:
    """Return what `align` would change; nothing is locked or written."""
    if span is None or not doctors:
        return _nothing_open(context, span)
    ids = [doctor.id for doctor in doctors]
    slots = await reads.calendars.slots_between(clinic.id, ids, span.starts_at, span.ends_at)
    found = alignments(context, span, doctors, inputs, slots)
    return await _effect(context, reads, clinic, span, found)


async def align_doctor(
    context: Context, unit: UnitOfWork, clinic: Clinic, doctor: Doctor, span: Span | None
) -> CalendarEffect:
    """Bring a locked doctor's slots in line with what is stored, and return what that changed."""
    inputs = await read_inputs(context, unit, clinic, [doctor])
    return await align(context, unit, clinic, span, [doctor], inputs)


def _nothing_open(context: Context, span: Span | None) -> CalendarEffect:
    if span is None:
        return CalendarEffect(
            note="No slots are open on these days: they are over, or have not been opened yet."
        )
    return CalendarEffect(note="No doctor is affected.")


async def _write(
    context: Context, unit: UnitOfWork, clinic: Clinic, span: Span, found: Sequence[Alignment]
) -> None:
    calendars = unit.calendars
    into: dict[SlotState, list[UUID]] = {state: [] for state in SlotState}
    moved: dict[UUID, UUID | None] = {}
    added: list[Slot] = []
    for each in found:
        changes, doctor = each.plan, each.doctor
        into[SlotState.RETIRED] += [slot.id for slot in changes.retire]
        into[SlotState.BLOCKED] += [slot.id for slot in changes.block]
        into[SlotState.OPEN] += [slot.id for slot in changes.unblock]
        for slot, state in changes.back:
            into[state].append(slot.id)
        moved |= {slot.id: location_id for slot, location_id in changes.relocate}
        added += [
            Slot(
                context.new_id(),
                clinic.id,
                doctor.id,
                doctor.specialty,
                new.interval.starts_at,
                new.interval.ends_at,
                new.state,
                lane=new.lane,
                location_id=new.location_id,
            )
            for new in changes.add
        ]
    # Retired first, to make room for those that come back and those that are added. None comes back
    # before all are at their locations.
    if into[SlotState.RETIRED]:
        await calendars.set_slot_state(clinic.id, into[SlotState.RETIRED], SlotState.RETIRED)
    if moved:
        await calendars.set_slot_locations(clinic.id, moved)
    for state in (SlotState.BLOCKED, SlotState.OPEN):
        if into[state]:
            await calendars.set_slot_state(clinic.id, into[state], state)
    await calendars.add_slots(added)
    # Those that are added are right already.
    ids = [each.doctor.id for each in found if each.before]
    if ids:
        await calendars.retake(clinic.id, ids, span.starts_at, span.ends_at)


async def _add_day_sheets(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    found: Sequence[Alignment],
    stranded: Sequence[AppointmentView],
) -> None:
    """Add the sheets of the days that got slots, and of those on which an appointment is without
    hours, such as in another time zone."""
    starts: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for each in found:
        starts[each.doctor.id] += [new.starts_at for new in each.plan.add]
        starts[each.doctor.id] += [slot.starts_at for slot, _ in each.plan.back]
    for view in stranded:
        starts[view.appointment.doctor_id].append(view.appointment.starts_at)
    for doctor_id, at in starts.items():
        if at:
            sheets = day_sheets(
                clinic_id=clinic.id,
                doctor_id=doctor_id,
                days={clinic.local_date(starts_at) for starts_at in at},
                zone=clinic.zone,
                now=context.clock.now(),
                new_id=context.new_id,
            )
            await unit.messages.add(sheets)


async def _effect(
    context: Context, reads: Reads, clinic: Clinic, span: Span, found: Sequence[Alignment]
) -> CalendarEffect:
    """Return what these alignments change."""
    counts = SlotCounts(
        added=sum(len(each.plan.add) + len(each.plan.back) for each in found),
        retired=sum(len(each.plan.retire) for each in found),
        blocked=sum(len(each.plan.block) for each in found),
        unblocked=sum(len(each.plan.unblock) for each in found),
        relocated=sum(_relocated(each.plan) for each in found),
    )
    found_outside = await _outside(context, reads, clinic, span, found)
    # A preview of another time zone shows it as well.
    stranded = tuple(replace(view, zone=clinic.zone) for view in found_outside)
    note = None
    if counts.is_zero:
        note = (
            "The slots of this time are the same as before."
            if any(each.has_slots for each in found)
            else "No slots are planned in this time: there are no hours, or the doctor does not"
            " work here then."
        )
    return CalendarEffect(counts, stranded, tuple(found), note)


def _relocated(changes: SlotPlan) -> int:
    """Return how many slots stay, at another location."""
    back = {slot.id for slot, _ in changes.back}
    return sum(slot.id not in back for slot, _ in changes.relocate)


async def _outside(
    context: Context, reads: Reads, clinic: Clinic, span: Span, found: Sequence[Alignment]
) -> list[AppointmentView]:
    """Return the appointments ahead that start in the span and are not wholly within open slots by
    the plan, earliest first."""
    now = context.clock.now()
    ids = [each.doctor.id for each in found]
    lasting = await reads.appointments.lasting(clinic.id, ids, span.starts_at, span.ends_at)
    beyond = await _open_beyond(reads, clinic, span, found, lasting)
    is_open = defaultdict[_Lane, _ByLocation](_by_location, beyond)
    suspects: list[UUID] = []
    for each in found:
        times, closed = _times_of(each, span, now)
        for lane, location_id, interval in times:
            is_open[each.doctor.id, lane][location_id].append(interval)
        suspects += closed
    for located in is_open.values():
        for intervals in located.values():
            intervals.sort()
    views = {view.appointment.id: view for view in lasting if view.appointment.starts_at > now}
    if suspects:
        in_closed = await reads.appointments.occupying(clinic.id, suspects)
        views |= {view.appointment.id: view for view in in_closed}
    outside = [
        view
        for view in views.values()
        if not any(
            is_covered(view.appointment.visible, intervals)
            for intervals in is_open[_lane_of(view.appointment)].values()
        )
    ]
    return sorted(outside, key=lambda view: (view.appointment.starts_at, view.appointment.id))


async def _open_beyond(
    reads: Reads,
    clinic: Clinic,
    span: Span,
    found: Sequence[Alignment],
    lasting: Sequence[AppointmentView],
) -> Mapping[_Lane, _ByLocation]:
    """Return the times after the span that appointments within it last into and that are open, by
    doctor and lane, and location."""
    ends = {
        each.doctor.id: max(slot.ends_at for slot in each.before if slot.taken)
        for each in found
        if any(slot.taken and slot.ends_at > span.ends_at for slot in each.before)
    }
    for view in lasting:
        doctor_id, ends_at = view.appointment.doctor_id, view.appointment.ends_at
        if ends_at > span.ends_at:
            ends[doctor_id] = max(ends_at, ends.get(doctor_id, ends_at))
    if not ends:
        return {}
    slots = await reads.calendars.slots_between(
        clinic.id, [*ends], span.ends_at, max(ends.values())
    )
    beyond = defaultdict[_Lane, _ByLocation](_by_location)
    for slot in slots:
        if slot.state is SlotState.OPEN and slot.starts_at >= span.ends_at:
            beyond[slot.doctor_id, slot.lane][slot.location_id].append(slot.interval)
    return beyond


def _by_location() -> _ByLocation:
    return defaultdict(list)


def _lane_of(appointment: Appointment) -> _Lane:
    return appointment.doctor_id, appointment.lane


def _times_of(
    alignment: Alignment, span: Span, now: datetime
) -> tuple[list[tuple[int, UUID | None, Interval]], list[UUID]]:
    """Return what is open by the plan, with its lane and location, and the taken slots ahead that
    are not."""
    changes = alignment.plan
    gone = {slot.id for slot in (*changes.retire, *changes.block)}
    opened = {slot.id for slot in changes.unblock}
    opened |= {slot.id for slot, state in changes.back if state is SlotState.OPEN}
    moved = {slot.id: location_id for slot, location_id in changes.relocate}
    is_open = [
        (new.lane, new.location_id, new.interval)
        for new in changes.add
        if new.state is SlotState.OPEN
    ]
    closed: list[UUID] = []
    for slot in alignment.before:
        if slot.id in opened or (slot.state is SlotState.OPEN and slot.id not in gone):
            is_open.append((slot.lane, moved.get(slot.id, slot.location_id), slot.interval))
        elif slot.taken and slot.starts_at > now and slot.starts_at >= span.starts_at:
            closed.append(slot.id)
    return is_open, closed

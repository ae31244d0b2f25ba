"""What `clinic check` looks for in calendars: slots off the plan, changes that do not finish, and
appointments that people should look at. Reads only.

Slots are compared doctor by doctor, STEP_DAYS at a time, so that memory does not grow with them.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.calendar.availability import day_interval
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.calendar.slots import SlotPlan
from clinic.domain.calendar.travel import first_too_close
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.domain.notifications import day_sheet_due
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Doctor, Scope, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.usecases.calendar.align import alignments, span_between
from clinic.usecases.calendar.inputs import read_inputs
from clinic.usecases.context import AnonymousContext, Context

#: how many days of a doctor's slots are compared at once
STEP_DAYS = 60
#: how long open-slots may take to open a day that has come within the horizon
OPENED_WITHIN = timedelta(hours=2)
#: a change of many calendars takes seconds to minutes
FINISHED_WITHIN = timedelta(minutes=10)
#: how many doctors, changes and appointments are named; stranded appointments are counted so far
NAMED_MAX, COUNTED_MAX = 10, 1_000
#: somebody who changes a calendar all the time is not waited for
_LOOKS_MAX = 3
_A_DAY, _A_WEEK = timedelta(days=1), timedelta(days=7)
_OCCUPYING = tuple(status for status in Status if status.occupies)


class Difference(StrEnum):
    """How a slot differs from the plan."""

    MISSING = "missing"
    UNPLANNED = "not planned"
    NOT_BLOCKED = "open although closed"
    NOT_OPEN = "blocked although open"
    ELSEWHERE = "at another location than the hours"


@dataclass(frozen=True, slots=True)
class OffPlan:
    """A doctor whose slots differ from what is planned by everything that was entered."""

    clinic: Clinic
    doctor: Doctor
    #: the days on which they differ, in order
    days: tuple[date, ...] = ()
    #: how many slots differ in which way
    counts: Mapping[Difference, int] = field(default_factory=dict)
    #: why no plan can be made, when none can
    error: ClinicError | None = None


@dataclass(frozen=True, slots=True)
class Shifted:
    """An appointment whose time on the clock differs from what it was when its day was opened,
    since the time zone's data has changed."""

    view: AppointmentView
    #: from that time on the clock to the present one
    shift: timedelta


@dataclass(frozen=True, slots=True)
class Hurried:
    """A doctor who could not get from one location to the next in time."""

    clinic: Clinic
    doctor: Doctor
    #: when the first slot begins that is too early
    at: datetime


@dataclass(frozen=True, slots=True)
class CalendarReport:
    """What is wrong with calendars, and what people should look at; at most NAMED_MAX of each."""

    off_plan: tuple[OffPlan, ...] = ()
    #: changes that should be finished by now
    unfinished: tuple[CalendarChange, ...] = ()
    #: how many appointments ahead are not within open slots, up to COUNTED_MAX, by clinic
    stranded: tuple[tuple[Clinic, int], ...] = ()
    shifted: tuple[Shifted, ...] = ()
    hurried: tuple[Hurried, ...] = ()


async def check_calendars(context: AnonymousContext) -> CalendarReport:
    """Return what is wrong with the calendars of all clinics. Raises TemporaryFailure."""
    now, store = context.clock.now(), context.store
    off_plan: list[OffPlan] = []
    stranded: list[tuple[Clinic, int]] = []
    shifted: list[Shifted] = []
    hurried: list[Hurried] = []
    for clinic in await store.people.clinics():
        at_clinic = context.as_system(clinic.id)
        doctors = await store.people.doctors(clinic.id)
        starts = await store.calendars.last_slot_starts(clinic.id, [each.id for each in doctors])
        if len(off_plan) < NAMED_MAX:
            async for found in _off_plan(at_clinic, clinic, doctors, starts):
                off_plan.append(found)
                if len(off_plan) == NAMED_MAX:
                    break
        last = max(starts.values(), default=now)
        number = await _stranded(at_clinic, clinic, now, last)
        if number:
            stranded.append((clinic, number))
        if len(shifted) < NAMED_MAX:
            shifted += await _shifted(at_clinic, clinic, now)
        if clinic.policy.travel_min and len(hurried) < NAMED_MAX:
            hurried += await _hurried(at_clinic, clinic, doctors, now)
    changes = await store.calendar_changes.unfinished(limit=NAMED_MAX)
    late = (change for change in changes if change.created_at < now - FINISHED_WITHIN)
    return CalendarReport(
        tuple(off_plan),
        tuple(late),
        tuple(stranded),
        tuple(shifted[:NAMED_MAX]),
        tuple(hurried[:NAMED_MAX]),
    )


# --- slots and the plan -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Calendar:
    """What a doctor's slots should follow from."""

    clinic: Clinic
    doctor: Doctor
    inputs: CalendarInputs
    #: what a worker has yet to align
    work: Sequence[CalendarWork] = ()

    def is_awaited(self, day: date) -> bool:
        return any(work.next_day <= day <= work.last for work in self.work)


async def _off_plan(
    context: Context,
    clinic: Clinic,
    doctors: Sequence[Doctor],
    last_starts: Mapping[UUID, datetime],
) -> AsyncIterator[OffPlan]:
    now = context.clock.now()
    inputs = await read_inputs(context, context.store, clinic, doctors, since=now)
    for doctor in doctors:
        # Read once for all doctors; a doctor who seems to differ is looked at again alone.
        calendar = _Calendar(clinic, doctor, inputs[doctor.id])
        last_start = last_starts.get(doctor.id)
        if await _differences(context, calendar, now, last_start) is None:
            continue
        found = await _looked_at_again(context, clinic.id, doctor.id, now, last_start)
        if found is not None:
            yield found


async def _looked_at_again(
    context: Context, clinic_id: UUID, doctor_id: UUID, now: datetime, last_start: datetime | None
) -> OffPlan | None:
    """Return how the slots differ from the plan, if nothing that they follow from has changed while
    they were read."""
    before: _Calendar | None = None
    found: OffPlan | None = None
    for _ in range(_LOOKS_MAX):
        calendar = await _read(context, clinic_id, doctor_id, now)
        if calendar is None:
            return None
        if calendar == before:
            return found
        before = calendar
        found = await _differences(context, calendar, now, last_start)
        if found is None:
            return None
    return None


async def _read(
    context: Context, clinic_id: UUID, doctor_id: UUID, now: datetime
) -> _Calendar | None:
    store = context.store
    clinic = await store.people.clinic(clinic_id)
    doctor = await store.people.doctor(clinic_id, doctor_id)
    if clinic is None or doctor is None:
        return None
    inputs = await read_inputs(context, store, clinic, [doctor], since=now)
    work = await store.calendar_changes.work_of(clinic_id, doctor_id)
    return _Calendar(clinic, doctor, inputs[doctor_id], tuple(work))


async def _differences(
    context: Context, calendar: _Calendar, now: datetime, last_start: datetime | None
) -> OffPlan | None:
    """Return how the doctor's slots differ from the plan; None when they do not."""
    clinic, doctor = calendar.clinic, calendar.doctor
    last = clinic.local_date(now - OPENED_WITHIN) + timedelta(days=clinic.policy.horizon_days)
    if last_start is not None:
        last = max(last, clinic.local_date(last_start))
    by_day: dict[date, Counter[Difference]] = {}
    first = clinic.local_date(now)
    while first <= last:
        until = min(last, first + timedelta(days=STEP_DAYS - 1))
        span = span_between(clinic, first, until)
        slots = await context.store.calendars.slots_between(
            clinic.id, [doctor.id], span.starts_at, span.ends_at
        )
        try:
            [found] = alignments(context, span, [doctor], {doctor.id: calendar.inputs}, slots)
        except TemporaryFailure:
            raise
        except ClinicError as error:
            return OffPlan(clinic, doctor, error=error)
        for starts_at, what in _named(found.plan):
            by_day.setdefault(clinic.local_date(starts_at), Counter())[what] += 1
        first = until + _A_DAY
    wrong = {day: counts for day, counts in by_day.items() if not calendar.is_awaited(day)}
    if not wrong:
        return None
    return OffPlan(clinic, doctor, tuple(sorted(wrong)), sum(wrong.values(), Counter()))


def _named(changes: SlotPlan) -> Iterator[tuple[datetime, Difference]]:
    """Yield the start of each slot that differs, and how. Of lanes that can stand in for each
    other, only the number counts: one that would give way to a retired one with an appointment is
    no difference."""
    back = Counter((slot.interval, state) for slot, state in changes.back)
    gone = Counter((slot.interval, slot.state) for slot in changes.retire)
    replaced = back & gone
    yield from ((slot.starts_at, Difference.MISSING) for slot in changes.add)
    for differs, what in ((back, Difference.MISSING), (gone, Difference.UNPLANNED)):
        for interval, _ in (differs - replaced).elements():
            yield interval.starts_at, what
    yield from ((slot.starts_at, Difference.NOT_BLOCKED) for slot in changes.block)
    yield from ((slot.starts_at, Difference.NOT_OPEN) for slot in changes.unblock)
    coming = {slot.id for slot, _ in changes.back}
    yield from (
        (slot.starts_at, Difference.ELSEWHERE)
        for slot, _ in changes.relocate
        if slot.id not in coming
    )


# --- appointments that people should look at --------------------------------------------------


async def _stranded(context: Context, clinic: Clinic, now: datetime, last: datetime) -> int:
    """Return how many appointments ahead are not within open slots, up to COUNTED_MAX."""
    number, since = 0, now
    while since <= last and number < COUNTED_MAX:
        # A week at a time, so that no statement takes long.
        found = await context.store.appointments.stranded(
            clinic.id, since=since, until=since + _A_WEEK, limit=COUNTED_MAX - number
        )
        number += len(found)
        since += _A_WEEK
    return number


async def _hurried(
    context: Context, clinic: Clinic, doctors: Sequence[Doctor], now: datetime
) -> list[Hurried]:
    """Return the doctors who could not get from one location to the next in time, within the
    clinic's horizon: the way has become longer since their hours were entered, or an exception that
    kept them apart was deleted."""
    first = clinic.local_date(now)
    last = first + timedelta(days=clinic.policy.horizon_days)
    inputs = await read_inputs(context, context.store, clinic, doctors, since=now)
    found = []
    for doctor in doctors:
        at = first_too_close(inputs[doctor.id], clinic.policy.travel_min, first, last)
        if at is not None:
            found.append(Hurried(clinic, doctor, at))
    return found


async def _shifted(context: Context, clinic: Clinic, now: datetime) -> list[Shifted]:
    """Return the appointments whose time on the clock has changed, up to NAMED_MAX.

    Nothing stores that time. But day sheets are planned for an hour on the clock, as an instant: a
    sheet that is not sent yet and would be planned for another instant now has seen another offset.
    """
    times = await context.store.outbox.day_sheet_times(clinic.id)
    evenings: dict[date, timedelta] = {}
    for day, due_at in times:
        shift = due_at - day_sheet_due(day, clinic.zone)
        # The sheet of a day goes out the evening before.
        evenings[day - _A_DAY] = shift or evenings.get(day - _A_DAY, shift)
    found: list[Shifted] = []
    for day, shift in sorted(_shifts_by_day(evenings).items()):
        if not shift or len(found) >= NAMED_MAX:
            continue
        interval = day_interval(day, clinic.zone)
        query = AppointmentQuery(
            Scope(clinic.id),
            starts_from=max(interval.starts_at, now),
            starts_before=interval.ends_at,
            statuses=_OCCUPYING,
        )
        actor = system_actor(clinic.id)
        views = await context.store.appointments.list(actor, query, PageRequest(NAMED_MAX))
        found += [Shifted(view, shift) for view in views]
    return found[:NAMED_MAX]


def _shifts_by_day(evenings: Mapping[date, timedelta]) -> Mapping[date, timedelta]:
    """Return the shift of each day: that of its evening where it is known, since clocks change
    early in the day, else that of the evening before."""
    after = {evening + _A_DAY: shift for evening, shift in evenings.items()}
    return after | dict(evenings)

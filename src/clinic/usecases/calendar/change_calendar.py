"""Change what slots follow from: one way for every input, to do it or to preview it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, DoctorNotFound
from clinic.domain.people.people import Doctor, Role
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect, Days, Span, align, foresee, span_of
from clinic.usecases.calendar.inputs import Reads, read_inputs
from clinic.usecases.context import Context

R = TypeVar("R")
#: more slots are aligned by a worker
AT_ONCE_MAX = 20_000


async def write_nothing(unit: UnitOfWork) -> None:
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[R]):
    """A change of a doctor's inputs, decided on what they are."""

    #: the input as it is written or deleted
    row: R
    #: the inputs after the change
    inputs: CalendarInputs
    write: Callable[[UnitOfWork], Awaitable[None]] = write_nothing
    #: the days whose slots it may concern; None are all
    days: Days | None = None
    #: why it changes nothing; then nothing is written
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ClinicDecision(Generic[R]):
    """A change of an input that all doctors of a clinic share."""

    row: R
    #: the inputs of a doctor after the change
    applied: Callable[[CalendarInputs], CalendarInputs]
    write: Callable[[UnitOfWork], Awaitable[None]]
    #: the days that it concerns, without slots of the eve that last into them; None are all
    days: Days | None = None
    #: the clinic after the change, unless it stays as it is
    clinic: Clinic | None = None
    #: why it changes no slot; then it is only written, if there is something to write
    note: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarChanged(Generic[R]):
    """An input as it was written or deleted, and what that did to the slots."""

    row: R
    effect: CalendarEffect


@dataclass(frozen=True, slots=True)
class Deed:
    """What the audit trail calls a change, and what it was done to."""

    action: str
    entity: str
    entity_id: UUID

    def event(self, context: Context, effect: CalendarEffect, **detail: Any) -> AuditEvent:
        """Return the audit event of the change."""
        return context.event(
            self.action, self.entity, self.entity_id, detail=detail | effect.detail
        )


async def lock_calendar(
    context: Context, unit: UnitOfWork, doctor_id: UUID
) -> tuple[Clinic, Doctor]:
    """Lock the doctor's calendar and return it with its clinic, whose settings stay as they are.

    Raises ClinicNotFound, DoctorNotFound, PermissionDenied.
    """
    clinic = await unit.people.share_clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    if context.actor.role is Role.PATIENT:
        permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    doctor = await unit.calendars.lock_doctor(context.actor.clinic_id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    return clinic, doctor


async def change_doctor(
    context: Context,
    doctor_id: UUID,
    deed: Deed,
    decide: Callable[[Clinic, CalendarInputs], Decision[R]],
    *,
    preview: bool = False,
) -> CalendarChanged[R]:
    """Change an input of one doctor as `decide` says, which may raise to refuse, and align the
    slots with it. With `preview`, return what that would do; nothing is locked or written.

    Raises ClinicNotFound, DoctorNotFound, PermissionDenied.
    """
    if preview:
        return await _preview_doctor(context, doctor_id, decide)

    async def work(unit: UnitOfWork) -> CalendarChanged[R]:
        clinic, doctor = await lock_calendar(context, unit, doctor_id)
        inputs = (await read_inputs(context, unit, clinic, [doctor]))[doctor.id]
        decided = decide(clinic, inputs)
        if decided.note is not None:
            return CalendarChanged(decided.row, CalendarEffect(note=decided.note))
        await decided.write(unit)
        span = await span_of(context, unit.calendars, clinic, [doctor.id], days=decided.days)
        effect = await align(context, unit, clinic, span, [doctor], {doctor.id: decided.inputs})
        if decided.write is not write_nothing or not effect.counts.is_zero:
            await unit.events.add(deed.event(context, effect, doctor=str(doctor_id)))
        return CalendarChanged(decided.row, effect)

    return await context.transactions.run(work)


async def _preview_doctor(
    context: Context, doctor_id: UUID, decide: Callable[[Clinic, CalendarInputs], Decision[R]]
) -> CalendarChanged[R]:
    now, store = context.clock.now(), context.store
    permit(context.actor, Operation.CHANGE_CALENDAR)
    clinic = await store.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    doctor = await store.people.doctor(clinic.id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    permit(context.actor, Operation.CHANGE_CALENDAR, doctor_id=doctor_id)
    inputs = (await read_inputs(context, store, clinic, [doctor]))[doctor.id]
    decided = decide(clinic, inputs)
    if decided.note is not None:
        return CalendarChanged(decided.row, CalendarEffect(note=decided.note, as_of=now))
    span = await span_of(context, store.calendars, clinic, [doctor.id], days=decided.days)
    effect = await foresee(context, store, clinic, span, [doctor], {doctor.id: decided.inputs})
    return CalendarChanged(decided.row, replace(effect, as_of=now))


async def change_all_doctors(
    context: Context,
    deed: Deed,
    decide: Callable[[Clinic, CalendarInputs], ClinicDecision[R]],
    *,
    preview: bool = False,
) -> CalendarChanged[R]:
    """Change an input of the whole clinic as `decide` says, which may raise to refuse and gets the
    inputs that all doctors share, and align every doctor's slots with it.

    When that concerns more than AT_ONCE_MAX slots, a worker aligns them: the effect has the change.
    With `preview`, return what it would do; nothing is locked or written. The caller has checked
    the permission. Raises ClinicNotFound.
    """
    if preview:
        return await preview_all_doctors(context, decide)

    async def work(unit: UnitOfWork) -> CalendarChanged[R]:
        clinic = await unit.people.lock_clinic(context.actor.clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        decided = decide(clinic, await shared_inputs(context, unit, clinic))
        if decided.note is not None:
            effect = CalendarEffect(note=decided.note)
            if decided.write is not write_nothing:
                await decided.write(unit)
                await unit.events.add(deed.event(context, effect))
            return CalendarChanged(decided.row, effect)
        effect = await carry_out(context, unit, clinic, deed, decided)
        return CalendarChanged(decided.row, effect)

    return await context.transactions.run(work)


async def carry_out(
    context: Context,
    unit: UnitOfWork,
    clinic: Clinic,
    deed: Deed,
    decided: ClinicDecision[R],
) -> CalendarEffect:
    """Write a decision about a locked clinic, and align every doctor's slots with it."""
    await decided.write(unit)
    after = decided.clinic or clinic
    doctors = await unit.people.doctors(clinic.id)
    ids = [doctor.id for doctor in doctors]
    inputs = await read_inputs(context, unit, after, doctors)
    days = _with_eve(decided.days, inputs.values())
    span = await span_of(context, unit.calendars, after, ids, days=days)
    if span is not None and await _is_large(unit, after, span, inputs):
        return await _defer(context, unit, deed, span, ids)
    locked = await unit.calendars.lock_doctors(clinic.id)
    inputs = await read_inputs(context, unit, after, locked)
    effect = await align(context, unit, after, span, locked, inputs)
    await unit.events.add(deed.event(context, effect))
    return effect


def _with_eve(days: Days | None, inputs: Iterable[CalendarInputs]) -> Days | None:
    """Return the days, and the one before if slots that begin on it may last into them."""
    if days is None or not any(each.may_last_over_midnight for each in inputs):
        return days
    return days[0] - timedelta(days=1), days[1]


async def _is_large(
    unit: UnitOfWork, clinic: Clinic, span: Span, inputs: Mapping[UUID, CalendarInputs]
) -> bool:
    """Return whether more than AT_ONCE_MAX slots of these doctors are there in the span, or
    planned."""
    there = await unit.calendars.count_slots(clinic.id, [*inputs], span.starts_at, span.ends_at)
    if there > AT_ONCE_MAX:
        return True
    if sum(each.most_slots(span.first, span.last) for each in inputs.values()) <= AT_ONCE_MAX:
        return False
    planned = 0
    for doctor_id, each in inputs.items():
        planned += len(span.planned(doctor_id, each))
        if planned > AT_ONCE_MAX:
            return True
    return False


async def _defer(
    context: Context, unit: UnitOfWork, deed: Deed, span: Span, doctor_ids: Sequence[UUID]
) -> CalendarEffect:
    """Leave the alignment to a worker."""
    change = CalendarChange(
        context.new_id(),
        context.actor.clinic_id,
        deed.action,
        deed.entity,
        deed.entity_id,
        context.actor.user_id,
        context.clock.now(),
        span.first,
        span.last,
        len(doctor_ids),
    )
    work = [
        CalendarWork(change.clinic_id, change.id, doctor_id, span.first, span.last)
        for doctor_id in doctor_ids
    ]
    await unit.calendar_changes.add(change, work)
    effect = CalendarEffect(change=change)
    await unit.events.add(deed.event(context, effect, calendarChange=str(change.id)))
    return effect


async def preview_all_doctors(
    context: Context, decide: Callable[[Clinic, CalendarInputs], ClinicDecision[R]]
) -> CalendarChanged[R]:
    """Return what `change_all_doctors` would do; nothing is locked or written."""
    now, store = context.clock.now(), context.store
    clinic = await store.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    decided = decide(clinic, await shared_inputs(context, store, clinic))
    if decided.note is not None:
        return CalendarChanged(decided.row, CalendarEffect(note=decided.note, as_of=now))
    after = decided.clinic or clinic
    doctors = await store.people.doctors(clinic.id)
    before = await read_inputs(context, store, after, doctors)
    inputs: Mapping[UUID, CalendarInputs] = {
        doctor_id: decided.applied(each) for doctor_id, each in before.items()
    }
    ids = [doctor.id for doctor in doctors]
    days = _with_eve(decided.days, inputs.values())
    span = await span_of(context, store.calendars, after, ids, days=days)
    effect = await foresee(context, store, after, span, doctors, inputs)
    return CalendarChanged(decided.row, replace(effect, as_of=now))


async def shared_inputs(context: Context, reads: Reads, clinic: Clinic) -> CalendarInputs:
    """Return the inputs that all doctors of the clinic share."""
    closures = await reads.closings.closures(clinic.id)
    locations = await reads.locations.all(clinic.id)
    return CalendarInputs(
        clinic.zone, context.holidays, closures=tuple(closures), locations=tuple(locations)
    )

"""Close the clinic on days, every year or on public holidays; all doctors' slots follow."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.domain.calendar.locations import check_location
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyEntered, ClosureNotFound, TimeInPast
from clinic.domain.permissions import Operation, permit
from clinic.usecases.calendar.align import Days
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    ClinicDecision,
    Deed,
    change_all_doctors,
    write_nothing,
)
from clinic.usecases.context import Context

_ONLY_NAMED = "Only the name has changed, which no slot depends on."


async def add_closure(
    context: Context, closure: Closure, *, preview: bool = False
) -> CalendarChanged[Closure]:
    """Close the clinic or one location, whatever the doctors' hours; slots in that time are
    blocked.

    Raises PermissionDenied, InvalidInput, LocationNotFound, LocationInactive,
    UnknownHolidayCalendar, TimeInPast, AlreadyEntered.
    """
    permit(context.actor, Operation.CLOSE_CLINIC)

    def decide(clinic: Clinic, shared: CalendarInputs) -> ClinicDecision[Closure]:
        new = closure.checked()
        check_location(new.location_id, shared.locations)
        _check(context, clinic, shared, new)
        after = (*shared.closures, new)
        return ClinicDecision(
            new,
            lambda inputs: replace(inputs, closures=after),
            lambda unit: unit.closings.add(new),
            _days_of(new),
        )

    deed = Deed("add_closure", "closure", closure.id)
    return await change_all_doctors(context, deed, decide, preview=preview)


async def change_closure(
    context: Context,
    closure_id: UUID,
    change: Callable[[Closure], Closure],
    *,
    preview: bool = False,
) -> CalendarChanged[Closure]:
    """Replace a closure with what `change` returns; it may raise to refuse. A new name alone
    changes no slot, and is stored at once.

    Raises PermissionDenied, ClosureNotFound, InvalidInput, UnknownHolidayCalendar, TimeInPast,
    AlreadyEntered.
    """
    permit(context.actor, Operation.CLOSE_CLINIC)

    def decide(clinic: Clinic, shared: CalendarInputs) -> ClinicDecision[Closure]:
        before = _named(shared.closures, closure_id)
        new = change(before).checked(before)
        if new == before:
            return ClinicDecision(
                new, lambda inputs: inputs, write_nothing, note="The closure is the same as before."
            )
        _check(context, clinic, shared, new)
        after = tuple(new if one.id == closure_id else one for one in shared.closures)
        return ClinicDecision(
            new,
            lambda inputs: replace(inputs, closures=after),
            lambda unit: unit.closings.replace(new),
            _both(_days_of(before), _days_of(new)),
            note=_ONLY_NAMED if replace(new, name=before.name) == before else None,
        )

    deed = Deed("change_closure", "closure", closure_id)
    return await change_all_doctors(context, deed, decide, preview=preview)


async def delete_closure(
    context: Context, closure_id: UUID, *, preview: bool = False
) -> CalendarChanged[Closure]:
    """Open the clinic again. Raises PermissionDenied, ClosureNotFound."""
    permit(context.actor, Operation.CLOSE_CLINIC)

    def decide(clinic: Clinic, shared: CalendarInputs) -> ClinicDecision[Closure]:
        gone = _named(shared.closures, closure_id)
        after = tuple(one for one in shared.closures if one.id != closure_id)
        return ClinicDecision(
            gone,
            lambda inputs: replace(inputs, closures=after),
            lambda unit: unit.closings.delete(gone),
            _days_of(gone),
        )

    deed = Deed("delete_closure", "closure", closure_id)
    return await change_all_doctors(context, deed, decide, preview=preview)


async def list_closures(context: Context) -> Sequence[Closure]:
    """Return the clinic's closures, in the order in which they were entered.

    Raises PermissionDenied.
    """
    permit(context.actor, Operation.READ_CLINIC)
    return await context.store.closings.closures(context.actor.clinic_id)


async def read_closure(context: Context, closure_id: UUID) -> Closure:
    """Return one closure. Raises PermissionDenied, ClosureNotFound."""
    return _named(await list_closures(context), closure_id)


def _check(context: Context, clinic: Clinic, shared: CalendarInputs, new: Closure) -> None:
    today = clinic.local_date(context.clock.now())
    if new.country is not None:
        context.holidays(new.country, new.subdivision, today.year)
    if new.kind is ClosureKind.ONCE and new.last is not None and new.last < today:
        raise TimeInPast("These days are over.", pointer="/until")
    for other in shared.closures:
        if other.id != new.id and replace(new, id=other.id, name=other.name) == other:
            raise AlreadyEntered("The clinic is already closed then.", closureId=str(other.id))


def _days_of(closure: Closure) -> Days | None:
    """Return the days that it concerns; None are all."""
    if closure.kind is not ClosureKind.ONCE or closure.first is None or closure.last is None:
        return None
    return closure.first, closure.last


def _both(one: Days | None, two: Days | None) -> Days | None:
    return None if one is None or two is None else (min(one[0], two[0]), max(one[1], two[1]))


def _named(closures: Sequence[Closure], closure_id: UUID) -> Closure:
    for one in closures:
        if one.id == closure_id:
            return one
    raise ClosureNotFound()

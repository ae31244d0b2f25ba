"""Enter, change and delete a doctor's leave; the slots follow at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from clinic.domain.calendar.closings import Leave
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyEntered, LeaveNotFound, TimeInPast
from clinic.usecases.calendar.align import Days
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.calendar.change_hours import whose_calendar
from clinic.usecases.context import Context


async def add_leave(
    context: Context, leave: Leave, *, preview: bool = False
) -> CalendarChanged[Leave]:
    """Enter leave; the doctor's slots in that time are blocked.

    Raises DoctorNotFound, PermissionDenied, InvalidInput, TimeInPast, AlreadyEntered.
    """

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Leave]:
        new = leave.checked()
        _check(context, clinic, inputs, new)
        return Decision(
            new,
            replace(inputs, leaves=(*inputs.leaves, new)),
            lambda unit: unit.closings.add(new),
            _days_of(new),
        )

    deed = Deed("add_leave", "leave", leave.id)
    return await change_doctor(context, leave.doctor_id, deed, decide, preview=preview)


async def change_leave(
    context: Context, leave_id: UUID, change: Callable[[Leave], Leave], *, preview: bool = False
) -> CalendarChanged[Leave]:
    """Replace leave with what `change` returns; it may raise to refuse.

    Raises PermissionDenied, LeaveNotFound, InvalidInput, TimeInPast, AlreadyEntered.
    """
    known = await read_leave(context, leave_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Leave]:
        before = _named(inputs.leaves, leave_id)
        new = change(before).checked(before)
        if new == before:
            return Decision(new, inputs, note="The leave is the same as before.")
        _check(context, clinic, inputs, new)
        before_days, days = _days_of(before), _days_of(new)
        return Decision(
            new,
            replace(
                inputs,
                leaves=tuple(new if one.id == leave_id else one for one in inputs.leaves),
            ),
            lambda unit: unit.closings.replace(new),
            (min(before_days[0], days[0]), max(before_days[1], days[1])),
        )

    deed = Deed("change_leave", "leave", leave_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def delete_leave(
    context: Context, leave_id: UUID, *, preview: bool = False
) -> CalendarChanged[Leave]:
    """Delete leave: its slots are open again. Raises PermissionDenied, LeaveNotFound."""
    known = await read_leave(context, leave_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Leave]:
        gone = _named(inputs.leaves, leave_id)
        left = tuple(one for one in inputs.leaves if one.id != leave_id)
        return Decision(
            gone,
            replace(inputs, leaves=left),
            lambda unit: unit.closings.delete(gone),
            _days_of(gone),
        )

    deed = Deed("delete_leave", "leave", leave_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def list_leaves(context: Context, *, doctor_id: UUID | None = None) -> Sequence[Leave]:
    """Return leave in the order in which it was entered: doctors see their own, the office
    everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    doctor_id = await whose_calendar(context, doctor_id)
    return await context.store.closings.leaves(context.actor.clinic_id, doctor_id)


async def read_leave(context: Context, leave_id: UUID) -> Leave:
    """Return one leave. Raises PermissionDenied, LeaveNotFound."""
    return _named(await list_leaves(context), leave_id)


def _check(context: Context, clinic: Clinic, inputs: CalendarInputs, new: Leave) -> None:
    if new.last < clinic.local_date(context.clock.now()):
        raise TimeInPast("These days are over.", pointer="/until")
    for other in inputs.leaves:
        if other.id != new.id and replace(new, id=other.id, reason=other.reason) == other:
            raise AlreadyEntered("The doctor is already on leave then.", leaveId=str(other.id))


def _days_of(leave: Leave) -> Days:
    """Return the days whose slots it concerns. Slots of the eve may last into it."""
    return leave.first - timedelta(days=1), leave.last


def _named(leaves: Sequence[Leave], leave_id: UUID) -> Leave:
    for one in leaves:
        if one.id == leave_id:
            return one
    raise LeaveNotFound()

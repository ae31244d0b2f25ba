"""Block a doctor's time, and open it again; the slots follow at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Block
from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic, checked_instant
from clinic.domain.errors import AlreadyEntered, BlockNotFound, TimeInPast
from clinic.domain.permissions import Operation, permit
from clinic.usecases.calendar.align import Days
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.calendar.change_hours import whose_calendar
from clinic.usecases.context import Context


async def add_block(
    context: Context, block: Block, *, preview: bool = False
) -> CalendarChanged[Block]:
    """Block a time, for every slot that it overlaps, opened or not yet.

    Raises DoctorNotFound, PermissionDenied, InvalidInput, TimeInPast, AlreadyEntered.
    """

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Block]:
        new = block.checked()
        check_ahead(context, new)
        for other in inputs.blocks:
            if other.covers(new):
                raise AlreadyEntered("This time is already blocked.", blockId=str(other.id))
        return Decision(
            new,
            replace(inputs, blocks=(*inputs.blocks, new)),
            lambda unit: unit.closings.add(new),
            days_of(clinic, new.interval),
        )

    deed = Deed("add_block", "block", block.id)
    return await change_doctor(context, block.doctor_id, deed, decide, preview=preview)


async def delete_block(
    context: Context, block_id: UUID, *, preview: bool = False
) -> CalendarChanged[Block]:
    """Delete a block: slots that nothing else closes are open again.

    Raises PermissionDenied, BlockNotFound.
    """
    known = await read_block(context, block_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Block]:
        # The inputs hold none that is over, which may be deleted as well.
        left = tuple(one for one in inputs.blocks if one.id != block_id)
        return Decision(
            known,
            replace(inputs, blocks=left),
            lambda unit: unit.closings.delete(known),
            days_of(clinic, known.interval),
        )

    deed = Deed("delete_block", "block", block_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def list_blocks(
    context: Context,
    *,
    doctor_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Sequence[Block]:
    """Return the blocks that end after `since` (default now) and begin before `until`, in the order
    in which they were entered: doctors see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound, NaiveDatetime, DatetimeOutOfRange.
    """
    since = checked_instant(since, "from") if since else context.clock.now()
    until = checked_instant(until, "to") if until else None
    doctor_id = await whose_calendar(context, doctor_id)
    return await context.store.closings.blocks(
        context.actor.clinic_id, doctor_id, since=since, until=until
    )


async def read_block(context: Context, block_id: UUID) -> Block:
    """Return one block. Raises PermissionDenied, BlockNotFound."""
    permit(context.actor, Operation.CHANGE_CALENDAR)
    doctor_id = await whose_calendar(context, None)
    # Not from all of them: those that are over are kept, too.
    found = await context.store.closings.block(context.actor.clinic_id, block_id)
    if found is None or doctor_id not in (None, found.doctor_id):
        raise BlockNotFound()
    return found


def check_ahead(context: Context, block: Block) -> None:
    """Raise TimeInPast for a block that is over."""
    if block.ends_at <= context.clock.now():
        raise TimeInPast("This time is over.", pointer="/to")


def days_of(clinic: Clinic, stretch: Interval) -> Days:
    """Return the days whose slots may overlap `stretch`."""
    first, last = clinic.local_date(stretch.starts_at), clinic.local_date(stretch.ends_at)
    return first - timedelta(days=1), last

"""Queries for closures, leave, blocks, added places, and changes of many calendars."""

from typing import Annotated

import strawberry

from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    BlockOut,
    ClosureOut,
    LeaveOut,
    PlaceOut,
)
from clinic.entrypoints.http.api.calendar.schemas import CalendarChangeOut
from clinic.entrypoints.http.graphql.calendar_types import (
    AddedPlace,
    Block,
    CalendarChange,
    Closure,
    Leave,
)
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, allowed
from clinic.entrypoints.http.graphql.types import DateTime, id_in, required_id
from clinic.usecases.calendar.added_places import list_places
from clinic.usecases.calendar.blocks import list_blocks
from clinic.usecases.calendar.calendar_changes import read_change
from clinic.usecases.calendar.closures import list_closures
from clinic.usecases.calendar.leaves import list_leaves


@strawberry.type
class CalendarQuery:
    @strawberry.field(
        description="Closures in the order in which they were entered, those that are over as well."
    )
    async def closures(self, info: Info) -> list[Closure]:
        context = allowed(info, Operation.READ_CLINIC)
        found = await list_closures(context.call.context())
        return [Closure.of(ClosureOut.of(each)) for each in found]

    @strawberry.field(
        description="Leave in the order in which it was entered: doctors see their own, the office"
        " everyone's."
    )
    async def leaves(
        self, info: Info, doctor_id: strawberry.ID | None = strawberry.UNSET
    ) -> list[Leave]:
        context = allowed(info, Operation.READ_CALENDAR)
        doctor = id_in(given(doctor_id), "doctorId")
        found = await list_leaves(context.call.context(), doctor_id=doctor)
        return [Leave.of(LeaveOut.of(each)) for each in found]

    @strawberry.field(
        description="Blocks that end after `from` (now when left out) and begin before `to`, in the"
        " order in which they were entered: doctors see their own, the office everyone's."
    )
    async def blocks(
        self,
        info: Info,
        doctor_id: strawberry.ID | None = strawberry.UNSET,
        since: Annotated[DateTime | None, strawberry.argument(name="from")] = strawberry.UNSET,
        to: DateTime | None = strawberry.UNSET,
    ) -> list[Block]:
        context = allowed(info, Operation.READ_CALENDAR)
        found = await list_blocks(
            context.call.context(),
            doctor_id=id_in(given(doctor_id), "doctorId"),
            since=given(since),
            until=given(to),
        )
        zone = (await context.call.clinic()).zone
        return [Block.of(BlockOut.of(each, zone)) for each in found]

    @strawberry.field(
        description="Added places that are not over, in the order in which they were entered:"
        " doctors see their own, the office everyone's."
    )
    async def added_places(
        self, info: Info, doctor_id: strawberry.ID | None = strawberry.UNSET
    ) -> list[AddedPlace]:
        context = allowed(info, Operation.READ_CALENDAR)
        doctor = id_in(given(doctor_id), "doctorId")
        found = await list_places(context.call.context(), doctor_id=doctor)
        zone = (await context.call.clinic()).zone
        return [AddedPlace.of(PlaceOut.of(each, zone)) for each in found]

    @strawberry.field(description="The progress of a change that a worker carries out.")
    async def calendar_change(self, info: Info, id: strawberry.ID) -> CalendarChange:
        context = allowed(info, Operation.CLOSE_CLINIC)
        progress = await read_change(context.call.context(), required_id(id, "id"))
        return CalendarChange.of(CalendarChangeOut.of(progress.change))

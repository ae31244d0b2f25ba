"""Mutations of closures, leave, blocks and added places: done, previewed, or left to a worker."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import strawberry
from msgspec import Struct

from clinic.domain.calendar.added_places import AddedPlace as ClinicPlace
from clinic.domain.calendar.closings import Block as ClinicBlock
from clinic.domain.calendar.closings import Closure as ClinicClosure
from clinic.domain.calendar.closings import ClosureKind as ClinicClosureKind
from clinic.domain.calendar.closings import Leave as ClinicLeave
from clinic.domain.errors import IdempotencyKeyMissing
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    BlockChangedOut,
    BlockIn,
    ClosureChangedOut,
    ClosureIn,
    LeaveChangedOut,
    LeaveIn,
    PlaceChangedOut,
    PlaceIn,
    wall_time,
)
from clinic.entrypoints.http.api.schemas import ReasonQuery
from clinic.entrypoints.http.graphql.calendar_types import (
    AddedPlace,
    Block,
    CalendarEffect,
    Closure,
    ClosureKind,
    Leave,
)
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, QueryContext, allowed
from clinic.entrypoints.http.graphql.mutations import (
    MutationError,
    do_once,
    outcome_of,
    read_arguments,
    refuse_nulls,
)
from clinic.entrypoints.http.graphql.types import DateTime, required_id
from clinic.usecases.calendar.added_places import add_place, delete_place
from clinic.usecases.calendar.blocks import add_block, delete_block
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.leaves import add_leave, delete_leave
from clinic.usecases.context import Context
from clinic.usecases.idempotency import KeyedAnswer

B = TypeVar("B", bound=Struct)
S = TypeVar("S", ClosureIn, LeaveIn, BlockIn, PlaceIn)
C = TypeVar("C", ClosureChangedOut, LeaveChangedOut, BlockChangedOut, PlaceChangedOut)
G_contra = TypeVar("G_contra", contravariant=True)
R = TypeVar("R")
T = TypeVar("T")
_encode = msgspec.json.Encoder(order="sorted").encode
_read_closure = msgspec.json.Decoder(ClosureChangedOut).decode
_read_leave = msgspec.json.Decoder(LeaveChangedOut).decode
_read_block = msgspec.json.Decoder(BlockChangedOut).decode
_read_place = msgspec.json.Decoder(PlaceChangedOut).decode

First = Annotated[str, strawberry.argument(name="from", description="The first day.")]
MaybeFirst = Annotated[str | None, strawberry.argument(name="from", description="The first day.")]
Until = Annotated[
    str | None, strawberry.argument(description="The last day; the first one when left out.")
]
Start = Annotated[
    str | None, strawberry.argument(description="HH:mm on the first day; midnight when left out.")
]
End = Annotated[
    str | None, strawberry.argument(description="HH:mm on the last day; its end when left out.")
]
Key = Annotated[
    str | None, strawberry.argument(description="Needed to add something, except for a preview.")
]
AtLocation = Annotated[
    strawberry.ID | None, strawberry.argument(description="A location of the clinic.")
]
Preview = Annotated[
    bool | None,
    strawberry.argument(description="Only say what it would do, as of now; nothing is written."),
]


@strawberry.type
class ClosurePayload:
    closure: Closure | None
    effect: CalendarEffect | None
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class LeavePayload:
    leave: Leave | None
    effect: CalendarEffect | None
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class BlockPayload:
    block: Block | None
    effect: CalendarEffect | None
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class PlacePayload:
    place: AddedPlace | None
    effect: CalendarEffect | None
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class CalendarMutation:
    @strawberry.mutation(
        description="Close the clinic on days, on the same days every year, or on public holidays."
    )
    async def add_closure(
        self,
        info: Info,
        name: str,
        kind: ClosureKind | None = strawberry.UNSET,
        first: MaybeFirst = strawberry.UNSET,
        until: Until = strawberry.UNSET,
        start_time: Start = strawberry.UNSET,
        end_time: End = strawberry.UNSET,
        country: str | None = strawberry.UNSET,
        subdivision: str | None = strawberry.UNSET,
        open_on: list[str] | None = strawberry.UNSET,
        location_id: AtLocation = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> ClosurePayload:
        asking = _Asking(info, "addClosure", Operation.CLOSE_CLINIC, idempotency_key, preview)

        def read() -> ClosureIn:
            return _asked(
                ClosureIn,
                name=name,
                kind=kind.value.lower() if isinstance(kind, ClosureKind) else None,
                until=until,
                startTime=start_time,
                endTime=end_time,
                country=country,
                subdivision=subdivision,
                openOn=open_on,
                locationId=_id_in(location_id),
                reason=reason,
                **{"from": first},
            )

        wire = _plainly(ClosureChangedOut.changed)
        return await _closure_payload(
            info.context, lambda: _added(asking, read, _closure, add_closure, wire)
        )

    @strawberry.mutation(description="Open the clinic again; the slots follow.")
    async def delete_closure(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> ClosurePayload:
        asking = _Asking(info, "deleteClosure", Operation.CLOSE_CLINIC, idempotency_key, preview)
        wire = _plainly(ClosureChangedOut.changed)
        return await _closure_payload(
            info.context, lambda: _deleted(asking, id, reason, delete_closure, wire)
        )

    @strawberry.mutation(description="Enter a doctor's leave; the reason is for staff.")
    async def add_leave(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        first: First,
        until: Until = strawberry.UNSET,
        start_time: Start = strawberry.UNSET,
        end_time: End = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> LeavePayload:
        asking = _Asking(info, "addLeave", Operation.CHANGE_CALENDAR, idempotency_key, preview)

        def read() -> LeaveIn:
            return _asked(
                LeaveIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                until=until,
                startTime=start_time,
                endTime=end_time,
                reason=reason,
                **{"from": first},
            )

        wire = _plainly(LeaveChangedOut.changed)
        return await _leave_payload(
            info.context, lambda: _added(asking, read, _leave, add_leave, wire)
        )

    @strawberry.mutation(description="Take leave back; the slots follow.")
    async def delete_leave(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> LeavePayload:
        asking = _Asking(info, "deleteLeave", Operation.CHANGE_CALENDAR, idempotency_key, preview)
        wire = _plainly(LeaveChangedOut.changed)
        return await _leave_payload(
            info.context, lambda: _deleted(asking, id, reason, delete_leave, wire)
        )

    @strawberry.mutation(description="Block a doctor's time; the reason is for staff.")
    async def add_block(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        starts_at: Annotated[DateTime, strawberry.argument(name="from")],
        to: DateTime,
        lane: Annotated[
            int | None, strawberry.argument(description="Block only this lane.")
        ] = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> BlockPayload:
        asking = _Asking(info, "addBlock", Operation.CHANGE_CALENDAR, idempotency_key, preview)

        def read() -> BlockIn:
            return _asked(
                BlockIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                to=to,
                lane=lane,
                reason=reason,
                **{"from": starts_at},
            )

        wire = _in_zone(BlockChangedOut.changed)
        return await _block_payload(
            info.context, lambda: _added(asking, read, _block, add_block, wire)
        )

    @strawberry.mutation(description="Take a block back; the slots follow.")
    async def delete_block(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> BlockPayload:
        asking = _Asking(info, "deleteBlock", Operation.CHANGE_CALENDAR, idempotency_key, preview)
        wire = _in_zone(BlockChangedOut.changed)
        return await _block_payload(
            info.context, lambda: _deleted(asking, id, reason, delete_block, wire)
        )

    @strawberry.mutation(description="Add a slot beside a doctor's hours; the reason is for staff.")
    async def add_place(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        starts_at: Annotated[DateTime, strawberry.argument(name="from")],
        to: DateTime,
        location_id: AtLocation = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> PlacePayload:
        asking = _Asking(info, "addPlace", Operation.CHANGE_CALENDAR, idempotency_key, preview)

        def read() -> PlaceIn:
            return _asked(
                PlaceIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                to=to,
                locationId=_id_in(location_id),
                reason=reason,
                **{"from": starts_at},
            )

        wire = _in_zone(PlaceChangedOut.changed)
        return await _place_payload(
            info.context, lambda: _added(asking, read, _place, add_place, wire)
        )

    @strawberry.mutation(description="Take an added place back; the slots follow.")
    async def delete_place(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> PlacePayload:
        asking = _Asking(info, "deletePlace", Operation.CHANGE_CALENDAR, idempotency_key, preview)
        wire = _in_zone(PlaceChangedOut.changed)
        return await _place_payload(
            info.context, lambda: _deleted(asking, id, reason, delete_place, wire)
        )


def _closure(context: QueryContext, asked: ClosureIn) -> ClinicClosure:
    return ClinicClosure(
        context.services.new_id(),
        context.actor.clinic_id,
        asked.name,
        ClinicClosureKind(asked.kind.upper()),
        first=asked.from_,
        last=asked.until or asked.from_,
        start=wall_time(asked.start_time),
        end=wall_time(asked.end_time),
        country=asked.country,
        subdivision=asked.subdivision,
        open_on=asked.open_on,
        location_id=asked.location_id,
    )


def _leave(context: QueryContext, asked: LeaveIn) -> ClinicLeave:
    return ClinicLeave(
        context.services.new_id(),
        context.actor.clinic_id,
        asked.doctor_id,
        asked.from_,
        asked.until or asked.from_,
        start=wall_time(asked.start_time),
        end=wall_time(asked.end_time),
        reason=asked.reason,
    )


def _block(context: QueryContext, asked: BlockIn) -> ClinicBlock:
    return ClinicBlock(*_times(context, asked), asked.lane)


def _place(context: QueryContext, asked: PlaceIn) -> ClinicPlace:
    return ClinicPlace(*_times(context, asked), location_id=asked.location_id)


def _id_in(location_id: str | None) -> Any:
    """Return the id of a location as REST writes it. Raises InvalidInput."""
    if location_id is None or location_id is strawberry.UNSET:
        return location_id
    return str(required_id(location_id, "locationId"))


def _times(
    context: QueryContext, asked: BlockIn | PlaceIn
) -> tuple[UUID, UUID, UUID, datetime, datetime, str | None]:
    """Return an id, the clinic, and what was asked for, as blocks and places have them."""
    ids = (context.services.new_id(), context.actor.clinic_id, asked.doctor_id)
    return (*ids, asked.from_, asked.to, asked.reason)


def _asked(body: type[B], /, **arguments: Any) -> B:
    """Return the arguments as `read_arguments` does; a null is left out. Raises InvalidInput."""
    return read_arguments(
        body, **{name: value for name, value in arguments.items() if value is not None}
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    """A mutation, with what all of them take."""

    info: Info
    field: str
    operation: Operation
    idempotency_key: str | None
    previews: bool | None

    def allowed(self) -> QueryContext:
        """Return the context. Raises PermissionDenied, InvalidInput for a null."""
        context = allowed(self.info, self.operation)
        refuse_nulls(preview=self.previews, idempotencyKey=self.idempotency_key)
        return context

    @property
    def is_preview(self) -> bool:
        return bool(given(self.previews))

    @property
    def key(self) -> str | None:
        """What the outcome is kept for; a preview's is not kept."""
        return None if self.is_preview else given(self.idempotency_key)


async def _added(
    asking: _Asking,
    read: Callable[[], S],
    make: Callable[[QueryContext, S], R],
    add: "_UseCase[R, R]",
    wire: "_Wire[R]",
) -> KeyedAnswer:
    """Return the outcome of entering what `make` makes of the arguments; it needs a key, unless it
    is a preview."""
    context = asking.allowed()
    wired = await wire(context)
    asked = read()
    row = make(context, asked)

    async def act(acting: Context) -> CalendarChanged[R]:
        return await add(acting, row, preview=asking.is_preview)

    if asking.key is None and not asking.is_preview:
        raise IdempotencyKeyMissing(
            "Give an idempotencyKey: 20 to 255 printable ASCII characters.",
            pointer="idempotencyKey",
        )
    return await do_once(
        context, asking.field, asking.key, asked, act, _answering(wired), asked.reason
    )


async def _deleted(
    asking: _Asking,
    id_: strawberry.ID,
    reason: str | None,
    delete: "_UseCase[UUID, R]",
    wire: "_Wire[R]",
) -> KeyedAnswer:
    """Return the outcome of deleting what has this id."""
    context = asking.allowed()
    wired = await wire(context)
    row_id = required_id(id_, "id")
    asked = _asked(ReasonQuery, reason=reason)

    async def act(acting: Context) -> CalendarChanged[R]:
        return await delete(acting, row_id, preview=asking.is_preview)

    field = f"{asking.field}/{row_id}"
    return await do_once(context, field, asking.key, asked, act, _answering(wired), given(reason))


class _UseCase(Protocol[G_contra, R]):
    """Adds a row, or deletes the one with an id."""

    async def __call__(
        self, context: Context, what: G_contra, /, *, preview: bool
    ) -> CalendarChanged[R]: ...


#: makes of a change what REST answers
_Wired = Callable[[CalendarChanged[R]], Struct]
_Wire = Callable[[QueryContext], Awaitable[_Wired[R]]]


def _plainly(changed: _Wired[R]) -> _Wire[R]:
    async def wire(context: QueryContext) -> _Wired[R]:
        return changed

    return wire


def _in_zone(changed: Callable[[CalendarChanged[R], ZoneInfo], Struct]) -> _Wire[R]:
    async def wire(context: QueryContext) -> _Wired[R]:
        zone = (await context.call.clinic()).zone
        return lambda change: changed(change, zone)

    return wire


def _answering(wired: _Wired[R]) -> Callable[[CalendarChanged[R]], Answer]:
    return lambda changed: Answer(200, _encode(wired(changed)))


Work = Callable[[], Awaitable[KeyedAnswer]]


async def _closure_payload(context: QueryContext, work: Work) -> ClosurePayload:
    closure, effect, errors, replayed = await _outcome(context, work, _read_closure, Closure.of)
    return ClosurePayload(closure=closure, effect=effect, errors=errors, replayed=replayed)


async def _leave_payload(context: QueryContext, work: Work) -> LeavePayload:
    leave, effect, errors, replayed = await _outcome(context, work, _read_leave, Leave.of)
    return LeavePayload(leave=leave, effect=effect, errors=errors, replayed=replayed)


async def _block_payload(context: QueryContext, work: Work) -> BlockPayload:
    block, effect, errors, replayed = await _outcome(context, work, _read_block, Block.of)
    return BlockPayload(block=block, effect=effect, errors=errors, replayed=replayed)


async def _place_payload(context: QueryContext, work: Work) -> PlacePayload:
    place, effect, errors, replayed = await _outcome(context, work, _read_place, AddedPlace.of)
    return PlacePayload(place=place, effect=effect, errors=errors, replayed=replayed)


async def _outcome(
    context: QueryContext,
    work: Work,
    read: Callable[[bytes], C],
    of: Callable[[C], T],
) -> tuple[T | None, CalendarEffect | None, list[MutationError], bool]:
    """Return the members of a payload: what was changed, the effect, errors, whether replayed."""
    body, errors, replayed = await outcome_of(context, work)
    if not body:
        return None, None, errors, replayed
    changed = read(body)
    return of(changed), CalendarEffect.of(changed.slots_opened), errors, replayed

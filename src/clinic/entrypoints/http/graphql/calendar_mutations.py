"""Mutations of closures, leave, blocks and added places: done, previewed, or left to a worker."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
import strawberry
from msgspec import Struct

from clinic.domain.calendar.added_places import AddedPlace as ClinicPlace
from clinic.domain.calendar.closings import Block as ClinicBlock
from clinic.domain.calendar.closings import Closure as ClinicClosure
from clinic.domain.calendar.closings import ClosureKind as ClinicClosureKind
from clinic.domain.calendar.closings import Leave as ClinicLeave
from clinic.domain.errors import IdempotencyKeyMissing, InvalidInput
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import ReasonQuery
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
    refuse_nulls,
)
from clinic.entrypoints.http.graphql.types import DateTime, required_id
from clinic.entrypoints.http.kernel.decoding import read_json
from clinic.entrypoints.http.kernel.problems import ManyFaults
from clinic.usecases.calendar.added_places import add_place, delete_place
from clinic.usecases.calendar.blocks import add_block, delete_block
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.leaves import add_leave, delete_leave
from clinic.usecases.context import Context
from clinic.usecases.idempotency import KeyedAnswer

S = TypeVar("S", bound=Struct)
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
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> ClosurePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CLOSE_CLINIC)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            asked = _asked(
                ClosureIn,
                name=name,
                kind=kind.value.lower() if isinstance(kind, ClosureKind) else None,
                until=until,
                startTime=start_time,
                endTime=end_time,
                country=country,
                subdivision=subdivision,
                openOn=open_on,
                reason=reason,
                **{"from": first},
            )
            closure = _closure(context, asked)

            async def act(acting: Context) -> CalendarChanged[ClinicClosure]:
                return await add_closure(acting, closure, preview=bool(given(preview)))

            return await _add(
                context,
                "addClosure",
                given(idempotency_key),
                asked,
                act,
                lambda changed: Answer(200, _encode(ClosureChangedOut.changed(changed))),
                preview=bool(given(preview)),
                reason=asked.reason,
            )

        return await _closure_payload(info.context, work)

    @strawberry.mutation(description="Open the clinic again; the slots follow.")
    async def delete_closure(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> ClosurePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CLOSE_CLINIC)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            closure_id = required_id(id, "id")

            async def act(acting: Context) -> CalendarChanged[ClinicClosure]:
                return await delete_closure(acting, closure_id, preview=bool(given(preview)))

            return await _change(
                context,
                f"deleteClosure/{closure_id}",
                given(idempotency_key),
                _asked(ReasonQuery, reason=reason),
                act,
                lambda changed: Answer(200, _encode(ClosureChangedOut.changed(changed))),
                preview=bool(given(preview)),
                reason=given(reason),
            )

        return await _closure_payload(info.context, work)

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
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            asked = _asked(
                LeaveIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                until=until,
                startTime=start_time,
                endTime=end_time,
                reason=reason,
                **{"from": first},
            )
            leave = ClinicLeave(
                context.services.new_id(),
                context.actor.clinic_id,
                asked.doctor_id,
                asked.from_,
                asked.until or asked.from_,
                start=wall_time(asked.start_time),
                end=wall_time(asked.end_time),
                reason=asked.reason,
            )

            async def act(acting: Context) -> CalendarChanged[ClinicLeave]:
                return await add_leave(acting, leave, preview=bool(given(preview)))

            return await _add(
                context,
                "addLeave",
                given(idempotency_key),
                asked,
                act,
                lambda changed: Answer(200, _encode(LeaveChangedOut.changed(changed))),
                preview=bool(given(preview)),
                reason=asked.reason,
            )

        return await _leave_payload(info.context, work)

    @strawberry.mutation(description="Take leave back; the slots follow.")
    async def delete_leave(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> LeavePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            leave_id = required_id(id, "id")

            async def act(acting: Context) -> CalendarChanged[ClinicLeave]:
                return await delete_leave(acting, leave_id, preview=bool(given(preview)))

            return await _change(
                context,
                f"deleteLeave/{leave_id}",
                given(idempotency_key),
                _asked(ReasonQuery, reason=reason),
                act,
                lambda changed: Answer(200, _encode(LeaveChangedOut.changed(changed))),
                preview=bool(given(preview)),
                reason=given(reason),
            )

        return await _leave_payload(info.context, work)

    @strawberry.mutation(description="Block a doctor's time; the reason is for staff.")
    async def add_block(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        starts_at: Annotated[DateTime, strawberry.argument(name="from")],
        to: DateTime,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> BlockPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            zone = (await context.call.clinic()).zone
            asked = _asked(
                BlockIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                to=to,
                reason=reason,
                **{"from": starts_at},
            )
            block = ClinicBlock(
                context.services.new_id(),
                context.actor.clinic_id,
                asked.doctor_id,
                asked.from_,
                asked.to,
                asked.reason,
            )

            async def act(acting: Context) -> CalendarChanged[ClinicBlock]:
                return await add_block(acting, block, preview=bool(given(preview)))

            return await _add(
                context,
                "addBlock",
                given(idempotency_key),
                asked,
                act,
                lambda changed: Answer(200, _encode(BlockChangedOut.changed(changed, zone))),
                preview=bool(given(preview)),
                reason=asked.reason,
            )

        return await _block_payload(info.context, work)

    @strawberry.mutation(description="Take a block back; the slots follow.")
    async def delete_block(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> BlockPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            zone = (await context.call.clinic()).zone
            block_id = required_id(id, "id")

            async def act(acting: Context) -> CalendarChanged[ClinicBlock]:
                return await delete_block(acting, block_id, preview=bool(given(preview)))

            return await _change(
                context,
                f"deleteBlock/{block_id}",
                given(idempotency_key),
                _asked(ReasonQuery, reason=reason),
                act,
                lambda changed: Answer(200, _encode(BlockChangedOut.changed(changed, zone))),
                preview=bool(given(preview)),
                reason=given(reason),
            )

        return await _block_payload(info.context, work)

    @strawberry.mutation(description="Add a slot beside a doctor's hours; the reason is for staff.")
    async def add_place(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        starts_at: Annotated[DateTime, strawberry.argument(name="from")],
        to: DateTime,
        reason: str | None = strawberry.UNSET,
        idempotency_key: Key = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> PlacePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            zone = (await context.call.clinic()).zone
            asked = _asked(
                PlaceIn,
                doctorId=str(required_id(doctor_id, "doctorId")),
                to=to,
                reason=reason,
                **{"from": starts_at},
            )
            place = ClinicPlace(
                context.services.new_id(),
                context.actor.clinic_id,
                asked.doctor_id,
                asked.from_,
                asked.to,
                asked.reason,
            )

            async def act(acting: Context) -> CalendarChanged[ClinicPlace]:
                return await add_place(acting, place, preview=bool(given(preview)))

            return await _add(
                context,
                "addPlace",
                given(idempotency_key),
                asked,
                act,
                lambda changed: Answer(200, _encode(PlaceChangedOut.changed(changed, zone))),
                preview=bool(given(preview)),
                reason=asked.reason,
            )

        return await _place_payload(info.context, work)

    @strawberry.mutation(description="Take an added place back; the slots follow.")
    async def delete_place(
        self,
        info: Info,
        id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
        preview: Preview = strawberry.UNSET,
    ) -> PlacePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CALENDAR)
            refuse_nulls(preview=preview, idempotencyKey=idempotency_key)
            zone = (await context.call.clinic()).zone
            place_id = required_id(id, "id")

            async def act(acting: Context) -> CalendarChanged[ClinicPlace]:
                return await delete_place(acting, place_id, preview=bool(given(preview)))

            return await _change(
                context,
                f"deletePlace/{place_id}",
                given(idempotency_key),
                _asked(ReasonQuery, reason=reason),
                act,
                lambda changed: Answer(200, _encode(PlaceChangedOut.changed(changed, zone))),
                preview=bool(given(preview)),
                reason=given(reason),
            )

        return await _place_payload(info.context, work)


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
    )


def _asked(body: type[S], /, **arguments: Any) -> S:
    """Return the arguments as the body that REST gets, checked in the same way.

    Raises InvalidInput with the first fault.
    """
    values = {name: value for name, value in arguments.items() if given(value) is not None}
    try:
        return read_json(msgspec.json.encode(values), body)
    except ManyFaults as error:
        first = error.faults[0]
        raise InvalidInput(first["detail"], pointer=first.get("pointer", "")) from None


async def _add(
    context: QueryContext,
    field: str,
    key: str | None,
    asked: Struct,
    act: Callable[[Context], Awaitable[T]],
    render: Callable[[T], Answer],
    *,
    preview: bool,
    reason: str | None,
) -> KeyedAnswer:
    """Return the outcome of a change that needs a key, unless it is a preview."""
    if key is None and not preview:
        raise IdempotencyKeyMissing(
            "Give an idempotencyKey: 20 to 255 printable ASCII characters.",
            pointer="idempotencyKey",
        )
    return await _change(context, field, key, asked, act, render, preview=preview, reason=reason)


async def _change(
    context: QueryContext,
    field: str,
    key: str | None,
    asked: Struct,
    act: Callable[[Context], Awaitable[T]],
    render: Callable[[T], Answer],
    *,
    preview: bool,
    reason: str | None,
) -> KeyedAnswer:
    """Return the outcome of a change; that of a preview is not kept for its key."""
    return await do_once(context, field, None if preview else key, asked, act, render, reason)


Work = Callable[[], Awaitable[KeyedAnswer]]


async def _closure_payload(context: QueryContext, work: Work) -> ClosurePayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = body and _read_closure(body)
    return ClosurePayload(
        closure=Closure.of(changed) if changed else None,
        effect=CalendarEffect.of(changed.slots_opened) if changed else None,
        errors=errors,
        replayed=replayed,
    )


async def _leave_payload(context: QueryContext, work: Work) -> LeavePayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = body and _read_leave(body)
    return LeavePayload(
        leave=Leave.of(changed) if changed else None,
        effect=CalendarEffect.of(changed.slots_opened) if changed else None,
        errors=errors,
        replayed=replayed,
    )


async def _block_payload(context: QueryContext, work: Work) -> BlockPayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = body and _read_block(body)
    return BlockPayload(
        block=Block.of(changed) if changed else None,
        effect=CalendarEffect.of(changed.slots_opened) if changed else None,
        errors=errors,
        replayed=replayed,
    )


async def _place_payload(context: QueryContext, work: Work) -> PlacePayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = body and _read_place(body)
    return PlacePayload(
        place=AddedPlace.of(changed) if changed else None,
        effect=CalendarEffect.of(changed.slots_opened) if changed else None,
        errors=errors,
        replayed=replayed,
    )

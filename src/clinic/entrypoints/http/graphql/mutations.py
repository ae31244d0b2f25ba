"""Mutations: the same use cases, idempotency keys and refusals as over REST.

A refusal is part of the answer, in `errors`. The whole answer is stored for a key, so that a
repeated request may select other fields.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import strawberry
from msgspec import UNSET, Struct, UnsetType

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.errors import ClinicError, InvalidInput
from clinic.domain.idempotency import Answer, IdempotentRequest, checked_key, fingerprint
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.schemas import (
    AppointmentOut,
    BookIn,
    ChangeAppointmentIn,
    SwapIn,
)
from clinic.entrypoints.http.api.appointments.type_schemas import type_named
from clinic.entrypoints.http.api.calendar.schemas import SlotOut
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, QueryContext, allowed
from clinic.entrypoints.http.graphql.types import (
    AppointmentRecord,
    AppointmentStatus,
    Slot,
    id_in,
    required_id,
)
from clinic.entrypoints.http.kernel.decoding import read_json
from clinic.entrypoints.http.kernel.problems import ManyFaults, problem_answer
from clinic.usecases.appointments.book import book_once
from clinic.usecases.appointments.change_appointment import change_status, reschedule, swap
from clinic.usecases.context import Context
from clinic.usecases.idempotency import IdempotentCall, KeyedAnswer, answer_once

PATH = "/graphql"
_encode = msgspec.json.Encoder(order="sorted").encode
_read_appointments = msgspec.json.Decoder(list[AppointmentOut]).decode

B = TypeVar("B", bound=Struct)
T = TypeVar("T")
Pair = tuple[AppointmentView, AppointmentView]


@strawberry.type(description="Why a change was refused; `code` is the one REST gives.")
class MutationError:
    code: str
    message: str
    pointer: str | None = strawberry.field(description="The argument that is at fault.")
    nearest: list[Slot] | None = strawberry.field(
        description="When the slot is taken: others that could be booked."
    )
    allowed: list[AppointmentStatus] | None = strawberry.field(
        description="When the status cannot follow: those that can."
    )
    types: list[str] | None = strawberry.field(
        description="When the clinic has no such type of appointment: those it has."
    )


@strawberry.type
class AppointmentPayload:
    appointment: AppointmentRecord | None
    errors: list[MutationError]
    replayed: bool = strawberry.field(
        description="This key had been answered before; nothing was done this time."
    )


@strawberry.type
class SwapPayload:
    appointments: list[AppointmentRecord] | None
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Patients book for themselves, staff for the patient named.")
    async def book_appointment(
        self,
        info: Info,
        slot_id: strawberry.ID,
        idempotency_key: str,
        patient_id: strawberry.ID | None = strawberry.UNSET,
        type: str | None = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        override: bool | None = strawberry.UNSET,
        type_id: strawberry.ID | None = strawberry.UNSET,
    ) -> AppointmentPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.BOOK)
            asked = BookIn(
                slot_id=required_id(slot_id, "slotId"),
                patient_id=id_in(given(patient_id), "patientId"),
                type=given(type),
                type_id=id_in(given(type_id), "typeId"),
                reason=given(reason),
                override=bool(given(override)),
            )
            wanted = type_named(asked.type, asked.type_id)
            request = _request(context, "bookAppointment", idempotency_key, asked)
            return await book_once(
                context.call.context(asked.reason),
                IdempotentCall(request, _answer, _refusal_in(context)),
                asked.slot_id,
                patient_id=asked.patient_id,
                type=wanted,
                override=asked.override,
            )

        return _appointment_payload(await _settled(info.context, work))

    @strawberry.mutation(
        description="Confirm, arrive, complete, no-show or cancel; for staff, also back to the"
        " status before. Returns the whole appointment."
    )
    async def update_status(
        self,
        info: Info,
        id: strawberry.ID,
        status: AppointmentStatus,
        reason: str | None = strawberry.UNSET,
        override: bool | None = strawberry.UNSET,
        expected_version: int | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
    ) -> AppointmentPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_APPOINTMENT)
            refuse_nulls(
                reason=reason,
                override=override,
                expectedVersion=expected_version,
                idempotencyKey=idempotency_key,
            )
            appointment_id, to = required_id(id, "id"), Status(status.value)

            async def act(acting: Context) -> AppointmentView:
                return await change_status(
                    acting,
                    appointment_id,
                    to=to,
                    override=bool(given(override)),
                    expected_version=given(expected_version),
                )

            asked = ChangeAppointmentIn(
                status=to, reason=reason_in(reason), override=bool(given(override))
            )
            field = f"updateStatus/{appointment_id}"
            return await do_once(
                context, field, given(idempotency_key), asked, act, _answer, given(reason)
            )

        return _appointment_payload(await _settled(info.context, work))

    @strawberry.mutation(description="Move an appointment to another slot; it keeps its id.")
    async def reschedule_appointment(
        self,
        info: Info,
        id: strawberry.ID,
        slot_id: strawberry.ID,
        reason: str | None = strawberry.UNSET,
        override: bool | None = strawberry.UNSET,
        expected_version: int | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
    ) -> AppointmentPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_APPOINTMENT)
            refuse_nulls(
                reason=reason,
                override=override,
                expectedVersion=expected_version,
                idempotencyKey=idempotency_key,
            )
            appointment_id = required_id(id, "id")
            into = required_id(slot_id, "slotId")

            async def act(acting: Context) -> AppointmentView:
                return await reschedule(
                    acting,
                    appointment_id,
                    slot_id=into,
                    override=bool(given(override)),
                    expected_version=given(expected_version),
                )

            asked = ChangeAppointmentIn(
                slot_id=into, reason=reason_in(reason), override=bool(given(override))
            )
            field = f"rescheduleAppointment/{appointment_id}"
            return await do_once(
                context, field, given(idempotency_key), asked, act, _answer, given(reason)
            )

        return _appointment_payload(await _settled(info.context, work))

    @strawberry.mutation(description="Two appointments exchange their slots, both or neither.")
    async def swap_appointments(
        self,
        info: Info,
        ids: list[strawberry.ID],
        idempotency_key: str,
        reason: str | None = strawberry.UNSET,
    ) -> SwapPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.SWAP_APPOINTMENTS)
            # One more than is allowed, so that too many are refused as too many.
            named = tuple(required_id(each, "ids") for each in ids[:3])

            async def act(acting: Context) -> Pair:
                return await swap(acting, named)

            asked = SwapIn(appointment_ids=named, reason=given(reason))
            return await do_once(
                context, "swapAppointments", idempotency_key, asked, act, _answer_two, given(reason)
            )

        records, errors, replayed = await _settled(info.context, work)
        return SwapPayload(appointments=records, errors=errors, replayed=replayed)


Settled = tuple[list[AppointmentRecord] | None, list[MutationError], bool]


def reason_in(reason: str | None) -> str | UnsetType:
    """Return a reason as in a REST body, so that both have the same fingerprint."""
    return UNSET if reason in (None, strawberry.UNSET) else str(reason)


def refuse_nulls(**arguments: object) -> None:
    """Raise InvalidInput for an argument of a change that is null rather than left out: a version
    that a client lost, for example, would otherwise mean any version."""
    for name, value in arguments.items():
        if value is None:
            raise InvalidInput(f"{name} is null; leave it out, or give a value.", pointer=name)


def read_arguments(body: type[B], /, **arguments: object) -> B:
    """Return the arguments that were given as the body that REST gets, checked in the same way.

    Raises InvalidInput with the first fault.
    """
    values = {name: value for name, value in arguments.items() if value is not strawberry.UNSET}
    try:
        return read_json(msgspec.json.encode(values), body)
    except ManyFaults as error:
        first = error.faults[0]
        raise InvalidInput(first["detail"], pointer=first.get("pointer", "")) from None


def _request(context: QueryContext, field: str, key: str, asked: Struct) -> IdempotentRequest:
    """Return the request bound to its clinic, principal, key, field and arguments."""
    actor = context.actor
    content = fingerprint("POST", f"{PATH}#{field}", _encode(asked))
    return IdempotentRequest(actor.clinic_id, actor.user_id, checked_key(key), content)


async def do_once(
    context: QueryContext,
    field: str,
    key: str | None,
    asked: Struct,
    act: Callable[[Context], Awaitable[T]],
    render: Callable[[T], Answer],
    reason: str | None,
) -> KeyedAnswer:
    """Return the outcome of `act`; with a key, its outcome the first time."""
    acting = context.call.context(reason)
    if key is None:
        return KeyedAnswer(render(await act(acting)), replayed=False)
    call = IdempotentCall(_request(context, field, key, asked), render, _refusal_in(context))
    return await answer_once(acting, act, call, cache=context.services.cache)


def _answer(view: AppointmentView) -> Answer:
    return Answer(200, _encode([AppointmentOut.of(view)]))


def _answer_two(views: Pair) -> Answer:
    return Answer(200, _encode([AppointmentOut.of(view) for view in views]))


def _refusal_in(context: QueryContext) -> Callable[[ClinicError], Answer]:
    request_id = context.call.request_id
    return lambda error: problem_answer(error, instance=PATH, request_id=request_id)


async def outcome_of(
    context: QueryContext, work: Callable[[], Awaitable[KeyedAnswer]]
) -> tuple[bytes | None, list[MutationError], bool]:
    """Return the answer's body, or the errors, and whether this is a repeated answer."""
    try:
        outcome = await work()
    except ClinicError as error:
        context.call.guard.note_refusal(context.call, error)
        outcome = KeyedAnswer(_refusal_in(context)(error), replayed=False)
    answer = outcome.answer
    if answer.status >= 400:
        return None, [_error_of(msgspec.json.decode(answer.body))], outcome.replayed
    return answer.body, [], outcome.replayed


async def _settled(context: QueryContext, work: Callable[[], Awaitable[KeyedAnswer]]) -> Settled:
    """Return the appointments, or the errors, and whether this is a repeated answer."""
    body, errors, replayed = await outcome_of(context, work)
    if body is None:
        return None, errors, replayed
    return [AppointmentRecord.of(each) for each in _read_appointments(body)], errors, replayed


def _appointment_payload(settled: Settled) -> AppointmentPayload:
    records, errors, replayed = settled
    appointment = records[0] if records else None
    return AppointmentPayload(appointment=appointment, errors=errors, replayed=replayed)


def _error_of(problem: dict[str, Any]) -> MutationError:
    """Return a REST problem as an error in the payload."""
    faults = problem.get("errors") or [{}]
    pointer = faults[0].get("pointer", faults[0].get("parameter"))
    nearest, allowed = problem.get("nearest"), problem.get("allowed")
    return MutationError(
        code=problem["code"],
        message=problem.get("detail", problem["title"]),
        pointer=pointer.lstrip("/") if pointer else None,
        nearest=nearest and [Slot.of(each) for each in msgspec.convert(nearest, list[SlotOut])],
        allowed=None if allowed is None else [AppointmentStatus(each) for each in allowed],
        types=problem.get("types"),
    )

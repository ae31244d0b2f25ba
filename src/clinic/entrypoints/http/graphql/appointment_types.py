"""Types of appointments over GraphQL: the type, the query, and the mutations."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from enum import Enum
from typing import Annotated, Any

import msgspec
import strawberry

from clinic.domain.appointments.types import AppointmentType as ClinicType
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.type_schemas import (
    AppointmentTypeChangedOut,
    AppointmentTypeIn,
    AppointmentTypeOut,
    ChangeAppointmentTypeIn,
    changes_of,
    type_of,
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
from clinic.entrypoints.http.graphql.types import Doctor, doctor_of, id_of, required_id
from clinic.usecases.appointments.types import TypeChanged, add_type, change_type, list_types
from clinic.usecases.context import Context
from clinic.usecases.idempotency import KeyedAnswer

_encode = msgspec.json.Encoder(order="sorted").encode
_read = msgspec.json.Decoder(AppointmentTypeChangedOut).decode


@strawberry.enum(
    description="Who may book a type besides staff: patients, those with a completed appointment at"
    " the clinic, or nobody."
)
class BookableBy(Enum):
    PATIENTS = "PATIENTS"
    KNOWN_PATIENTS = "KNOWN_PATIENTS"
    STAFF = "STAFF"


@strawberry.type(description="A doctor who offers a type.")
class TypeOffer:
    doctor_id: strawberry.ID
    visible_min: int | None = strawberry.field(
        description="Minutes that it lasts with this doctor; null is as long as the type."
    )
    doctor: Doctor = strawberry.field(resolver=doctor_of)


@strawberry.input(description="A doctor who offers a type.")
class TypeOfferInput:
    doctor_id: strawberry.ID
    visible_min: int | None = None


@strawberry.type(description="What can be booked, such as a check-up of 40 minutes.")
class AppointmentType:
    id: strawberry.ID
    name: str
    visible_min: int = strawberry.field(description="Minutes that it lasts for the patient.")
    before_min: int = strawberry.field(description="Minutes that the doctor needs before it.")
    after_min: int = strawberry.field(description="Minutes that the doctor needs after it.")
    notice_min: int | None = strawberry.field(description="Null is the clinic's.")
    horizon_days: int | None = strawberry.field(description="Null is the clinic's.")
    bookable_by: BookableBy
    offered_by: list[TypeOffer] | None = strawberry.field(description="Null is every doctor.")
    instructions: str | None
    color: str | None
    needs: list[str] = strawberry.field(
        description="Kinds of rooms and equipment, of which each appointment has one."
    )
    default: bool = strawberry.field(description="Booked when a request names no type.")
    active: bool = strawberry.field(description="Whether it can be booked.")

    @classmethod
    def of(cls, out: AppointmentTypeOut) -> "AppointmentType":
        offers = out.offered_by
        return cls(
            id=id_of(out.id),
            name=out.name,
            visible_min=out.visible_min,
            before_min=out.before_min,
            after_min=out.after_min,
            notice_min=out.notice_min,
            horizon_days=out.horizon_days,
            bookable_by=BookableBy(out.bookable_by.upper()),
            offered_by=None
            if offers is None
            else [
                TypeOffer(doctor_id=id_of(one.doctor_id), visible_min=one.visible_min)
                for one in offers
            ],
            instructions=out.instructions,
            color=out.color,
            needs=list(out.needs),
            default=out.default,
            active=out.active,
        )


@strawberry.type
class AppointmentTypePayload:
    appointment_type: AppointmentType | None
    note: str | None = strawberry.field(description="Why nothing was changed.")
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class TypeQuery:
    @strawberry.field(
        description="Types of appointments in the order in which they were entered: to patients"
        " those that patients may book, to staff all."
    )
    async def appointment_types(self, info: Info) -> list[AppointmentType]:
        context = allowed(info, Operation.READ_CLINIC)
        found = await list_types(context.call.context())
        return [AppointmentType.of(AppointmentTypeOut.of(each)) for each in found]


Offers = Annotated[
    list[TypeOfferInput] | None,
    strawberry.argument(description="Replaces the doctors who offer it; null is every doctor."),
]
Needs = Annotated[
    list[str] | None,
    strawberry.argument(description="Replaces the kinds of rooms and equipment that it needs."),
]
MaybeInt = Annotated[int | None, strawberry.argument(description="Null is the clinic's.")]


@strawberry.type
class TypeMutation:
    @strawberry.mutation(description="Add a type of appointment. For admins.")
    async def add_appointment_type(
        self,
        info: Info,
        name: str,
        visible_min: int,
        idempotency_key: str,
        before_min: int | None = strawberry.UNSET,
        after_min: int | None = strawberry.UNSET,
        notice_min: MaybeInt = strawberry.UNSET,
        horizon_days: MaybeInt = strawberry.UNSET,
        bookable_by: BookableBy | None = strawberry.UNSET,
        offered_by: Offers = strawberry.UNSET,
        instructions: str | None = strawberry.UNSET,
        color: str | None = strawberry.UNSET,
        needs: Needs = strawberry.UNSET,
        default: bool | None = strawberry.UNSET,
        active: bool | None = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
    ) -> AppointmentTypePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CLINIC)
            asked = read_arguments(
                AppointmentTypeIn,
                name=name,
                visibleMin=visible_min,
                beforeMin=before_min,
                afterMin=after_min,
                noticeMin=notice_min,
                horizonDays=horizon_days,
                bookableBy=_word(bookable_by),
                offeredBy=_offers(offered_by),
                instructions=instructions,
                color=color,
                needs=needs,
                default=default,
                active=active,
                reason=reason,
            )
            new = type_of(asked, id=context.services.new_id(), clinic_id=context.actor.clinic_id)

            async def act(acting: Context) -> ClinicType:
                return await add_type(acting, new)

            return await do_once(
                context, "addAppointmentType", idempotency_key, asked, act, _added, given(reason)
            )

        return await _payload(info.context, work)

    @strawberry.mutation(
        description="Change a type: arguments that are left out change nothing. For admins."
    )
    async def change_appointment_type(
        self,
        info: Info,
        id: strawberry.ID,
        name: str | None = strawberry.UNSET,
        visible_min: int | None = strawberry.UNSET,
        before_min: int | None = strawberry.UNSET,
        after_min: int | None = strawberry.UNSET,
        notice_min: MaybeInt = strawberry.UNSET,
        horizon_days: MaybeInt = strawberry.UNSET,
        bookable_by: BookableBy | None = strawberry.UNSET,
        offered_by: Offers = strawberry.UNSET,
        instructions: str | None = strawberry.UNSET,
        color: str | None = strawberry.UNSET,
        needs: Needs = strawberry.UNSET,
        default: bool | None = strawberry.UNSET,
        active: bool | None = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
    ) -> AppointmentTypePayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CLINIC)
            refuse_nulls(idempotencyKey=idempotency_key)
            type_id = required_id(id, "id")
            asked = read_arguments(
                ChangeAppointmentTypeIn,
                name=name,
                visibleMin=visible_min,
                beforeMin=before_min,
                afterMin=after_min,
                noticeMin=notice_min,
                horizonDays=horizon_days,
                bookableBy=_word(bookable_by),
                offeredBy=_offers(offered_by),
                instructions=instructions,
                color=color,
                needs=needs,
                default=default,
                active=active,
                reason=reason,
            )
            changes = changes_of(asked)

            def change(before: ClinicType) -> ClinicType:
                return replace(before, **changes)

            async def act(acting: Context) -> TypeChanged:
                return await change_type(acting, type_id, change)

            field, key = f"changeAppointmentType/{type_id}", given(idempotency_key)
            return await do_once(context, field, key, asked, act, _changed, given(reason))

        return await _payload(info.context, work)


def _word(bookable_by: BookableBy | None) -> Any:
    """Return it as REST writes it."""
    return bookable_by.value.lower() if isinstance(bookable_by, BookableBy) else bookable_by


def _offers(offers: Iterable[TypeOfferInput] | None) -> Any:
    """Return the offers as REST writes them. Raises InvalidInput."""
    if offers is None or offers is strawberry.UNSET:
        return offers
    return [
        {
            "doctorId": str(required_id(one.doctor_id, f"offeredBy/{place}/doctorId")),
            "visibleMin": one.visible_min,
        }
        for place, one in enumerate(offers)
    ]


def _added(type: ClinicType) -> Answer:
    return _changed(TypeChanged(type))


def _changed(changed: TypeChanged) -> Answer:
    return Answer(200, _encode(AppointmentTypeChangedOut.changed(changed)))


async def _payload(
    context: QueryContext, work: Callable[[], Awaitable[KeyedAnswer]]
) -> AppointmentTypePayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = _read(body) if body else None
    return AppointmentTypePayload(
        appointment_type=AppointmentType.of(changed) if changed else None,
        note=changed.note if changed else None,
        errors=errors,
        replayed=replayed,
    )

"""Locations over GraphQL: the type, the query, and the mutations."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import strawberry

from clinic.domain.calendar.locations import Location as ClinicLocation
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.location_schemas import (
    ChangeLocationIn,
    LocationChangedOut,
    LocationIn,
    LocationOut,
    changes_of,
    location_of,
)
from clinic.entrypoints.http.graphql.calendar_types import CalendarEffect
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, QueryContext, allowed
from clinic.entrypoints.http.graphql.mutations import (
    MutationError,
    do_once,
    outcome_of,
    read_arguments,
    refuse_nulls,
)
from clinic.entrypoints.http.graphql.types import id_of, required_id
from clinic.usecases.calendar.locations import (
    LocationChanged,
    add_location,
    change_location,
    list_locations,
)
from clinic.usecases.context import Context
from clinic.usecases.idempotency import KeyedAnswer

_encode = msgspec.json.Encoder(order="sorted").encode
_read = msgspec.json.Decoder(LocationChangedOut).decode


@strawberry.type(description="Where doctors of the clinic work.")
class Location:
    id: strawberry.ID
    name: str
    address: str | None = strawberry.field(description="In lines; null is the clinic's.")
    directions: str | None = strawberry.field(description="How to get there and in.")
    phone: str | None = strawberry.field(description="Null is the clinic's.")
    country: str | None = strawberry.field(
        description="Of its public holidays; null is as the clinic."
    )
    subdivision: str | None
    active: bool = strawberry.field(description="Whether hours can be entered there.")

    @classmethod
    def of(cls, out: LocationOut) -> "Location":
        return cls(
            id=id_of(out.id),
            name=out.name,
            address=out.address,
            directions=out.directions,
            phone=out.phone,
            country=out.country,
            subdivision=out.subdivision,
            active=out.active,
        )


@strawberry.type
class LocationPayload:
    location: Location | None
    slots_opened: CalendarEffect | None = strawberry.field(
        description="What other public holidays did to the slots of all doctors."
    )
    note: str | None = strawberry.field(description="Why nothing was changed.")
    errors: list[MutationError]
    replayed: bool


@strawberry.type
class LocationQuery:
    @strawberry.field(
        description="Where the clinic's doctors work, in the order in which it was entered; also"
        " inactive ones."
    )
    async def locations(self, info: Info) -> list[Location]:
        context = allowed(info, Operation.READ_CLINIC)
        found = await list_locations(context.call.context())
        return [Location.of(LocationOut.of(each)) for each in found]


@strawberry.type
class LocationMutation:
    @strawberry.mutation(description="Add a location. For admins.")
    async def add_location(
        self,
        info: Info,
        name: str,
        idempotency_key: str,
        address: str | None = strawberry.UNSET,
        directions: str | None = strawberry.UNSET,
        phone: str | None = strawberry.UNSET,
        country: str | None = strawberry.UNSET,
        subdivision: str | None = strawberry.UNSET,
        active: bool | None = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
    ) -> LocationPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CLINIC)
            asked = read_arguments(
                LocationIn,
                name=name,
                address=address,
                directions=directions,
                phone=phone,
                country=country,
                subdivision=subdivision,
                active=active,
                reason=reason,
            )
            services, clinic_id = context.services, context.actor.clinic_id
            new = location_of(asked, id=services.new_id(), clinic_id=clinic_id)

            async def act(acting: Context) -> ClinicLocation:
                return await add_location(acting, new, contacts=services.contacts)

            return await do_once(
                context, "addLocation", idempotency_key, asked, act, _added, given(reason)
            )

        return await _payload(info.context, work)

    @strawberry.mutation(
        description="Change a location: arguments that are left out change nothing. For admins."
    )
    async def change_location(
        self,
        info: Info,
        id: strawberry.ID,
        name: str | None = strawberry.UNSET,
        address: str | None = strawberry.UNSET,
        directions: str | None = strawberry.UNSET,
        phone: str | None = strawberry.UNSET,
        country: str | None = strawberry.UNSET,
        subdivision: str | None = strawberry.UNSET,
        active: bool | None = strawberry.UNSET,
        reason: str | None = strawberry.UNSET,
        idempotency_key: str | None = strawberry.UNSET,
    ) -> LocationPayload:
        async def work() -> KeyedAnswer:
            context = allowed(info, Operation.CHANGE_CLINIC)
            refuse_nulls(idempotencyKey=idempotency_key)
            location_id = required_id(id, "id")
            asked = read_arguments(
                ChangeLocationIn,
                name=name,
                address=address,
                directions=directions,
                phone=phone,
                country=country,
                subdivision=subdivision,
                active=active,
                reason=reason,
            )
            changes = changes_of(asked)

            def change(before: ClinicLocation) -> ClinicLocation:
                return replace(before, **changes)

            async def act(acting: Context) -> LocationChanged:
                contacts = context.services.contacts
                return await change_location(acting, location_id, change, contacts=contacts)

            field, key = f"changeLocation/{location_id}", given(idempotency_key)
            return await do_once(context, field, key, asked, act, _changed, given(reason))

        return await _payload(info.context, work)


def _added(location: ClinicLocation) -> Answer:
    return _changed(LocationChanged(location))


def _changed(changed: LocationChanged) -> Answer:
    return Answer(200, _encode(LocationChangedOut.changed(changed)))


async def _payload(
    context: QueryContext, work: Callable[[], Awaitable[KeyedAnswer]]
) -> LocationPayload:
    body, errors, replayed = await outcome_of(context, work)
    changed = _read(body) if body else None
    effect = changed.slots_opened if changed else None
    return LocationPayload(
        location=Location.of(changed) if changed else None,
        slots_opened=CalendarEffect.of(effect) if effect else None,
        note=changed.note if changed else None,
        errors=errors,
        replayed=replayed,
    )

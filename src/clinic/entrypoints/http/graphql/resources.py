"""Rooms and equipment over GraphQL."""

from typing import Annotated

import strawberry

from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.resource_schemas import ResourceOut
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, allowed
from clinic.entrypoints.http.graphql.types import id_of
from clinic.usecases.appointments.resources import list_resources

Kind = Annotated[str | None, strawberry.argument(description="Those of this kind.")]


@strawberry.type(description="A room or a piece of equipment that types of appointments need.")
class Resource:
    id: strawberry.ID
    kind: str
    name: str
    capacity: int = strawberry.field(
        description="How many appointments of one doctor, start and type share it."
    )
    location_id: strawberry.ID | None
    active: bool = strawberry.field(description="Whether new appointments get it.")

    @classmethod
    def of(cls, out: ResourceOut) -> "Resource":
        return cls(
            id=id_of(out.id),
            kind=out.kind,
            name=out.name,
            capacity=out.capacity,
            location_id=None if out.location_id is None else id_of(out.location_id),
            active=out.active,
        )


@strawberry.type
class ResourceQuery:
    @strawberry.field(
        description="Rooms and equipment in the order in which they were entered, also inactive"
        " ones. For staff."
    )
    async def resources(self, info: Info, kind: Kind = strawberry.UNSET) -> list[Resource]:
        context = allowed(info, Operation.READ_RESOURCES)
        found = await list_resources(context.call.context(), given(kind))
        return [Resource.of(ResourceOut.of(each)) for each in found]

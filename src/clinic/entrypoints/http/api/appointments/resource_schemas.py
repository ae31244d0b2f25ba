"""Rooms and equipment on the wire."""

import datetime as dt
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType, field

from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.schemas import Reason
from clinic.entrypoints.http.kernel.schemas import In, Out, Text
from clinic.usecases.appointments.resources import ResourceChanged, ResourceClosed

Kind = Annotated[
    Text,
    Meta(
        description="what types ask for; never changes, and case does not matter",
        examples=["ultrasound room"],
    ),
]
Name = Annotated[Text, Meta(description="patients see it", examples=["Room 2"])]
Capacity = Annotated[
    int,
    Meta(description="appointments of one doctor, start and type that share it: 1 to 100"),
]
Location = Annotated[UUID | None, Meta(description="where it is; null is not said")]
Active = Annotated[bool, Meta(description="whether new appointments get it")]
Why = Annotated[Text | None, Meta(description="for staff", examples=["Repair"])]


class ResourceIn(In):
    kind: Kind
    name: Name
    capacity: Capacity = 1
    location_id: Location = None
    active: Active = True
    reason: Reason = UNSET


class ChangeResourceIn(In):
    """Omitted members stay unchanged."""

    name: Name | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    location_id: Location | UnsetType = UNSET
    active: Active | UnsetType = UNSET
    reason: Reason = UNSET


class ResourceOut(Out):
    id: UUID
    kind: Kind
    name: Name
    capacity: Capacity
    location_id: Location
    active: Active

    @classmethod
    def of(cls, resource: Resource) -> Self:
        return cls(*_resource(resource))


class ResourceChangedOut(ResourceOut, omit_defaults=True):
    #: appointments ahead that have it although it is no longer active
    stranded: list[AppointmentOut] = field(default_factory=list)
    #: why nothing was changed
    note: str | None = None

    @classmethod
    def changed(cls, change: ResourceChanged) -> Self:
        stranded = [AppointmentOut.of(view) for view in change.stranded]
        values = (*_resource(change.resource), stranded, change.note)
        return cls(*values)


class ResourceClosureIn(In):
    from_: Annotated[dt.datetime, Meta(description="with offset")]
    to: Annotated[dt.datetime, Meta(description="with offset; not included")]
    reason: Why = None


class ResourceClosureOut(Out):
    id: UUID
    resource_id: UUID
    from_: dt.datetime
    to: dt.datetime
    reason: Why

    @classmethod
    def of(cls, closure: ResourceClosure) -> Self:
        return cls(*_closure(closure))


class ResourceClosedOut(ResourceClosureOut):
    #: appointments ahead that have the resource meanwhile; they keep it
    stranded: list[AppointmentOut]

    @classmethod
    def closed(cls, closed: ResourceClosed) -> Self:
        stranded = [AppointmentOut.of(view) for view in closed.stranded]
        values = (*_closure(closed.closure), stranded)
        return cls(*values)


def _resource(resource: Resource) -> tuple[Any, ...]:
    return (
        resource.id,
        resource.kind,
        resource.name,
        resource.capacity,
        resource.location_id,
        resource.is_active,
    )


def _closure(closure: ResourceClosure) -> tuple[Any, ...]:
    return (
        closure.id,
        closure.resource_id,
        closure.starts_at,
        closure.ends_at,
        closure.reason,
    )

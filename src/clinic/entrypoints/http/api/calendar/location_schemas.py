"""Locations on the wire."""

from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.calendar.locations import Location
from clinic.entrypoints.http.api.calendar.closing_schemas import Country, Subdivision
from clinic.entrypoints.http.api.calendar.schemas import SlotsOpenedOut
from clinic.entrypoints.http.api.schemas import Phone, Reason
from clinic.entrypoints.http.kernel.schemas import In, Out, Text, changes_in
from clinic.usecases.calendar.locations import LocationChanged

Name = Annotated[Text, Meta(description="patients see it", examples=["Harbour branch"])]
Address = Annotated[
    Text | None,
    Meta(description="the postal address, in lines", examples=["1 Quay Street\nBristol BS1 4QA"]),
]
Directions = Annotated[
    Text | None,
    Meta(description="how to get there and in; patients see it", examples=["Ring twice."]),
]
Holidays = Annotated[
    Country | None,
    Meta(description="ISO 3166-1 code of where its public holidays are; null is as the clinic"),
]
Active = Annotated[bool, Meta(description="whether hours can be entered there")]

_SAME_NAMES = ("name", "address", "directions", "phone", "country", "subdivision")


class LocationIn(In):
    name: Name
    address: Address = None
    directions: Directions = None
    phone: Phone | None = None
    country: Holidays = None
    subdivision: Subdivision | None = None
    active: Active = True
    reason: Reason = UNSET


class ChangeLocationIn(In):
    """Omitted members stay unchanged; null removes one. Without a country there is no
    subdivision."""

    name: Name | UnsetType = UNSET
    address: Address | UnsetType = UNSET
    directions: Directions | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    country: Holidays | UnsetType = UNSET
    subdivision: Subdivision | UnsetType | None = UNSET
    active: Active | UnsetType = UNSET
    reason: Reason = UNSET


class LocationOut(Out):
    id: UUID
    name: Name
    address: Address
    directions: Directions
    phone: str | None
    country: Holidays
    subdivision: str | None
    active: Active

    @classmethod
    def of(cls, location: Location) -> Self:
        return cls(*_location(location))


class LocationChangedOut(LocationOut, omit_defaults=True):
    #: what other public holidays did to the slots of all doctors
    slots_opened: SlotsOpenedOut | None = None
    #: why nothing was changed
    note: str | None = None

    @classmethod
    def changed(cls, change: LocationChanged) -> Self:
        effect = SlotsOpenedOut.of(change.effect) if change.effect else None
        values = (*_location(change.location), effect, change.note)
        return cls(*values)


def location_of(body: LocationIn, *, id: UUID, clinic_id: UUID) -> Location:
    """Return the location that a body describes. Raises InvalidInput."""
    return Location(
        id,
        clinic_id,
        body.name,
        body.address,
        body.directions,
        body.phone,
        body.country,
        body.subdivision,
        is_active=body.active,
    )


def changes_of(body: ChangeLocationIn) -> dict[str, Any]:
    """Return the fields of a location that a body changes, by name."""
    changes = changes_in(body, _SAME_NAMES)
    if body.country is None:
        # A subdivision needs its country.
        changes.setdefault("subdivision", None)
    if body.active is not UNSET:
        changes["is_active"] = body.active
    return changes


def _location(location: Location) -> tuple[Any, ...]:
    return (
        location.id,
        location.name,
        location.address,
        location.directions,
        location.phone,
        location.country,
        location.subdivision,
        location.is_active,
    )

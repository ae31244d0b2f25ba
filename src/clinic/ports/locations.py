"""Locations: reading and changing them."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from clinic.domain.calendar.locations import Location


class LocationReader(Protocol):
    async def all(self, clinic_id: UUID) -> Sequence[Location]:
        """Return the clinic's locations, inactive ones included, by id."""
        ...

    async def one(self, clinic_id: UUID, location_id: UUID) -> Location | None:
        """Return the location, None when it does not exist in this clinic."""
        ...


class Locations(LocationReader, Protocol):
    """Locations inside a unit of work. Reads include its own writes.

    They are never deleted, since appointments have been there.
    """

    async def add(self, location: Location) -> None:
        """Add it.

        Raises AlreadyExists for its id, LocationNameInUse when an active location has its name,
        ClinicNotFound.
        """
        ...

    async def replace(self, location: Location) -> None:
        """Replace the one with this id. Raises LocationNotFound, LocationNameInUse."""
        ...

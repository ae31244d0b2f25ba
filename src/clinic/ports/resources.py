"""Rooms and equipment: reading and changing them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.appointments.resources import Resource, ResourceClosure, ResourcesTime


class ResourceReader(Protocol):
    async def all(self, clinic_id: UUID) -> Sequence[Resource]:
        """Return the clinic's resources, inactive ones included, by id."""
        ...

    async def one(self, clinic_id: UUID, resource_id: UUID) -> Resource | None:
        """Return the resource, None when it does not exist in this clinic."""
        ...

    async def closures(
        self, clinic_id: UUID, resource_id: UUID, *, since: datetime | None = None
    ) -> Sequence[ResourceClosure]:
        """Return the closures of a resource that end after `since`, by id; None is no bound."""
        ...

    async def timetable(
        self, clinic_id: UUID, kinds: Collection[str], start: datetime, end: datetime
    ) -> ResourcesTime:
        """Return the active resources of these kinds, and when they are held or closed within
        `[start, end)`."""
        ...


class Resources(ResourceReader, Protocol):
    """Resources inside a unit of work. Reads include its own writes.

    They are never deleted, since appointments have had them: an inactive one is given to no new
    appointment.
    """

    async def lock(self, clinic_id: UUID, resource_id: UUID) -> Resource | None:
        """Lock the resource until the unit ends, so that no appointment gets it meanwhile, and
        return it; None when it does not exist in this clinic."""
        ...

    async def add(self, resource: Resource) -> None:
        """Add it. Raises AlreadyExists for its id, ClinicNotFound, LocationNotFound."""
        ...

    async def replace(self, resource: Resource) -> None:
        """Replace the name, capacity, location and state of the one with this id.

        Raises ResourceNotFound, LocationNotFound.
        """
        ...

    async def add_closure(self, closure: ResourceClosure) -> None:
        """Add it. Raises AlreadyExists for its id, ResourceNotFound."""
        ...

    async def delete_closure(self, closure: ResourceClosure) -> None:
        """Delete the one with this id. Raises ResourceClosureNotFound."""
        ...

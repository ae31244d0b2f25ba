"""Types of appointments: reading and changing them."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from clinic.domain.appointments.types import AppointmentType


class AppointmentTypeReader(Protocol):
    async def all(self, clinic_id: UUID) -> Sequence[AppointmentType]:
        """Return the clinic's types, inactive ones included, by id."""
        ...

    async def one(self, clinic_id: UUID, type_id: UUID) -> AppointmentType | None:
        """Return the type, None when it does not exist in this clinic."""
        ...


class AppointmentTypes(AppointmentTypeReader, Protocol):
    """Types inside a unit of work. Reads include its own writes.

    They are never deleted, since appointments have had them: an inactive one cannot be booked.
    """

    async def add(self, type: AppointmentType) -> None:
        """Add it.

        Raises AlreadyExists for its id, TypeNameInUse when an active type has its name,
        DefaultTypeTaken when another active type is the default, DoctorNotFound.
        """
        ...

    async def replace(self, type: AppointmentType) -> None:
        """Replace the one with this id. Raises AppointmentTypeNotFound, and as `add` does."""
        ...

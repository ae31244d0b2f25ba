"""Closures, leave, blocks and added places: reading and changing them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.closings import Block, Closure, Leave

Closing = Closure | Leave | Block | AddedPlace


class ClosingReader(Protocol):
    async def closures(self, clinic_id: UUID) -> Sequence[Closure]:
        """Return the clinic's closures, by id."""
        ...

    async def leaves(self, clinic_id: UUID, doctor_id: UUID | None = None) -> Sequence[Leave]:
        """Return the leave of one doctor or of all, by id."""
        ...

    async def blocks(
        self,
        clinic_id: UUID,
        doctor_id: UUID | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Block]:
        """Return the blocks of one doctor or of all that end after `since` and begin before
        `until`, by id; None is no bound."""
        ...

    async def places(
        self, clinic_id: UUID, doctor_id: UUID | None = None, *, since: datetime | None = None
    ) -> Sequence[AddedPlace]:
        """Return the added places of one doctor or of all that end after `since`, by id; None is no
        bound."""
        ...

    async def block(self, clinic_id: UUID, block_id: UUID) -> Block | None:
        """Return the block, None when it does not exist in this clinic."""
        ...

    async def place(self, clinic_id: UUID, place_id: UUID) -> AddedPlace | None:
        """Return the added place, None when it does not exist in this clinic."""
        ...


class Closings(ClosingReader, Protocol):
    """Closures, leave, blocks and added places inside a unit of work.

    Reads include its own writes.
    """

    async def add(self, closing: Closing) -> None:
        """Add it. Raises AlreadyExists for its id, DoctorNotFound for the doctor of leave,
        blocks and places, LocationNotFound for that of closures and places."""
        ...

    async def replace(self, closing: Closing) -> None:
        """Replace the one with this id.

        Raises ClosureNotFound, LeaveNotFound, BlockNotFound, AddedPlaceNotFound,
        LocationNotFound."""
        ...

    async def delete(self, closing: Closing) -> None:
        """Delete the one with this id.

        Raises ClosureNotFound, LeaveNotFound, BlockNotFound, AddedPlaceNotFound."""
        ...

"""Locations in memory."""

from collections.abc import Sequence
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.calendar.locations import Location
from clinic.domain.errors import AlreadyExists, ClinicError, LocationNameInUse, LocationNotFound


class MemoryLocationReader:
    """Reads locations."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def all(self, clinic_id: UUID) -> Sequence[Location]:
        found = self._tables.locations.where("clinic", clinic_id)
        return sorted(found, key=lambda location: location.id)

    async def one(self, clinic_id: UUID, location_id: UUID) -> Location | None:
        return self._tables.locations.get((clinic_id, location_id))


class MemoryLocations(MemoryLocationReader):
    """Locations inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, location: Location) -> None:
        await self._lock(location)
        key = (location.clinic_id, location.id)
        if self._tables.locations.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check(location)
        self._tables.locations.put(key, location)

    async def replace(self, location: Location) -> None:
        await self._lock(location)
        key = (location.clinic_id, location.id)
        if self._tables.locations.get(key) is None:
            self._transaction.fail(LocationNotFound())
        self._check(location)
        self._tables.locations.put(key, location)

    async def _lock(self, location: Location) -> None:
        """Lock its row, and the names that no other active location may have."""
        lock, clinic_id = self._transaction.lock, location.clinic_id
        await lock(("location", clinic_id, location.id))
        before = self._tables.locations.get((clinic_id, location.id))
        active = [each for each in (before, location) if each is not None and each.is_active]
        for name in sorted({each.name.lower() for each in active}):
            await lock(("location's name", clinic_id, name))

    def _check(self, location: Location) -> None:
        # As the index in the database compares them; use cases compare names more strictly.
        for other in self._tables.locations.where("clinic", location.clinic_id):
            is_another = other.id != location.id and other.is_active and location.is_active
            if is_another and other.name.lower() == location.name.lower():
                self._transaction.fail(LocationNameInUse())
        try:
            check_clinic(self._tables, location.clinic_id)
        except ClinicError as error:
            self._transaction.fail(error)

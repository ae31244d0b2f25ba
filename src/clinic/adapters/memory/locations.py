"""Locations in memory."""

from clinic.adapters.memory.catalogue import MemoryCatalogue, MemoryCatalogueReader
from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.tables import RowKey
from clinic.domain.calendar.locations import Location
from clinic.domain.errors import ClinicError, LocationNameInUse, LocationNotFound


class MemoryLocationReader(MemoryCatalogueReader[Location]):
    """Reads locations."""

    @property
    def _rows(self) -> Rows[RowKey, Location]:
        return self._tables.locations


class MemoryLocations(MemoryCatalogue[Location], MemoryLocationReader):
    """Locations inside a unit of work."""

    not_found = LocationNotFound

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

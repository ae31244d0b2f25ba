"""Types of appointments in memory."""

from collections.abc import Sequence
from uuid import UUID

from clinic.adapters.memory.catalogue import MemoryCatalogue, MemoryCatalogueReader
from clinic.adapters.memory.constraints import check_clinic, check_doctor
from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.tables import RowKey, Tables
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.errors import (
    AppointmentTypeNotFound,
    ClinicError,
    DefaultTypeTaken,
    TypeNameInUse,
)


def active_types(tables: Tables, clinic_id: UUID) -> Sequence[AppointmentType]:
    """Return the clinic's active types, by id."""
    found = tables.appointment_types.where("clinic", clinic_id)
    return sorted((type for type in found if type.is_active), key=lambda type: type.id)


class MemoryAppointmentTypeReader(MemoryCatalogueReader[AppointmentType]):
    """Reads types of appointments."""

    @property
    def _rows(self) -> Rows[RowKey, AppointmentType]:
        return self._tables.appointment_types


class MemoryAppointmentTypes(MemoryCatalogue[AppointmentType], MemoryAppointmentTypeReader):
    """Types of appointments inside a unit of work."""

    not_found = AppointmentTypeNotFound

    async def _lock(self, type: AppointmentType) -> None:
        """Lock its row, and what no other type may share with it."""
        lock, clinic_id = self._transaction.lock, type.clinic_id
        await lock(("appointment type", clinic_id, type.id))
        for each in (self._tables.appointment_types.get((clinic_id, type.id)), type):
            if each is not None and each.is_active:
                await lock(("appointment type's name", clinic_id, each.name.lower()))
                if each.is_default:
                    await lock(("default appointment type", clinic_id))

    def _check(self, type: AppointmentType) -> None:
        others = [
            other
            for other in self._tables.appointment_types.where("clinic", type.clinic_id)
            if other.id != type.id and other.is_active and type.is_active
        ]
        # As the index in the database compares them; use cases compare names more strictly.
        if any(other.name.lower() == type.name.lower() for other in others):
            self._transaction.fail(TypeNameInUse())
        if type.is_default and any(other.is_default for other in others):
            self._transaction.fail(DefaultTypeTaken())
        try:
            check_clinic(self._tables, type.clinic_id)
            for offer in type.offered_by or ():
                check_doctor(self._tables, type.clinic_id, offer.doctor_id)
        except ClinicError as error:
            self._transaction.fail(error)

"""Types of appointments in memory."""

from collections.abc import Sequence
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic, check_doctor
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.errors import (
    AlreadyExists,
    AppointmentTypeNotFound,
    ClinicError,
    DefaultTypeTaken,
    TypeNameInUse,
)


def active_types(tables: Tables, clinic_id: UUID) -> Sequence[AppointmentType]:
    """Return the clinic's active types, by id."""
    found = tables.appointment_types.where("clinic", clinic_id)
    return sorted((type for type in found if type.is_active), key=lambda type: type.id)


class MemoryAppointmentTypeReader:
    """Reads types of appointments."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def all(self, clinic_id: UUID) -> Sequence[AppointmentType]:
        found = self._tables.appointment_types.where("clinic", clinic_id)
        return sorted(found, key=lambda type: type.id)

    async def one(self, clinic_id: UUID, type_id: UUID) -> AppointmentType | None:
        return self._tables.appointment_types.get((clinic_id, type_id))


class MemoryAppointmentTypes(MemoryAppointmentTypeReader):
    """Types of appointments inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, type: AppointmentType) -> None:
        await self._lock(type)
        key = (type.clinic_id, type.id)
        if self._tables.appointment_types.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check(type)
        self._tables.appointment_types.put(key, type)

    async def replace(self, type: AppointmentType) -> None:
        await self._lock(type)
        key = (type.clinic_id, type.id)
        if self._tables.appointment_types.get(key) is None:
            self._transaction.fail(AppointmentTypeNotFound())
        self._check(type)
        self._tables.appointment_types.put(key, type)

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

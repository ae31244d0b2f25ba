"""What a clinic has a few of, in memory: read by id, added and replaced, never deleted."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.tables import RowKey, Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.errors import AlreadyExists, NotFound


class _Entry(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def clinic_id(self) -> UUID: ...


E = TypeVar("E", bound=_Entry)


class MemoryCatalogueReader(Generic[E]):
    """Reads the entries of a clinic."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    @property
    @abstractmethod
    def _rows(self) -> Rows[RowKey, E]: ...

    async def all(self, clinic_id: UUID) -> Sequence[E]:
        return sorted(self._rows.where("clinic", clinic_id), key=lambda entry: entry.id)

    async def one(self, clinic_id: UUID, entry_id: UUID) -> E | None:
        return self._rows.get((clinic_id, entry_id))


class MemoryCatalogue(MemoryCatalogueReader[E]):
    """Changes them inside a unit of work."""

    #: what is raised for an entry that does not exist
    not_found: type[NotFound]

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, entry: E) -> None:
        await self._lock(entry)
        key = (entry.clinic_id, entry.id)
        if self._rows.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check(entry)
        self._rows.put(key, entry)

    async def replace(self, entry: E) -> None:
        await self._lock(entry)
        key = (entry.clinic_id, entry.id)
        if self._rows.get(key) is None:
            self._transaction.fail(self.not_found())
        self._check(entry)
        self._rows.put(key, entry)

    @abstractmethod
    async def _lock(self, entry: E) -> None:
        """Lock its row, and what no other entry may share with it."""

    @abstractmethod
    def _check(self, entry: E) -> None:
        """Fail the transaction where a constraint refuses the entry."""

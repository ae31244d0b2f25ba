"""Closures, leave, blocks and added places in memory."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic, check_doctor, check_location
from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.tables import RowKey, Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.domain.errors import (
    AddedPlaceNotFound,
    AlreadyExists,
    BlockNotFound,
    ClinicError,
    ClosureNotFound,
    LeaveNotFound,
)
from clinic.ports.closings import Closing

_NOT_FOUND = {
    Closure: ClosureNotFound,
    Leave: LeaveNotFound,
    Block: BlockNotFound,
    AddedPlace: AddedPlaceNotFound,
}


class MemoryClosingReader:
    """Reads closures, leave, blocks and added places."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def closures(self, clinic_id: UUID) -> Sequence[Closure]:
        found = self._tables.closures.where("clinic", clinic_id)
        return sorted(found, key=lambda closure: closure.id)

    async def leaves(self, clinic_id: UUID, doctor_id: UUID | None = None) -> Sequence[Leave]:
        return _of_doctor(self._tables.leaves, clinic_id, doctor_id)

    async def blocks(
        self,
        clinic_id: UUID,
        doctor_id: UUID | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Block]:
        return [
            block
            for block in _of_doctor(self._tables.blocks, clinic_id, doctor_id)
            if (since is None or block.ends_at > since)
            and (until is None or block.starts_at < until)
        ]

    async def places(
        self, clinic_id: UUID, doctor_id: UUID | None = None, *, since: datetime | None = None
    ) -> Sequence[AddedPlace]:
        return [
            place
            for place in _of_doctor(self._tables.added_places, clinic_id, doctor_id)
            if since is None or place.ends_at > since
        ]

    async def block(self, clinic_id: UUID, block_id: UUID) -> Block | None:
        return self._tables.blocks.get((clinic_id, block_id))

    async def place(self, clinic_id: UUID, place_id: UUID) -> AddedPlace | None:
        return self._tables.added_places.get((clinic_id, place_id))


class MemoryClosings(MemoryClosingReader):
    """Closures, leave, blocks and added places inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add(self, closing: Closing) -> None:
        rows, key = await self._locked(closing)
        if rows.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check(closing)
        rows.put(key, closing)

    async def replace(self, closing: Closing) -> None:
        rows, key = await self._locked(closing)
        self._check_known(rows, key, closing)
        self._check(closing)
        rows.put(key, closing)

    async def delete(self, closing: Closing) -> None:
        rows, key = await self._locked(closing)
        self._check_known(rows, key, closing)
        rows.remove(key)

    async def _locked(self, closing: Closing) -> tuple[Rows[RowKey, Any], RowKey]:
        """Return the table that it is in, and its key there, locked."""
        key = (closing.clinic_id, closing.id)
        await self._transaction.lock((type(closing).__name__, *key))
        tables = self._tables
        of_kind: dict[type[Closing], Rows[RowKey, Any]] = {
            Closure: tables.closures,
            Leave: tables.leaves,
            Block: tables.blocks,
            AddedPlace: tables.added_places,
        }
        return of_kind[type(closing)], key

    def _check(self, closing: Closing) -> None:
        clinic_id = closing.clinic_id
        try:
            if isinstance(closing, Closure):
                check_clinic(self._tables, clinic_id)
            else:
                check_doctor(self._tables, clinic_id, closing.doctor_id)
            if isinstance(closing, Closure | AddedPlace):
                check_location(self._tables, clinic_id, closing.location_id)
        except ClinicError as error:
            self._transaction.fail(error)

    def _check_known(self, rows: Rows[RowKey, Any], key: RowKey, closing: Closing) -> None:
        if rows.get(key) is None:
            self._transaction.fail(_NOT_FOUND[type(closing)]())


def _of_doctor(rows: Rows[RowKey, Any], clinic_id: UUID, doctor_id: UUID | None) -> list[Any]:
    if doctor_id is None:
        found = rows.where("clinic", clinic_id)
    else:
        found = rows.where("doctor", (clinic_id, doctor_id))
    return sorted(found, key=lambda row: row.id)

"""Closures, leave, blocks and added places."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table, delete, insert, select, update

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import Query, SqlRow, Values
from clinic.adapters.postgres.schema.closings import added_places, blocks, closures, leaves
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.closings import Block, Closure, ClosureKind, Leave
from clinic.domain.errors import (
    AddedPlaceNotFound,
    BlockNotFound,
    ClosureNotFound,
    LeaveNotFound,
    NotFound,
)
from clinic.ports.closings import Closing

_TABLES: dict[type[Closing], tuple[Table, type[NotFound]]] = {
    Closure: (closures, ClosureNotFound),
    Leave: (leaves, LeaveNotFound),
    Block: (blocks, BlockNotFound),
    AddedPlace: (added_places, AddedPlaceNotFound),
}


class PostgresClosingReader:
    """Reads closures, leave, blocks and added places."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def closures(self, clinic_id: UUID) -> Sequence[Closure]:
        """Return the clinic's closures, by id."""
        query = select(closures).where(closures.c.clinic_id == clinic_id).order_by(closures.c.id)
        return [_closure_of(row) for row in await self._all(query)]

    async def leaves(self, clinic_id: UUID, doctor_id: UUID | None = None) -> Sequence[Leave]:
        """Return the leave of one doctor or of all, by id."""
        query = _of_doctor(leaves, clinic_id, doctor_id)
        return [_leave_of(row) for row in await self._all(query)]

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
        query = _of_doctor(blocks, clinic_id, doctor_id)
        if since is not None:
            query = query.where(blocks.c.ends_at > since)
        if until is not None:
            query = query.where(blocks.c.starts_at < until)
        return [_block_of(row) for row in await self._all(query)]

    async def places(
        self, clinic_id: UUID, doctor_id: UUID | None = None, *, since: datetime | None = None
    ) -> Sequence[AddedPlace]:
        """Return the added places of one doctor or of all that end after `since`, by id; None is no
        bound."""
        query = _of_doctor(added_places, clinic_id, doctor_id)
        if since is not None:
            query = query.where(added_places.c.ends_at > since)
        return [_place_of(row) for row in await self._all(query)]

    async def block(self, clinic_id: UUID, block_id: UUID) -> Block | None:
        """Return the block, None when it does not exist in this clinic."""
        here = (blocks.c.clinic_id == clinic_id, blocks.c.id == block_id)
        rows = await self._all(select(blocks).where(*here))
        return _block_of(rows[0]) if rows else None

    async def place(self, clinic_id: UUID, place_id: UUID) -> AddedPlace | None:
        """Return the added place, None when it does not exist in this clinic."""
        here = (added_places.c.clinic_id == clinic_id, added_places.c.id == place_id)
        rows = await self._all(select(added_places).where(*here))
        return _place_of(rows[0]) if rows else None

    async def _all(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresClosings(PostgresClosingReader):
    """Changes closures, leave, blocks and added places inside a unit of work."""

    async def add(self, closing: Closing) -> None:
        """Add it. Raises AlreadyExists, DoctorNotFound, LocationNotFound."""
        table, _ = _TABLES[type(closing)]
        async with self._executor.connection() as connection:
            await connection.execute(insert(table), _values_of(closing))

    async def replace(self, closing: Closing) -> None:
        """Replace the one with this id. Raises NotFound of its kind, LocationNotFound."""
        table, _ = _TABLES[type(closing)]
        await self._write(closing, update(table).values(_values_of(closing)))

    async def delete(self, closing: Closing) -> None:
        """Delete the one with this id. Raises NotFound of its kind."""
        table, _ = _TABLES[type(closing)]
        await self._write(closing, delete(table))

    async def _write(self, closing: Closing, statement: Any) -> None:
        table, not_found = _TABLES[type(closing)]
        here = (table.c.clinic_id == closing.clinic_id, table.c.id == closing.id)
        async with self._executor.connection() as connection:
            if (await connection.execute(statement.where(*here))).rowcount != 1:
                raise not_found()


def _of_doctor(table: Table, clinic_id: UUID, doctor_id: UUID | None) -> Query:
    query = select(table).where(table.c.clinic_id == clinic_id).order_by(table.c.id)
    return query if doctor_id is None else query.where(table.c.doctor_id == doctor_id)


def _values_of(closing: Closing) -> Values:
    values: Values = {"clinic_id": closing.clinic_id, "id": closing.id}
    if isinstance(closing, Block | AddedPlace):
        values |= {
            "doctor_id": closing.doctor_id,
            "starts_at": closing.starts_at,
            "ends_at": closing.ends_at,
            "reason": closing.reason,
            "lane": closing.lane,
        }
        if isinstance(closing, Block):
            return values
        return values | {"location_id": closing.location_id}
    values |= {
        "first_day": closing.first,
        "last_day": closing.last,
        "start_time": closing.start,
        "end_time": closing.end,
    }
    if isinstance(closing, Leave):
        return values | {"doctor_id": closing.doctor_id, "reason": closing.reason}
    return values | {
        "name": closing.name,
        "kind": closing.kind.value,
        "country": closing.country,
        "subdivision": closing.subdivision,
        "open_on": list(closing.open_on),
        "location_id": closing.location_id,
    }


def _closure_of(row: SqlRow) -> Closure:
    return Closure(
        id=row.id,
        clinic_id=row.clinic_id,
        name=row.name,
        kind=ClosureKind(row.kind),
        first=row.first_day,
        last=row.last_day,
        start=row.start_time,
        end=row.end_time,
        country=row.country,
        subdivision=row.subdivision,
        open_on=tuple(row.open_on),
        location_id=row.location_id,
    )


def _leave_of(row: SqlRow) -> Leave:
    return Leave(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        first=row.first_day,
        last=row.last_day,
        start=row.start_time,
        end=row.end_time,
        reason=row.reason,
    )


def _block_of(row: SqlRow) -> Block:
    return Block(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        lane=row.lane,
    )


def _place_of(row: SqlRow) -> AddedPlace:
    return AddedPlace(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        location_id=row.location_id,
        lane=row.lane,
    )

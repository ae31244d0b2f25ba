"""Rooms and equipment: reading and changing them, and giving them to appointments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import Query, SqlRow, Values
from clinic.adapters.postgres.schema.resources import resource_closures as closures
from clinic.adapters.postgres.schema.resources import resources
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.resources import (
    HeldResource,
    Hold,
    Resource,
    ResourceClosure,
    ResourcesTime,
)
from clinic.domain.calendar.availability import Interval
from clinic.domain.errors import ResourceClosureNotFound, ResourceNotFound

#: $1 clinic, $2 kinds, $3 since, $4 until: active resources, each with the times for which it is
#: held, or closed (without an appointment); one without any has one row. The bound below lets the
#: index on times bound both ends: nobody is busy for a day.
_TIMETABLE = """
SELECT r.id, r.kind, r.name, r.capacity, r.location_id,
       t.appointment_id, t.occasion_id, t.place, t.since, t.until
FROM resources r
LEFT JOIN LATERAL (
    SELECT h.appointment_id, h.occasion_id, h.place, h.busy_from AS since, h.busy_until AS until
    FROM appointment_resources h
    WHERE h.clinic_id = r.clinic_id AND h.resource_id = r.id AND h.occupying
      AND h.busy_from > $3::timestamptz - interval '24 hours'
      AND h.busy_from < $4::timestamptz AND h.busy_until > $3::timestamptz
    UNION ALL
    SELECT NULL, NULL, NULL, c.starts_at, c.ends_at FROM resource_closures c
    WHERE c.clinic_id = r.clinic_id AND c.resource_id = r.id
      AND c.starts_at < $4::timestamptz AND c.ends_at > $3::timestamptz
) t ON true
WHERE r.clinic_id = $1 AND r.kind = ANY ($2::text[]) AND r.is_active
"""
# Waits for any transaction that has taken the resource for that time but not committed. A trigger
# copies the appointment's time.
_HOLD = (
    "INSERT INTO appointment_resources (clinic_id, appointment_id, resource_id, place)"
    " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING 1"
)
_LOCATION = "SELECT location_id FROM slots WHERE clinic_id = $1 AND id = $2"
_RELEASE = text(
    "DELETE FROM appointment_resources h USING resources r"
    " WHERE h.clinic_id = :clinic_id AND h.appointment_id = ANY (:ids)"
    " AND r.clinic_id = h.clinic_id AND r.id = h.resource_id"
    " RETURNING h.appointment_id, h.resource_id, r.kind"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))


class PostgresResourceReader:
    """Reads resources, and when they are free."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self, clinic_id: UUID) -> Sequence[Resource]:
        """Return the clinic's resources, inactive ones included, by id."""
        query = select(resources).where(resources.c.clinic_id == clinic_id)
        return [_resource_of(row) for row in await self._rows(query.order_by(resources.c.id))]

    async def one(self, clinic_id: UUID, resource_id: UUID) -> Resource | None:
        """Return the resource, None when it does not exist in this clinic."""
        rows = await self._rows(_one(clinic_id, resource_id))
        return _resource_of(rows[0]) if rows else None

    async def closures(
        self, clinic_id: UUID, resource_id: UUID, *, since: datetime | None = None
    ) -> Sequence[ResourceClosure]:
        """Return the closures of a resource that end after `since`, by id."""
        query = select(closures).where(
            closures.c.clinic_id == clinic_id, closures.c.resource_id == resource_id
        )
        if since is not None:
            query = query.where(closures.c.ends_at > since)
        return [_closure_of(row) for row in await self._rows(query.order_by(closures.c.id))]

    async def timetable(
        self, clinic_id: UUID, kinds: Collection[str], start: datetime, end: datetime
    ) -> ResourcesTime:
        """Return the active resources of these kinds, and when they are held or closed."""
        rows = await self._executor.fetch(_TIMETABLE, (clinic_id, list(kinds), start, end))
        return _timetable_of(clinic_id, rows)

    async def _rows(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresResources(PostgresResourceReader):
    """Changes resources inside a unit of work."""

    async def lock(self, clinic_id: UUID, resource_id: UUID) -> Resource | None:
        """Lock the resource, which an appointment that gets it shares."""
        rows = await self._rows(_one(clinic_id, resource_id).with_for_update())
        return _resource_of(rows[0]) if rows else None

    async def add(self, resource: Resource) -> None:
        """Add it. Raises AlreadyExists, ClinicNotFound, LocationNotFound."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(resources), _values_of(resource))

    async def replace(self, resource: Resource) -> None:
        """Replace the one with this id. Raises ResourceNotFound, LocationNotFound."""
        values = _values_of(resource)
        kept = {"clinic_id", "id", "kind"}
        statement = update(resources).where(
            resources.c.clinic_id == resource.clinic_id, resources.c.id == resource.id
        )
        changed = {name: value for name, value in values.items() if name not in kept}
        async with self._executor.connection() as connection:
            if (await connection.execute(statement.values(changed))).rowcount != 1:
                raise ResourceNotFound()

    async def add_closure(self, closure: ResourceClosure) -> None:
        """Add it. Raises AlreadyExists, ResourceNotFound."""
        values: Values = {
            "clinic_id": closure.clinic_id,
            "id": closure.id,
            "resource_id": closure.resource_id,
            "starts_at": closure.starts_at,
            "ends_at": closure.ends_at,
            "reason": closure.reason,
        }
        async with self._executor.connection() as connection:
            await connection.execute(insert(closures), values)

    async def delete_closure(self, closure: ResourceClosure) -> None:
        """Delete the one with this id. Raises ResourceClosureNotFound."""
        statement = delete(closures).where(
            closures.c.clinic_id == closure.clinic_id, closures.c.id == closure.id
        )
        async with self._executor.connection() as connection:
            if (await connection.execute(statement)).rowcount != 1:
                raise ResourceClosureNotFound()


@dataclass(slots=True)
class Given:
    """What appointments got, and the first kind that each of the others lacks, by id."""

    held: list[HeldResource] = field(default_factory=list)
    lacking: dict[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an appointment, whose row is written, needs."""

    appointment: Appointment
    kinds: Sequence[str]
    #: resources to try first
    preferred: Collection[UUID] = ()


async def hold_resources(executor: Executor, wanted: Sequence[Wanted]) -> Given:
    """Give each of these appointments a free resource of each kind that it needs, in a transaction.

    One kind after the other for all of them, so that of two that need the same kinds only one
    waits for the other.
    """
    pairs = [(kind, each) for each in wanted for kind in each.kinds]
    pairs.sort(key=lambda pair: (pair[0], pair[1].appointment.starts_at, pair[1].appointment.id))
    given = Given()
    for kind, each in pairs:
        one = each.appointment
        if one.id in given.lacking:
            continue
        resource = await _hold(executor, one, await _choices(executor, kind, each))
        if resource is None:
            given.lacking[one.id] = kind
        else:
            given.held.append(HeldResource(resource.id, resource.name, resource.kind))
    return given


async def _choices(executor: Executor, kind: str, wanted: Wanted) -> list[tuple[Resource, int]]:
    one = wanted.appointment
    busy = one.busy
    values = (one.clinic_id, [kind], busy.starts_at, busy.ends_at)
    found = _timetable_of(one.clinic_id, await executor.fetch(_TIMETABLE, values))
    if found.have_locations:
        [(location_id,)] = await executor.fetch(_LOCATION, (one.clinic_id, one.slot_id))
        found = found.at(location_id)
    return found.choices(kind, busy, one.occasion, preferred=wanted.preferred)


async def _hold(
    executor: Executor, one: Appointment, choices: Sequence[tuple[Resource, int]]
) -> Resource | None:
    """Give the appointment the first of these that is still free, and return it; None when none
    was."""
    for resource, place in choices:
        if await executor.fetch(_HOLD, (one.clinic_id, one.id, resource.id, place)):
            return resource
    return None


async def release_resources(
    connection: AsyncConnection, clinic_id: UUID, appointment_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[UUID, str]]:
    """Take all resources from these appointments; return the ids and kinds of each one's."""
    values = {"clinic_id": clinic_id, "ids": list(appointment_ids)}
    had: dict[UUID, dict[UUID, str]] = {}
    for appointment_id, resource_id, kind in await connection.execute(_RELEASE, values):
        had.setdefault(appointment_id, {})[resource_id] = kind
    return had


def _one(clinic_id: UUID, resource_id: UUID) -> Select[Any]:
    return select(resources).where(
        resources.c.clinic_id == clinic_id, resources.c.id == resource_id
    )


def _timetable_of(clinic_id: UUID, rows: Iterable[Sequence[Any]]) -> ResourcesTime:
    found: dict[UUID, Resource] = {}
    holds: list[Hold] = []
    closed: list[tuple[UUID, Interval]] = []
    for resource_id, kind, name, capacity, location_id, held_by, occasion, place, *time in rows:
        if resource_id not in found:
            found[resource_id] = Resource(resource_id, clinic_id, kind, name, capacity, location_id)
        if time[0] is None:
            continue
        if held_by is None:
            closed.append((resource_id, Interval(*time)))
        else:
            holds.append(Hold(held_by, resource_id, occasion, place, Interval(*time)))
    return ResourcesTime(found.values(), holds, closed)


def _values_of(resource: Resource) -> Values:
    return {
        "clinic_id": resource.clinic_id,
        "id": resource.id,
        "kind": resource.kind,
        "name": resource.name,
        "capacity": resource.capacity,
        "location_id": resource.location_id,
        "is_active": resource.is_active,
    }


def _resource_of(row: SqlRow) -> Resource:
    return Resource(
        row.id,
        row.clinic_id,
        row.kind,
        row.name,
        row.capacity,
        row.location_id,
        row.is_active,
    )


def _closure_of(row: SqlRow) -> ResourceClosure:
    return ResourceClosure(
        row.id, row.clinic_id, row.resource_id, row.starts_at, row.ends_at, row.reason
    )

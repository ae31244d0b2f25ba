"""Rooms and equipment in memory, and giving them to appointments."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from uuid import UUID

from clinic.adapters.memory.catalogue import MemoryCatalogueReader
from clinic.adapters.memory.constraints import check_clinic, check_location, written
from clinic.adapters.memory.table import Rows
from clinic.adapters.memory.tables import HeldRow, RowKey, Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.resources import (
    HeldResource,
    Hold,
    Resource,
    ResourceClosure,
    ResourcesTime,
)
from clinic.domain.calendar.availability import Interval
from clinic.domain.errors import (
    AlreadyExists,
    ClinicError,
    NoResourceFree,
    ResourceClosureNotFound,
    ResourceNotFound,
)


class MemoryResourceReader(MemoryCatalogueReader[Resource]):
    """Reads resources, and when they are free."""

    @property
    def _rows(self) -> Rows[RowKey, Resource]:
        return self._tables.resources

    async def closures(
        self, clinic_id: UUID, resource_id: UUID, *, since: datetime | None = None
    ) -> Sequence[ResourceClosure]:
        found = self._tables.resource_closures.where("resource", (clinic_id, resource_id))
        return sorted(
            (each for each in found if since is None or each.ends_at > since),
            key=lambda closure: closure.id,
        )

    async def timetable(
        self, clinic_id: UUID, kinds: Collection[str], start: datetime, end: datetime
    ) -> ResourcesTime:
        return timetable(self._tables, clinic_id, kinds, Interval(start, end))


class MemoryResources(MemoryResourceReader):
    """Resources inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def lock(self, clinic_id: UUID, resource_id: UUID) -> Resource | None:
        await self._transaction.lock(("resource", clinic_id, resource_id))
        return self._tables.resources.get((clinic_id, resource_id))

    async def add(self, resource: Resource) -> None:
        key = (resource.clinic_id, resource.id)
        await self._transaction.lock(("resource", *key))
        if self._tables.resources.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check(resource)
        self._tables.resources.put(key, resource)

    async def replace(self, resource: Resource) -> None:
        key = (resource.clinic_id, resource.id)
        await self._transaction.lock(("resource", *key))
        before = self._tables.resources.get(key)
        if before is None:
            self._transaction.fail(ResourceNotFound())
        self._check(resource)
        self._tables.resources.put(key, replace(resource, kind=before.kind))

    def _check(self, resource: Resource) -> None:
        try:
            check_clinic(self._tables, resource.clinic_id)
            check_location(self._tables, resource.clinic_id, resource.location_id)
        except ClinicError as error:
            self._transaction.fail(error)

    async def add_closure(self, closure: ResourceClosure) -> None:
        key = (closure.clinic_id, closure.id)
        await self._transaction.lock(("resource closure", *key))
        if self._tables.resource_closures.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        if self._tables.resources.get((closure.clinic_id, closure.resource_id)) is None:
            self._transaction.fail(ResourceNotFound())
        self._tables.resource_closures.put(key, closure)

    async def delete_closure(self, closure: ResourceClosure) -> None:
        key = (closure.clinic_id, closure.id)
        await self._transaction.lock(("resource closure", *key))
        if self._tables.resource_closures.get(key) is None:
            self._transaction.fail(ResourceClosureNotFound())
        self._tables.resource_closures.remove(key)


def timetable(
    tables: Tables, clinic_id: UUID, kinds: Collection[str], span: Interval
) -> ResourcesTime:
    """Return the active resources of these kinds, and when they are held or closed."""
    found = [
        each
        for each in tables.resources.where("clinic", clinic_id)
        if each.kind in kinds and each.is_active
    ]
    holds = [
        hold
        for each in found
        for hold in holds_of(tables, (clinic_id, each.id))
        if hold.time.overlaps(span)
    ]
    closed = [
        (each.id, closure.interval)
        for each in found
        for closure in tables.resource_closures.where("resource", (clinic_id, each.id))
        if closure.interval.overlaps(span)
    ]
    return ResourcesTime(found, holds, closed)


def holds_of(tables: Tables, resource: RowKey) -> Iterator[Hold]:
    """Yield when the resource is held by appointments that occupy a time."""
    for row in tables.held.where("resource", resource):
        hold = _hold_of(tables, row)
        if hold is not None:
            yield hold


def _hold_of(tables: Tables, row: HeldRow) -> Hold | None:
    one = tables.appointments.get((row.clinic_id, row.appointment_id))
    assert one is not None
    if not one.status.occupies:
        return None
    return Hold(one.id, row.resource_id, one.occasion, row.place, one.busy)


def held_by(tables: Tables, appointment: Appointment) -> tuple[HeldResource, ...]:
    """Return what an appointment has as it shows it, by kind."""
    if not appointment.status.occupies:
        return ()
    rows = tables.held.where("appointment", (appointment.clinic_id, appointment.id))
    found = (tables.resources.get((row.clinic_id, row.resource_id)) for row in rows)
    known = [each for each in found if each is not None]
    known.sort(key=lambda each: (each.kind, each.id))
    return tuple(HeldResource(each.id, each.name, each.kind) for each in known)


def check_holds(tables: Tables, touched: Iterable[Appointment]) -> None:
    """Raise NoResourceFree when an appointment has a resource that another one has."""
    resources = {
        (row.clinic_id, row.resource_id)
        for one in touched
        for row in tables.held.where("appointment", (one.clinic_id, one.id))
    }
    for resource in resources:
        for one, two in combinations(holds_of(tables, resource), 2):
            if exclude(one, two):
                raise NoResourceFree()


def exclude(one: Hold, two: Hold) -> bool:
    """Return whether one resource cannot have both holds."""
    if one.occasion_id == two.occasion_id:
        return one.place == two.place
    return one.time.overlaps(two.time)


async def hold_resources(
    transaction: Transaction,
    wanted: Sequence[tuple[Appointment, Sequence[str]]],
    preferred: Mapping[UUID, Collection[UUID]],
) -> list[tuple[Appointment, str]]:
    """Give each of these appointments, whose rows are written, a free resource of each kind that it
    needs; return those for which there is none, with the first kind that each lacks. `preferred`
    are resources to try first, by appointment."""
    pairs = [(kind, one) for one, kinds in wanted for kind in kinds]
    pairs.sort(key=lambda pair: (pair[0], pair[1].starts_at, pair[1].id))
    lacking: dict[UUID, tuple[Appointment, str]] = {}
    for kind, one in pairs:
        if one.id in lacking:
            continue
        slot = transaction.tables.slots.get((one.clinic_id, one.slot_id))
        here = None if slot is None else slot.location_id
        found = timetable(transaction.tables, one.clinic_id, [kind], one.busy).at(here)
        first = preferred.get(one.id, ())
        for resource, place in found.choices(kind, one.busy, one.occasion, preferred=first):
            if await _hold(transaction, one, resource, place):
                break
        else:
            lacking[one.id] = one, kind
    return [*lacking.values()]


async def _hold(transaction: Transaction, one: Appointment, resource: Resource, place: int) -> bool:
    """Wait until nobody else is about to hold or close it; return whether it was free then."""
    key = (resource.clinic_id, resource.id)
    wanted = Hold(one.id, resource.id, one.occasion, place, one.busy)
    await transaction.share(("resource", *key))
    await transaction.wait_until_no_rival(lambda tables: _is_rival(tables, wanted))
    tables = transaction.tables
    if any(exclude(wanted, each) for each in holds_of(tables, key)):
        return False
    now = tables.resources.get(key)
    closures = tables.resource_closures.where("resource", key)
    if now is None or not now.is_active or place > now.capacity:
        return False
    if any(closure.interval.overlaps(one.busy) for closure in closures):
        return False
    row = HeldRow(one.clinic_id, one.id, resource.id, place)
    tables.held.put((one.clinic_id, one.id, resource.id), row)
    return True


def _is_rival(tables: Tables, wanted: Hold) -> bool:
    """Return whether a running transaction has given this resource to somebody else then."""
    for _, _, row in written(tables.held):
        if row is None or row.resource_id != wanted.resource_id:
            continue
        hold = _hold_of(tables, row)
        is_anothers = hold is not None and hold.appointment_id != wanted.appointment_id
        if hold is not None and is_anothers and exclude(hold, wanted):
            return True
    return False


def release_resources(tables: Tables, clinic_id: UUID, appointment_id: UUID) -> Mapping[UUID, str]:
    """Take all resources from an appointment; return their ids and kinds."""
    had: dict[UUID, str] = {}
    for row in list(tables.held.where("appointment", (clinic_id, appointment_id))):
        resource = tables.resources.get((clinic_id, row.resource_id))
        assert resource is not None
        had[resource.id] = resource.kind
        tables.held.remove((clinic_id, appointment_id, row.resource_id))
    return had

"""Add, change, close and read the clinic's rooms and equipment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.appointments.resources import (
    Resource,
    ResourceClosure,
    checked_kind,
    kind_key,
    known_kind,
)
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import (
    AlreadyEntered,
    ClinicNotFound,
    ResourceClosureNotFound,
    ResourceNotFound,
    TimeInPast,
)
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context

_SAME = "The resource is the same as before."
#: what the audit trail calls each field that can change
_FIELDS = {
    "name": "name",
    "capacity": "capacity",
    "location_id": "locationId",
    "is_active": "active",
}


@dataclass(frozen=True, slots=True)
class ResourceChanged:
    """A resource after a change."""

    resource: Resource
    #: the appointments ahead that have it although new ones no longer get it, earliest first
    stranded: Sequence[AppointmentView] = ()
    #: why nothing was changed
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ResourceClosed:
    """A closure of a resource that was added."""

    closure: ResourceClosure
    #: the appointments ahead that have the resource meanwhile, earliest first
    stranded: Sequence[AppointmentView] = ()


async def add_resource(context: Context, resource: Resource) -> Resource:
    """Add a room or equipment to the actor's clinic; its kind is spelled as that of the others of
    this kind, which may differ in case. Raises PermissionDenied, LocationNotFound."""
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> Resource:
        clinic_id = context.actor.clinic_id
        if await unit.people.lock_clinic(clinic_id) is None:
            raise ClinicNotFound()
        kind = known_kind(resource.kind, await unit.resources.all(clinic_id))
        new = resource if kind is None else replace(resource, kind=kind)
        await unit.resources.add(new)
        detail = {"fields": ["kind", *_FIELDS.values()]}
        await unit.events.add(context.event("add_resource", "resource", new.id, detail=detail))
        return new

    return await context.transactions.run(work)


async def change_resource(
    context: Context, resource_id: UUID, change: Callable[[Resource], Resource]
) -> ResourceChanged:
    """Replace a resource with what `change` returns; it may raise to refuse. Appointments that have
    it keep it, also when it becomes inactive or holds fewer.

    Raises PermissionDenied, ResourceNotFound, InvalidInput, LocationNotFound.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> ResourceChanged:
        clinic_id = context.actor.clinic_id
        before = await unit.resources.lock(clinic_id, resource_id)
        if before is None:
            raise ResourceNotFound()
        new = change(before)
        changed = [name for name in _FIELDS if getattr(new, name) != getattr(before, name)]
        if not changed:
            return ResourceChanged(before, note=_SAME)
        await unit.resources.replace(new)
        stranded: Sequence[AppointmentView] = ()
        if before.is_active and not new.is_active:
            now = context.clock.now()
            stranded = await unit.appointments.holding(clinic_id, resource_id, now, None)
        detail = {"fields": [_FIELDS[name] for name in changed]}
        event = context.event("change_resource", "resource", resource_id, detail=detail)
        await unit.events.add(event)
        return ResourceChanged(new, stranded)

    return await context.transactions.run(work)


async def list_resources(context: Context, kind: str | None = None) -> Sequence[Resource]:
    """Return the clinic's resources, inactive ones included, of one kind or of all, in the order in
    which they were entered. Raises PermissionDenied, InvalidInput."""
    permit(context.actor, Operation.READ_RESOURCES)
    found = await context.store.resources.all(context.actor.clinic_id)
    if kind is None:
        return found
    key = kind_key(checked_kind(kind, "/kind"))
    return [each for each in found if kind_key(each.kind) == key]


async def read_resource(context: Context, resource_id: UUID) -> Resource:
    """Return one of those that `list_resources` returns.

    Raises PermissionDenied, ResourceNotFound.
    """
    permit(context.actor, Operation.READ_RESOURCES)
    found = await context.store.resources.one(context.actor.clinic_id, resource_id)
    if found is None:
        raise ResourceNotFound()
    return found


async def close_resource(context: Context, closure: ResourceClosure) -> ResourceClosed:
    """Close a resource for a time: no appointment gets it meanwhile. Those that have it keep it,
    and are returned.

    Raises PermissionDenied, ResourceNotFound, InvalidInput, TimeInPast, AlreadyEntered.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)
    new, now = closure.checked(), context.clock.now()
    if new.ends_at <= now:
        raise TimeInPast("This time is over.", pointer="/to")

    async def work(unit: UnitOfWork) -> ResourceClosed:
        if await unit.resources.lock(new.clinic_id, new.resource_id) is None:
            raise ResourceNotFound()
        known = await unit.resources.closures(new.clinic_id, new.resource_id, since=now)
        for other in known:
            if other.interval.holds(new.interval):
                raise AlreadyEntered("It is already closed then.", closureId=str(other.id))
        await unit.resources.add_closure(new)
        stranded = await unit.appointments.holding(
            new.clinic_id, new.resource_id, max(now, new.starts_at), new.ends_at
        )
        await unit.events.add(_closure_event(context, "close_resource", new))
        return ResourceClosed(new, stranded)

    return await context.transactions.run(work)


async def reopen_resource(context: Context, resource_id: UUID, closure_id: UUID) -> ResourceClosure:
    """Delete a closure of a resource, and return it: appointments get it again.

    Raises PermissionDenied, ResourceNotFound, ResourceClosureNotFound.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> ResourceClosure:
        clinic_id = context.actor.clinic_id
        if await unit.resources.lock(clinic_id, resource_id) is None:
            raise ResourceNotFound()
        for closure in await unit.resources.closures(clinic_id, resource_id):
            if closure.id == closure_id:
                await unit.resources.delete_closure(closure)
                await unit.events.add(_closure_event(context, "reopen_resource", closure))
                return closure
        raise ResourceClosureNotFound()

    return await context.transactions.run(work)


async def list_closures(
    context: Context, resource_id: UUID, *, since: datetime | None = None
) -> Sequence[ResourceClosure]:
    """Return the closures of a resource that end after `since` (default now), in the order in which
    they were entered.

    Raises PermissionDenied, ResourceNotFound, NaiveDatetime, DatetimeOutOfRange.
    """
    await read_resource(context, resource_id)
    since = checked_instant(since, "from") if since else context.clock.now()
    return await context.store.resources.closures(context.actor.clinic_id, resource_id, since=since)


def _closure_event(context: Context, action: str, closure: ResourceClosure) -> AuditEvent:
    detail = {"closureId": str(closure.id)}
    return context.event(action, "resource", closure.resource_id, detail=detail)

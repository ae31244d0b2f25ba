"""Rooms and equipment: list, read, add, change, close and reopen them."""

import datetime as dt
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.domain.audit.audit import checked_reason
from clinic.domain.errors import (
    AlreadyEntered,
    EndBeforeStart,
    LocationNotFound,
    ResourceClosureNotFound,
    ResourceNotFound,
    TimeInPast,
    VersionMismatch,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.resource_schemas import (
    ChangeResourceIn,
    ResourceChangedOut,
    ResourceClosedOut,
    ResourceClosureIn,
    ResourceClosureOut,
    ResourceIn,
    ResourceOut,
)
from clinic.entrypoints.http.api.schemas import ReasonQuery
from clinic.entrypoints.http.kernel.conditional import expected_tags, unless_known
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply, content_tag
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, Text, changes_in, given
from clinic.usecases.appointments.resources import (
    ResourceChanged,
    ResourceClosed,
    add_resource,
    change_resource,
    close_resource,
    list_closures,
    list_resources,
    read_resource,
    reopen_resource,
)
from clinic.usecases.context import Context

_TAG = "Rooms and equipment"
_encode = msgspec.json.Encoder().encode


class ResourcesQuery(Struct, forbid_unknown_fields=True, frozen=True):
    kind: Annotated[Text | None, Meta(description="those of this kind")] = None


class ResourceClosuresQuery(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    from_: Annotated[
        dt.datetime | None, Meta(description="those that end after it, with offset; default now")
    ] = None


@endpoint(
    "GET",
    "/resources",
    tag=_TAG,
    summary="List rooms and equipment",
    answers=ItemsOut[ResourceOut],
    needs=Operation.READ_RESOURCES,
)
async def get_resources(call: RequestContext, query: ResourcesQuery) -> Reply:
    """In the order in which they were entered, also inactive ones. For staff."""
    found = await list_resources(call.context(), query.kind)
    return Reply(200, _encode(ItemsOut([ResourceOut.of(each) for each in found])))


@endpoint(
    "GET",
    "/resources/{resource_id}",
    tag=_TAG,
    summary="Read a room or equipment",
    answers=ResourceOut,
    needs=Operation.READ_RESOURCES,
    condition=Condition.IF_NONE_MATCH,
    headers=("ETag",),
    refuses=(ResourceNotFound,),
)
async def get_resource(call: RequestContext, resource_id: UUID) -> Reply:
    """Send its ETag back as If-Match to change it."""
    body = _encode(ResourceOut.of(await read_resource(call.context(), resource_id)))
    return unless_known(call, Reply(200, body, [(b"etag", content_tag(body).encode())]))


@endpoint(
    "POST",
    "/resources",
    tag=_TAG,
    summary="Add a room or equipment",
    status=201,
    answers=ResourceOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.REQUIRED,
    headers=("Location", "ETag"),
    refuses=(LocationNotFound,),
)
async def post_resource(call: RequestContext, body: ResourceIn) -> Reply:
    """Appointments of types that need its kind get it. For admins."""
    resource = Resource(
        call.services.new_id(),
        call.actor.clinic_id,
        body.kind,
        body.name,
        body.capacity,
        body.location_id,
        body.active,
    )

    async def act(context: Context) -> Resource:
        return await add_resource(context, resource)

    return await answer_keyed(call, body, act, _added, reason=given(body.reason))


@endpoint(
    "PATCH",
    "/resources/{resource_id}",
    tag=_TAG,
    summary="Change a room or equipment",
    answers=ResourceChangedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    condition=Condition.IF_MATCH,
    headers=("ETag",),
    refuses=(ResourceNotFound, LocationNotFound),
)
async def patch_resource(call: RequestContext, resource_id: UUID, body: ChangeResourceIn) -> Reply:
    """Omitted members stay unchanged. Appointments that have it keep it; those ahead are `stranded`
    when it is set inactive. A resource is never deleted. Needs the ETag that was last read, or `*`.
    For admins."""
    changes = changes_in(body, ("name", "capacity", "location_id"))
    if body.active is not msgspec.UNSET:
        changes["is_active"] = body.active

    def change(before: Resource) -> Resource:
        allowed = expected_tags(call)
        if allowed is not None and _tag_of(before) not in allowed:
            raise VersionMismatch()
        return replace(before, **changes)

    async def act(context: Context) -> ResourceChanged:
        return await change_resource(context, resource_id, change)

    return await answer_keyed(call, body, act, _changed, required=False, reason=given(body.reason))


@endpoint(
    "GET",
    "/resources/{resource_id}/closures",
    tag=_TAG,
    summary="List the closures of a room or equipment",
    answers=ItemsOut[ResourceClosureOut],
    needs=Operation.READ_RESOURCES,
    refuses=(ResourceNotFound,),
)
async def get_resource_closures(
    call: RequestContext, resource_id: UUID, query: ResourceClosuresQuery
) -> Reply:
    """In the order in which they were entered. For staff."""
    found = await list_closures(call.context(), resource_id, since=query.from_)
    return Reply(200, _encode(ItemsOut([ResourceClosureOut.of(each) for each in found])))


@endpoint(
    "POST",
    "/resources/{resource_id}/closures",
    tag=_TAG,
    summary="Close a room or equipment for a time",
    status=201,
    answers=ResourceClosedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.REQUIRED,
    refuses=(ResourceNotFound, EndBeforeStart, TimeInPast, AlreadyEntered),
)
async def post_resource_closure(
    call: RequestContext, resource_id: UUID, body: ResourceClosureIn
) -> Reply:
    """No appointment gets it within `[from, to)`. Those that have it keep it, and are `stranded`:
    move them, and they get another one. For admins."""
    closure = ResourceClosure(
        call.services.new_id(),
        call.actor.clinic_id,
        resource_id,
        body.from_,
        body.to,
        body.reason,
    )

    async def act(context: Context) -> ResourceClosed:
        return await close_resource(context, closure)

    return await answer_keyed(call, body, act, _closed, reason=body.reason)


@endpoint(
    "DELETE",
    "/resources/{resource_id}/closures/{resource_closure_id}",
    tag=_TAG,
    summary="Take a closure of a room or equipment back",
    answers=ResourceClosureOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    refuses=(ResourceNotFound, ResourceClosureNotFound),
)
async def delete_resource_closure(
    call: RequestContext, resource_id: UUID, resource_closure_id: UUID, query: ReasonQuery
) -> Reply:
    """Appointments get it again. For admins."""

    async def act(context: Context) -> ResourceClosure:
        return await reopen_resource(context, resource_id, resource_closure_id)

    reason = checked_reason(query.reason, "reason")
    return await answer_keyed(call, query, act, _reopened, required=False, reason=reason)


def _tag_of(resource: Resource) -> str:
    return content_tag(_encode(ResourceOut.of(resource)))


def _added(resource: Resource) -> Answer:
    body = _encode(ResourceOut.of(resource))
    return Answer(201, body, f"/resources/{resource.id}", content_tag(body))


def _changed(changed: ResourceChanged) -> Answer:
    body = _encode(ResourceChangedOut.changed(changed))
    return Answer(200, body, etag=_tag_of(changed.resource))


def _closed(closed: ResourceClosed) -> Answer:
    return Answer(201, _encode(ResourceClosedOut.closed(closed)))


def _reopened(closure: ResourceClosure) -> Answer:
    return Answer(200, _encode(ResourceClosureOut.of(closure)))


ENDPOINTS = (
    get_resources,
    get_resource,
    post_resource,
    patch_resource,
    get_resource_closures,
    post_resource_closure,
    delete_resource_closure,
)

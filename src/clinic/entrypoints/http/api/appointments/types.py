"""Types of appointments: list, read, add and change them."""

from dataclasses import replace
from uuid import UUID

import msgspec

from clinic.domain.appointments.types import AppointmentType
from clinic.domain.errors import (
    AppointmentTypeNotFound,
    DefaultTypeTaken,
    DoctorNotFound,
    NoSuchResource,
    TooManyTypes,
    TypeNameInUse,
    TypeTooLong,
    VersionMismatch,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.type_schemas import (
    AppointmentTypeChangedOut,
    AppointmentTypeIn,
    AppointmentTypeOut,
    ChangeAppointmentTypeIn,
    changes_of,
    type_of,
)
from clinic.entrypoints.http.kernel.conditional import expected_tags, unless_known
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply, content_tag
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, given
from clinic.usecases.appointments.types import (
    TypeChanged,
    add_type,
    change_type,
    list_types,
    read_type,
)
from clinic.usecases.context import Context

_TAG = "Appointment types"
_REFUSES = (
    DoctorNotFound,
    TypeNameInUse,
    DefaultTypeTaken,
    TooManyTypes,
    TypeTooLong,
    NoSuchResource,
)
_encode = msgspec.json.Encoder().encode


@endpoint(
    "GET",
    "/appointment-types",
    tag=_TAG,
    summary="List types of appointments",
    answers=ItemsOut[AppointmentTypeOut],
    needs=Operation.READ_CLINIC,
)
async def get_types(call: RequestContext) -> Reply:
    """In the order in which they were entered. Patients see active types that patients may book."""
    types = await list_types(call.context())
    return Reply(200, _encode(ItemsOut([AppointmentTypeOut.of(each) for each in types])))


@endpoint(
    "GET",
    "/appointment-types/{type_id}",
    tag=_TAG,
    summary="Read a type of appointment",
    answers=AppointmentTypeOut,
    needs=Operation.READ_CLINIC,
    condition=Condition.IF_NONE_MATCH,
    headers=("ETag",),
    refuses=(AppointmentTypeNotFound,),
)
async def get_type(call: RequestContext, type_id: UUID) -> Reply:
    """Send its ETag back as If-Match to change it."""
    body = _encode(AppointmentTypeOut.of(await read_type(call.context(), type_id)))
    return unless_known(call, Reply(200, body, [(b"etag", content_tag(body).encode())]))


@endpoint(
    "POST",
    "/appointment-types",
    tag=_TAG,
    summary="Add a type of appointment",
    status=201,
    answers=AppointmentTypeOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.REQUIRED,
    headers=("Location", "ETag"),
    refuses=_REFUSES,
)
async def post_type(call: RequestContext, body: AppointmentTypeIn) -> Reply:
    """Length and the time before and after it take at most 720 minutes together. It must fit into
    the hours of one of the doctors who offer it, unless none of them has hours yet, and of
    each kind that it `needs` there must be an active resource. For admins."""
    type = type_of(body, id=call.services.new_id(), clinic_id=call.actor.clinic_id)

    async def act(context: Context) -> AppointmentType:
        return await add_type(context, type)

    return await answer_keyed(call, body, act, _added, reason=given(body.reason))


@endpoint(
    "PATCH",
    "/appointment-types/{type_id}",
    tag=_TAG,
    summary="Change a type of appointment",
    answers=AppointmentTypeChangedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    condition=Condition.IF_MATCH,
    headers=("ETag",),
    refuses=(AppointmentTypeNotFound, *_REFUSES),
)
async def patch_type(call: RequestContext, type_id: UUID, body: ChangeAppointmentTypeIn) -> Reply:
    """Omitted members stay unchanged; `offeredBy` and `needs` replace the whole list. Appointments
    that were booked keep the name, the length and the rooms that they have. A type is never
    deleted: set `active` to false. Needs the ETag that was last read, or `*`. For admins."""
    changes = changes_of(body)

    def change(before: AppointmentType) -> AppointmentType:
        allowed = expected_tags(call)
        if allowed is not None and _tag_of(before) not in allowed:
            raise VersionMismatch()
        return replace(before, **changes)

    async def act(context: Context) -> TypeChanged:
        return await change_type(context, type_id, change)

    return await answer_keyed(call, body, act, _changed, required=False, reason=given(body.reason))


def _tag_of(type: AppointmentType) -> str:
    return content_tag(_encode(AppointmentTypeOut.of(type)))


def _added(type: AppointmentType) -> Answer:
    body = _encode(AppointmentTypeOut.of(type))
    return Answer(201, body, f"/appointment-types/{type.id}", content_tag(body))


def _changed(changed: TypeChanged) -> Answer:
    body = _encode(AppointmentTypeChangedOut.changed(changed))
    return Answer(200, body, etag=_tag_of(changed.type))


ENDPOINTS = (get_types, get_type, post_type, patch_type)

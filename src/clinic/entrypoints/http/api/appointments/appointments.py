"""Appointments: book, read, change, and their trail."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.clinic import checked_date, checked_instant
from clinic.domain.errors import (
    AppointmentNotFound,
    DoctorNotFound,
    DoesNotFit,
    EndBeforeStart,
    InvalidInput,
    NoResourceFree,
    NotOffered,
    PatientBusy,
    PatientDisabled,
    PatientNotFound,
    PolicyRefused,
    SameSlot,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
    TooEarly,
    TooLateToUndo,
    TransitionNotAllowed,
    TypeNotBookable,
    UnknownType,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.schemas import (
    AppointmentOut,
    AuditOut,
    BookIn,
    ChangeAppointmentIn,
)
from clinic.entrypoints.http.api.appointments.type_schemas import type_named
from clinic.entrypoints.http.kernel.conditional import etag, expected_versions, is_unchanged
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed, key_of, keyed_by, reply_to
from clinic.entrypoints.http.kernel.paging import PageQuery, page_reply, page_request
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, given
from clinic.usecases.appointments.book import book_once
from clinic.usecases.appointments.change_appointment import change_status, reschedule
from clinic.usecases.appointments.read_appointments import (
    AppointmentSearch,
    list_appointments,
    read_appointment,
    read_trail,
)
from clinic.usecases.context import Context

_TAG = "Appointments"
#: expected when no tag given can be an appointment's
NO_VERSION = 0
_encode = msgspec.json.Encoder().encode


class AppointmentsQuery(PageQuery, kw_only=True, frozen=True):
    doctor: UUID | None = None
    patient: UUID | None = None
    date: Annotated[dt.date | None, Meta(description="a day at the clinic")] = None
    from_: Annotated[dt.datetime | None, Meta(description="earliest start, with offset")] = None
    to: Annotated[dt.datetime | None, Meta(description="starts before, with offset")] = None
    status: Annotated[tuple[Status, ...], Meta(description="one or several")] = ()


def appointment_answer(view: AppointmentView, status: int = 200) -> Answer:
    """Return the whole appointment with its entity tag, and its location if it is new."""
    version = etag(view.appointment.version)
    out = AppointmentOut.of(view)
    # msgspec writes the id in C: str(id) would cost as much as all of the rest.
    location = f"/appointments/{msgspec.to_builtins(out.id)}" if status == 201 else None
    return Answer(status, _encode(out), location, version)


def _booked(view: AppointmentView) -> Answer:
    return appointment_answer(view, 201)


@endpoint(
    "POST",
    "/appointments",
    tag=_TAG,
    summary="Book a slot",
    status=201,
    answers=AppointmentOut,
    needs=Operation.BOOK,
    checks_session=False,
    key=KeyPolicy.REQUIRED,
    headers=("Location", "ETag"),
    refuses=(
        SlotNotFound,
        PatientNotFound,
        PatientDisabled,
        PolicyRefused,
        UnknownType,
        TypeNotBookable,
        NotOffered,
        SlotTaken,
        SlotBlocked,
        DoesNotFit,
        NoResourceFree,
        PatientBusy,
    ),
)
async def book_appointment(call: RequestContext, body: BookIn) -> Reply:
    """Patients book for themselves, staff for the patient they name. If several race for a slot,
    one gets it; the others get 409 `slot_taken` with up to three `nearest` open slots.

    At a clinic with types, name one by `type` or `typeId`, or get the default. The appointment
    lasts as long as the type and takes every slot that it needs, and one room or piece of equipment
    of each kind that the type needs; where none is free, 409 `no_resource_free`."""
    key = key_of(call, required=True)
    assert key is not None
    type = type_named(body.type, body.type_id, pointer="/typeId")
    outcome = await book_once(
        call.context(body.reason),
        keyed_by(key, call, body, _booked),
        body.slot_id,
        patient_id=body.patient_id,
        type=type,
        override=body.override,
    )
    return reply_to(outcome)


@endpoint(
    "GET",
    "/appointments",
    tag=_TAG,
    summary="List appointments by start",
    answers=ItemsOut[AppointmentOut],
    needs=Operation.READ_APPOINTMENTS,
    checks_session=False,
    headers=("Link",),
    refuses=(DoctorNotFound, PatientNotFound, EndBeforeStart),
)
async def get_appointments(call: RequestContext, query: AppointmentsQuery) -> Reply:
    """Patients and doctors see their own, the office all of the clinic's."""
    search = AppointmentSearch(
        query.doctor,
        query.patient,
        checked_date(query.date, "date") if query.date else None,
        checked_instant(query.from_, "from") if query.from_ else None,
        checked_instant(query.to, "to") if query.to else None,
        query.status,
    )
    page = await list_appointments(
        call.context(), search, page_request(call, query), clinics=call.clinics
    )
    call.note_ids(view.appointment.id for view in page.items)
    return page_reply(call, query, page, AppointmentOut.of)


@endpoint(
    "GET",
    "/appointments/{appointment_id}",
    tag=_TAG,
    summary="Read an appointment",
    answers=AppointmentOut,
    needs=Operation.READ_APPOINTMENTS,
    condition=Condition.IF_NONE_MATCH,
    headers=("ETag",),
    refuses=(AppointmentNotFound,),
)
async def get_appointment(call: RequestContext, appointment_id: UUID) -> Reply:
    """Its ETag is its version; send it back as If-Match to change it."""
    view = await read_appointment(call.context(), appointment_id)
    call.note_patient(appointment_id, view.appointment.patient_id)
    answer = appointment_answer(view)
    headers = [(b"etag", (answer.etag or "").encode())]
    if is_unchanged(call, view.appointment.version):
        return Reply(304, headers=headers)
    return Reply(200, answer.body, headers)


@endpoint(
    "PATCH",
    "/appointments/{appointment_id}",
    tag=_TAG,
    summary="Change an appointment's status, or move it",
    answers=AppointmentOut,
    needs=Operation.CHANGE_APPOINTMENT,
    key=KeyPolicy.OPTIONAL,
    condition=Condition.IF_MATCH,
    headers=("ETag",),
    refuses=(
        AppointmentNotFound,
        SlotNotFound,
        TransitionNotAllowed,
        TooEarly,
        TooLateToUndo,
        PatientDisabled,
        PolicyRefused,
        SameSlot,
        NotOffered,
        SlotTaken,
        SlotBlocked,
        DoesNotFit,
        NoResourceFree,
        PatientBusy,
    ),
)
async def patch_appointment(
    call: RequestContext, appointment_id: UUID, body: ChangeAppointmentIn
) -> Reply:
    """Give either `status` or `slotId`. A repeated Idempotency-Key is answered before If-Match is
    looked at. Asking again for a status that you have set changes nothing.

    Staff can undo: on the same day, `ARRIVED`, `COMPLETED` and `NO_SHOW` go back to the status
    before. Until its start, a `CANCELLED` appointment becomes `BOOKED` again if its place and its
    patient's time are free; `override` waives the limits on the patient's appointments."""
    status, slot_id = given(body.status), given(body.slot_id)
    if (status is None) == (slot_id is None):
        raise InvalidInput("Give either status or slotId.", pointer="/status")

    async def change(context: Context) -> AppointmentView:
        version = await _expected_version(call, appointment_id)
        if status is not None:
            return await change_status(
                context,
                appointment_id,
                to=status,
                override=body.override,
                expected_version=version,
            )
        assert slot_id is not None
        return await reschedule(
            context,
            appointment_id,
            slot_id=slot_id,
            override=body.override,
            expected_version=version,
        )

    return await answer_keyed(
        call, body, change, appointment_answer, required=False, reason=given(body.reason)
    )


async def _expected_version(call: RequestContext, appointment_id: UUID) -> int | None:
    """Return the version that the appointment must have, None for any."""
    allowed = expected_versions(call)
    if allowed is None:
        return None
    if len(allowed) > 1:
        view = await read_appointment(call.context(), appointment_id)
        allowed &= {view.appointment.version}
    return next(iter(allowed), NO_VERSION)


@endpoint(
    "GET",
    "/appointments/{appointment_id}/audit",
    tag=_TAG,
    summary="Read an appointment's trail",
    answers=ItemsOut[AuditOut],
    needs=Operation.READ_TRAIL,
    refuses=(AppointmentNotFound,),
)
async def get_audit(call: RequestContext, appointment_id: UUID) -> Reply:
    """Every change, oldest first: who, what, when, from where, why. For staff."""
    trail = await read_trail(call.context(), appointment_id)
    return Reply(200, _encode(ItemsOut([AuditOut.of(entry) for entry in trail])))


ENDPOINTS = (
    book_appointment,
    get_appointments,
    get_appointment,
    patch_appointment,
    get_audit,
)

"""Doctors: list, read, add, and their last day."""

from uuid import UUID

import msgspec
from msgspec import Struct

from clinic.domain.errors import DoctorNotFound, EmailInUse, PhoneNumberRefused
from clinic.domain.idempotency import Answer
from clinic.domain.people.people import Doctor, Role, User
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import PreviewQuery, answer_change
from clinic.entrypoints.http.api.people.clinic_schemas import (
    ChangeDoctorIn,
    DoctorChangedOut,
    DoctorIn,
    DoctorOut,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, Text, given
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.change_doctor import set_last_day
from clinic.usecases.context import Context
from clinic.usecases.people.add_people import add_doctor, list_doctors, read_doctor

_TAG = "Doctors"
_encode = msgspec.json.Encoder().encode


class DoctorsQuery(Struct, forbid_unknown_fields=True, frozen=True):
    specialty: Text | None = None


@endpoint(
    "GET",
    "/doctors",
    tag=_TAG,
    summary="List doctors by name",
    answers=ItemsOut[DoctorOut],
    needs=Operation.READ_CLINIC,
)
async def get_doctors(call: RequestContext, query: DoctorsQuery) -> Reply:
    """All of the clinic's, or those of one specialty. Patients do not see doctors whose account is
    disabled, or whose last day has passed."""
    doctors = await list_doctors(call.context(), specialty=query.specialty)
    return Reply(200, _encode(ItemsOut([DoctorOut.of(doctor) for doctor in doctors])))


@endpoint(
    "GET",
    "/doctors/{doctor_id}",
    tag=_TAG,
    summary="Read a doctor",
    answers=DoctorOut,
    needs=Operation.READ_CLINIC,
    refuses=(DoctorNotFound,),
)
async def get_doctor(call: RequestContext, doctor_id: UUID) -> Reply:
    doctor = await read_doctor(call.context(), doctor_id)
    return Reply(200, _encode(DoctorOut.of(doctor)))


@endpoint(
    "POST",
    "/doctors",
    tag=_TAG,
    summary="Add a doctor",
    status=201,
    answers=DoctorOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(EmailInUse, PhoneNumberRefused),
)
async def post_doctor(call: RequestContext, body: DoctorIn) -> Reply:
    """Adds a person as a doctor of the clinic. For admins."""
    services = call.services
    user = User(services.new_id(), body.name, body.email, Role.DOCTOR, body.phone)

    async def act(context: Context) -> Doctor:
        return await add_doctor(context, user, body.specialty, contacts=services.contacts)

    return await answer_keyed(call, body, act, _added)


@endpoint(
    "PATCH",
    "/doctors/{doctor_id}",
    tag=_TAG,
    summary="Set a doctor's last day",
    answers=DoctorChangedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    refuses=(DoctorNotFound,),
)
async def patch_doctor(
    call: RequestContext, doctor_id: UUID, query: PreviewQuery, body: ChangeDoctorIn
) -> Reply:
    """No hours begin after that day, but a night that begins on it is kept. Appointments after it
    stay, and are `stranded`. For admins."""

    async def act(context: Context) -> CalendarChanged[Doctor]:
        return await set_last_day(context, doctor_id, body.last_day, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        DoctorChangedOut.changed,
        preview=query.preview,
        reason=given(body.reason),
    )


def _added(doctor: Doctor) -> Answer:
    return Answer(201, _encode(DoctorOut.of(doctor)), f"/doctors/{doctor.id}")


ENDPOINTS = (get_doctors, get_doctor, post_doctor, patch_doctor)

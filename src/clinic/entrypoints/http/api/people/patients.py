"""Patients: list, read, add."""

from uuid import UUID

import msgspec

from clinic.domain.errors import EmailInUse, PatientNotFound, PhoneNumberRefused
from clinic.domain.idempotency import Answer
from clinic.domain.people.people import Patient, Role, User
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.people.clinic_schemas import PatientIn, PatientOut
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.paging import PageQuery, page_reply, page_request
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.context import Context
from clinic.usecases.people.add_people import add_patient, list_patients, read_patient

_TAG = "Patients"
_encode = msgspec.json.Encoder().encode


@endpoint(
    "GET",
    "/patients",
    tag=_TAG,
    summary="List patients",
    answers=ItemsOut[PatientOut],
    needs=Operation.LIST_PATIENTS,
    headers=("Link",),
)
async def get_patients(call: RequestContext, query: PageQuery) -> Reply:
    """In the order they were added. For staff."""
    page = await list_patients(call.context(), page_request(call, query))
    call.note_ids(patient.id for patient in page.items)
    return page_reply(call, query, page, PatientOut.of)


@endpoint(
    "GET",
    "/patients/{patient_id}",
    tag=_TAG,
    summary="Read a patient",
    answers=PatientOut,
    needs=Operation.READ_PATIENT,
    refuses=(PatientNotFound,),
)
async def get_patient(call: RequestContext, patient_id: UUID) -> Reply:
    """Staff read any of the clinic's, patients themselves."""
    patient = await read_patient(call.context(), patient_id)
    call.note_patient(patient_id, patient_id)
    return Reply(200, _encode(PatientOut.of(patient)))


@endpoint(
    "POST",
    "/patients",
    tag=_TAG,
    summary="Add a patient",
    status=201,
    answers=PatientOut,
    needs=Operation.ADD_PATIENT,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(EmailInUse, PhoneNumberRefused),
)
async def post_patient(call: RequestContext, body: PatientIn) -> Reply:
    """Adds a person as a patient of the clinic. For the office."""
    services = call.services
    user = User(services.new_id(), body.name, body.email, Role.PATIENT, body.phone)

    async def act(context: Context) -> Patient:
        return await add_patient(context, user, contacts=services.contacts)

    return await answer_keyed(call, body, act, _added)


def _added(patient: Patient) -> Answer:
    return Answer(201, _encode(PatientOut.of(patient)), f"/patients/{patient.id}")


ENDPOINTS = (get_patients, get_patient, post_patient)

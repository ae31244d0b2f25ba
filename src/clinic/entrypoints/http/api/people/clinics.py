"""Clinics: the token's clinic, its policy, and new ones."""

from dataclasses import replace

import msgspec
from msgspec import UNSET

from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    ClinicNotFound,
    ConfirmationNeeded,
    OperatorOnly,
    PhoneNumberRefused,
    UnknownTimeZone,
    VersionMismatch,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import DEFERRED, PreviewQuery, note_patients
from clinic.entrypoints.http.api.people.clinic_schemas import (
    ChangeClinicIn,
    ClinicChangedOut,
    ClinicOut,
    PolicyIn,
)
from clinic.entrypoints.http.kernel.conditional import expected_tags, unless_known
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply, content_tag
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import changes_in, given
from clinic.usecases.context import Context
from clinic.usecases.people.change_clinic import ClinicChanged, change_clinic
from clinic.usecases.read_clinic import read_clinic

_TAG = "Clinics"
POLICY_FIELDS = PolicyIn.__struct_fields__
_encode = msgspec.json.Encoder().encode


@endpoint(
    "GET",
    "/clinics/current",
    tag=_TAG,
    summary="Read the clinic",
    answers=ClinicOut,
    needs=Operation.READ_CLINIC,
    condition=Condition.IF_NONE_MATCH,
    headers=("ETag",),
    refuses=(ClinicNotFound,),
)
async def get_clinic(call: RequestContext) -> Reply:
    """The clinic that the token was issued for."""
    # The clinic that was read with the session has no contact details.
    clinic = await read_clinic(call.context())
    body = _encode(ClinicOut.of(clinic))
    return unless_known(call, Reply(200, body, [(b"etag", content_tag(body).encode())]))


@endpoint(
    "POST",
    "/clinics",
    tag=_TAG,
    summary="Refused: clinics are created by the operator",
    status=201,
    answers=ClinicOut,
    needs=Operation.CHANGE_CLINIC,
    refuses=(OperatorOnly,),
)
async def post_clinic(call: RequestContext) -> Reply:
    """Always refused: an administrator's say ends at their own clinic. The operator of the service
    creates one with `clinic clinic create`, and its first people with `clinic user add`."""
    raise OperatorOnly()


@endpoint(
    "PATCH",
    "/clinics/current",
    tag=_TAG,
    summary="Change the clinic's name, zone, policy or contact",
    also=DEFERRED,
    answers=ClinicChangedOut,
    needs=Operation.CHANGE_CLINIC,
    key=KeyPolicy.OPTIONAL,
    condition=Condition.IF_MATCH,
    headers=("ETag",),
    refuses=(ClinicNotFound, UnknownTimeZone, PhoneNumberRefused, ConfirmationNeeded),
)
async def patch_clinic(call: RequestContext, query: PreviewQuery, body: ChangeClinicIn) -> Reply:
    """Omitted members stay unchanged. Needs the ETag that was last read, or `*`. For admins. A new
    time zone or horizon changes the slots of all doctors. Appointments keep their instants: while
    some lie ahead, a new time zone needs their number as `confirm`, which the preview says as
    `appointmentsAhead`."""
    services = call.services

    def change(before: Clinic) -> Clinic:
        allowed = expected_tags(call)
        if allowed is not None and content_tag(_encode(ClinicOut.of(before))) not in allowed:
            raise VersionMismatch()
        changes = changes_in(body, ("name", "time_zone"))
        if body.policy is not UNSET:
            changes["policy"] = replace(before.policy, **changes_in(body.policy, POLICY_FIELDS))
        contact = replace(before.contact, **changes_in(body, ("address", "phone", "language")))
        return replace(before, contact=contact, **changes)

    async def act(context: Context) -> ClinicChanged:
        return await change_clinic(
            context,
            change,
            contacts=services.contacts,
            confirm=given(body.confirm),
            preview=query.preview,
        )

    if query.preview:
        changed = await act(call.context(given(body.reason)))
        note_patients(call, changed.effect.stranded if changed.effect else ())
        return Reply(200, _encode(ClinicChangedOut.changed(changed)))
    return await answer_keyed(
        call, body, act, _changed_clinic, required=False, reason=given(body.reason)
    )


def _changed_clinic(changed: ClinicChanged) -> Answer:
    body = _encode(ClinicChangedOut.changed(changed))
    etag = content_tag(_encode(ClinicOut.of(changed.clinic)))
    later = changed.effect.change if changed.effect else None
    if later is not None:
        return Answer(202, body, f"/calendar-changes/{later.id}", etag)
    return Answer(200, body, etag=etag)


ENDPOINTS = (get_clinic, post_clinic, patch_clinic)

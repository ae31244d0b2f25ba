"""Why a doctor's times can be booked or not."""

import datetime as dt
from typing import Annotated, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from clinic.domain.appointments.rules import EVERY_KIND, Finding
from clinic.domain.errors import (
    DoctorNotFound,
    EndBeforeStart,
    InvalidInput,
    PatientNotFound,
    RangeTooLong,
    TooManyRows,
    UnknownType,
)
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.schemas import BlockedByOut, SlotOut
from clinic.entrypoints.http.api.schemas import local_times
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import Out, Text
from clinic.usecases.appointments.explain import ExplainedStart, Explanation, Question, explain

_encode = msgspec.json.Encoder().encode

RuleKind = Annotated[
    str, Meta(description="which rule; stable", extra_json_schema={"enum": list(EVERY_KIND)})
]


class ExplanationQuery(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    doctor: UUID
    at: Annotated[
        dt.datetime | None,
        Meta(description="one start, with offset; in place of `from` and `to`"),
    ] = None
    from_: Annotated[dt.datetime | None, Meta(description="earliest start, with offset")] = None
    to: Annotated[
        dt.datetime | None, Meta(description="starts before, with offset; at most 7 days later")
    ] = None
    type: Annotated[
        Text | None, Meta(description="the type's name; the clinic's default when absent")
    ] = None
    type_id: Annotated[UUID | None, Meta(description="the same by the type's id")] = None
    patient: Annotated[
        UUID | None,
        Meta(
            description="for staff: the patient to explain it for; without one, the rules about"
            " patients are left out"
        ),
    ] = None


class RuleOut(Out):
    """What one rule says of a start."""

    kind: RuleKind
    refuses: bool
    detail: Annotated[
        str, Meta(description="a sentence; of a rule that refuses, the `detail` of the refusal")
    ]
    code: Annotated[str, Meta(description="the problem that a booking gets")] | UnsetType = UNSET
    blocked_by: (
        Annotated[list[BlockedByOut], Meta(description="what closes or blocks the time")]
        | UnsetType
    ) = UNSET

    @classmethod
    def of(cls, finding: Finding) -> Self:
        out = cls(finding.kind, finding.refuses, finding.sentence)
        if finding.error is not None:
            out.code = finding.error.code
            blockers = finding.error.facts.get("blockedBy")
            if blockers:
                out.blocked_by = [BlockedByOut.of(each) for each in blockers]
        return out


class ExplainedStartOut(Out):
    """A time at which an appointment would begin."""

    slot_id: Annotated[UUID | None, Meta(description="null where no slot begins")]
    starts_at: dt.datetime
    ends_at: Annotated[
        dt.datetime | None, Meta(description="null where it is not known how long it would last")
    ]
    date: str
    time: str
    duration: Annotated[int | None, Meta(description="in minutes")]
    possible: Annotated[bool, Meta(description="whether it can be booked: no rule refuses")]
    rules: Annotated[
        list[RuleOut],
        Meta(
            description="in the order in which a booking is refused, each kind once; where no slot"
            " begins, without those that need one"
        ),
    ]

    @classmethod
    def of(cls, start: ExplainedStart, zone: ZoneInfo) -> Self:
        starts_at, ends_at, date, time, minutes = local_times(
            start.starts_at, start.ends_at or start.starts_at, zone
        )
        is_known = start.ends_at is not None
        return cls(
            start.slot_id,
            starts_at,
            ends_at if is_known else None,
            date,
            time,
            minutes if is_known else None,
            start.is_possible,
            [RuleOut.of(finding) for finding in start.findings],
        )


class ExplanationOut(Out):
    """What the rules for bookings say of a doctor's times, as of now."""

    doctor_id: UUID
    doctor_name: str
    type: Annotated[str | None, Meta(description="null at a clinic without types")]
    type_id: UUID | None
    patient_id: UUID | None
    starts: Annotated[
        list[ExplainedStartOut],
        Meta(description="the one of `at`, or those of the doctor's slots in the range"),
    ]
    nearest: Annotated[
        list[SlotOut],
        Meta(
            description="when none of `starts` is possible: up to three free slots near the first"
            " in which it would be; empty when a rule refuses every time of the doctor"
        ),
    ]

    @classmethod
    def of(cls, found: Explanation, zone: ZoneInfo) -> Self:
        return cls(
            found.doctor.id,
            found.doctor.name,
            None if found.kind is None else found.kind.name,
            None if found.kind is None else found.kind.id,
            found.patient_id,
            [ExplainedStartOut.of(each, zone) for each in found.starts],
            [SlotOut.of(view, zone) for view in found.nearest],
        )


@endpoint(
    "GET",
    "/slots/explanation",
    tag="Slots",
    summary="Explain why times can be booked or not",
    answers=ExplanationOut,
    needs=Operation.EXPLAIN_TIMES,
    refuses=(
        DoctorNotFound,
        PatientNotFound,
        EndBeforeStart,
        RangeTooLong,
        TooManyRows,
        UnknownType,
    ),
)
async def get_explanation(call: RequestContext, query: ExplanationQuery) -> Reply:
    """Each rule for bookings, in order, and whether it refuses: a booking at that moment is refused
    with the first that does, in the same words. Patients ask for themselves, doctors about their
    own calendar, and the office about any; to patients, leave looks like missing hours."""
    if query.type is not None and query.type_id is not None:
        raise InvalidInput("Name the type by `type` or by `typeId`.", pointer="typeId")
    question = Question(
        query.doctor,
        query.at,
        query.from_,
        query.to,
        query.type if query.type_id is None else query.type_id,
        query.patient,
    )
    clinic = await call.clinic()
    if query.patient is not None:
        note_patient(call, query.patient)
    found = await explain(call.context(), question, clinic=clinic)
    return Reply(200, _encode(ExplanationOut.of(found, clinic.zone)))


def note_patient(call: RequestContext, patient_id: UUID) -> None:
    """Note for the audit trail for whom it is explained: it says when they have appointments.
    Raises AuditUnavailable."""
    call.services.audit.check()
    call.reads_patients = True
    call.note_patient(patient_id, patient_id)


ENDPOINTS = (get_explanation,)

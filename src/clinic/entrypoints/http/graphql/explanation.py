"""The query that says why a time can be booked or not."""

import strawberry

from clinic.domain.errors import InvalidInput
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.explanation import (
    ExplanationOut,
    RuleOut,
    note_patient,
)
from clinic.entrypoints.http.graphql.connections import given
from clinic.entrypoints.http.graphql.context import Info, allowed
from clinic.entrypoints.http.graphql.types import (
    Blocker,
    BlockerKind,
    DateTime,
    Slot,
    id_in,
    id_of,
    required_id,
    written,
)
from clinic.usecases.appointments.explain import Question, explain


@strawberry.type(description="What one rule says of a time.")
class SlotRule:
    kind: str = strawberry.field(description="Which rule; stable, as in REST.")
    refuses: bool
    detail: str = strawberry.field(description="A sentence.")
    code: str | None = strawberry.field(description="Of the error that a booking gets.")
    blocked_by: list[Blocker] = strawberry.field(description="What closes or blocks the time.")

    @classmethod
    def of(cls, rule: RuleOut) -> "SlotRule":
        return cls(
            kind=rule.kind,
            refuses=rule.refuses,
            detail=rule.detail,
            code=rule.code or None,
            blocked_by=[
                Blocker(
                    kind=BlockerKind(by.kind),
                    id=None if by.id is None else id_of(by.id),
                    name=by.name,
                )
                for by in rule.blocked_by or ()
            ],
        )


@strawberry.type(description="What the rules for bookings say of a time, as of now.")
class SlotExplanation:
    slot_id: strawberry.ID | None = strawberry.field(description="Null where no slot begins.")
    starts_at: DateTime
    ends_at: DateTime | None
    date: str
    time: str
    duration: int | None
    type: str | None = strawberry.field(description="Null at a clinic without types.")
    possible: bool = strawberry.field(description="Whether it can be booked: no rule refuses.")
    rules: list[SlotRule] = strawberry.field(
        description="In the order in which a booking is refused, each kind once."
    )
    nearest: list[Slot] = strawberry.field(
        description="When it is not possible: up to three free slots near it in which it would be."
    )

    @classmethod
    def of(cls, found: ExplanationOut) -> "SlotExplanation":
        [start] = found.starts
        return cls(
            slot_id=None if start.slot_id is None else id_of(start.slot_id),
            starts_at=written(start.starts_at),
            ends_at=None if start.ends_at is None else written(start.ends_at),
            date=start.date,
            time=start.time,
            duration=start.duration,
            type=found.type,
            possible=start.possible,
            rules=[SlotRule.of(rule) for rule in start.rules],
            nearest=[Slot.of(slot) for slot in found.nearest],
        )


@strawberry.type
class ExplanationQuery:
    @strawberry.field(
        description="Why a doctor's time can be booked or not. Patients ask for themselves, doctors"
        " about their own calendar; `patientId` is for staff."
    )
    async def slot_explanation(
        self,
        info: Info,
        doctor_id: strawberry.ID,
        at: DateTime,
        type: str | None = strawberry.UNSET,
        type_id: strawberry.ID | None = strawberry.UNSET,
        patient_id: strawberry.ID | None = strawberry.UNSET,
    ) -> SlotExplanation:
        context = allowed(info, Operation.EXPLAIN_TIMES)
        call, name, kind_id = context.call, given(type), id_in(given(type_id), "typeId")
        if name is not None and kind_id is not None:
            raise InvalidInput("Name the type by `type` or by `typeId`.", pointer="typeId")
        patient = id_in(given(patient_id), "patientId")
        if patient is not None:
            note_patient(call, patient)
        question = Question(
            required_id(doctor_id, "doctorId"), given(at), type=kind_id or name, patient_id=patient
        )
        clinic = await call.clinic()
        found = await explain(call.context(), question, clinic=clinic)
        return SlotExplanation.of(ExplanationOut.of(found, clinic.zone))

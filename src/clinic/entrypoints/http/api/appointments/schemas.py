"""Appointments on the wire."""

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.audit.audit import Action, AuditEntry
from clinic.domain.people.people import Role
from clinic.entrypoints.http.api.schemas import Reason, local_times
from clinic.entrypoints.http.kernel.schemas import In, ItemsOut, Out, Text


class BookIn(In):
    slot_id: UUID
    #: staff name the patient; patients book for themselves
    patient_id: UUID | None = None
    #: the name of the type; any text at a clinic that has no types
    type: Text | None = None
    #: the type by its id, in place of its name
    type_id: UUID | None = None
    reason: Text | None = None
    #: staff only: book inside the notice or beyond the horizon
    override: bool = False


class ChangeAppointmentIn(In):
    """Either a new status or a new slot."""

    status: Status | UnsetType = UNSET
    slot_id: UUID | UnsetType = UNSET
    reason: Reason = UNSET
    #: staff only: inside the notice, beyond the horizon, or over the patient's limits
    override: bool = False


class SwapIn(In):
    appointment_ids: Annotated[tuple[UUID, ...], Meta(min_length=2, max_length=2)]
    reason: Text | None = None


class HeldResourceOut(Out):
    """A room or equipment that an appointment has."""

    id: UUID
    name: str
    kind: str


class AppointmentOut(Out):
    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    doctor_name: str
    patient_id: UUID
    patient_name: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    #: at the clinic
    date: str
    time: str
    #: in minutes
    duration: int
    type: str | None
    type_id: UUID | None
    status: Status
    version: int
    #: rooms and equipment that it has, by kind
    resources: list[HeldResourceOut]
    location_id: Annotated[
        UUID | None, Meta(description="where it is; null is the clinic's own address")
    ]
    location_name: str | None

    @classmethod
    def of(cls, view: AppointmentView) -> Self:
        it = view.appointment
        when = local_times(it.starts_at, it.ends_at, view.zone)
        return cls(
            it.id,
            it.clinic_id,
            it.slot_id,
            it.doctor_id,
            view.doctor_name,
            it.patient_id,
            view.patient_name,
            *when,
            it.type,
            it.type_id,
            it.status,
            it.version,
            [HeldResourceOut(each.id, each.name, each.kind) for each in view.resources],
            view.location_id,
            view.location_name,
        )


class AuditOut(Out):
    id: UUID
    at: dt.datetime
    actor_id: UUID
    actor_role: Role
    action: Action
    from_status: Status | None
    to_status: Status
    from_slot_id: UUID | None
    to_slot_id: UUID
    #: the appointment's version after the change
    version: int
    reason: str
    request_id: str | None
    ip: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            entry.id,
            entry.at,
            entry.actor_id,
            entry.actor_role,
            entry.action,
            entry.from_status,
            entry.to_status,
            entry.from_slot_id,
            entry.to_slot_id,
            entry.version,
            entry.reason,
            entry.request_id,
            entry.ip,
        )


def appointments_out(views: Iterable[AppointmentView]) -> ItemsOut[AppointmentOut]:
    return ItemsOut([AppointmentOut.of(view) for view in views])

"""The types of the schema, and how the clinic's values are converted to them.

`Appointment` is the published type and must not change; `AppointmentRecord` has the same fields
under the same names, and everything else that REST returns.
"""

import datetime as dt
from collections.abc import Mapping
from enum import Enum
from typing import Generic, NamedTuple, NewType, Protocol, TypeVar, cast
from uuid import UUID

import strawberry
from msgspec import UNSET
from strawberry.types.scalar import ScalarDefinition

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.calendar.closings import Blocker as ClinicBlocker
from clinic.domain.calendar.slots import Slot as ClinicSlot
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import Doctor as ClinicDoctor
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.calendar.schemas import SlotOut
from clinic.entrypoints.http.api.people.clinic_schemas import UserOut
from clinic.entrypoints.http.graphql.context import Info
from clinic.usecases.appointments.read_schedule import Schedule

Node = TypeVar("Node")

#: texts of `status`, as published
STATUS_TEXTS: Mapping[Status, str] = {
    Status.HELD: "Held",
    Status.BOOKED: "Scheduled",
    Status.CONFIRMED: "Confirmed",
    Status.ARRIVED: "Arrived",
    Status.COMPLETED: "Completed",
    Status.CANCELLED: "Cancelled",
    Status.NO_SHOW: "No-show",
    Status.EXPIRED: "Expired",
}


# --- scalars and enums


def _instant_of(value: object) -> dt.datetime:
    if not isinstance(value, str):
        raise TypeError("A DateTime is a string.")
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("A DateTime looks like 2026-11-23T09:00:00Z.") from None


#: formatted as in REST
DateTime = NewType("DateTime", str)
SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="An instant with its offset (RFC 3339), such as 2026-11-23T09:00:00Z.",
        serialize=str,
        parse_value=_instant_of,
    )
}


@strawberry.enum
class AppointmentStatus(Enum):
    HELD = "HELD"
    BOOKED = "BOOKED"
    CONFIRMED = "CONFIRMED"
    ARRIVED = "ARRIVED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    NO_SHOW = "NO_SHOW"
    EXPIRED = "EXPIRED"


@strawberry.enum
class SlotStatus(Enum):
    OPEN = "OPEN"
    BLOCKED = "BLOCKED"


@strawberry.enum(description="Which slots: those that may be booked now; the others are for staff.")
class SlotFilter(Enum):
    OPEN = "OPEN"
    BLOCKED = "BLOCKED"
    ALL = "ALL"


@strawberry.enum(description="Why nothing can be booked at a time; leave is for staff.")
class BlockerKind(Enum):
    NO_HOURS = "no_hours"
    CLOSURE = "closure"
    LEAVE = "leave"
    BLOCK = "block"


@strawberry.enum
class UserRole(Enum):
    PATIENT = "PATIENT"
    DOCTOR = "DOCTOR"
    RECEPTIONIST = "RECEPTIONIST"
    ADMIN = "ADMIN"


# --- objects


@strawberry.type
class Appointment:
    id: strawberry.ID
    patient_name: str
    doctor_name: str
    date: str
    time: str
    duration: int
    type: str | None
    status: str


@strawberry.type
class Doctor:
    id: strawberry.ID
    clinic_id: strawberry.ID
    name: str
    specialty: str
    last_day: str | None = strawberry.field(
        description="The last day on which the doctor works at the clinic."
    )

    @classmethod
    def of(cls, doctor: ClinicDoctor) -> "Doctor":
        return cls(
            id=id_of(doctor.id),
            clinic_id=id_of(doctor.clinic_id),
            name=doctor.name,
            specialty=doctor.specialty,
            last_day=doctor.last_day.isoformat() if doctor.last_day else None,
        )


class OfDoctor(Protocol):
    """What belongs to a doctor."""

    @property
    def doctor_id(self) -> strawberry.ID: ...


async def doctor_of(info: Info, root: OfDoctor) -> Doctor:
    """Return the doctor; those of one request are looked up together."""
    return Doctor.of(await info.context.doctors.load(UUID(root.doctor_id)))


@strawberry.type(description="One reason for which a time cannot be booked.")
class Blocker:
    kind: BlockerKind
    id: strawberry.ID | None = strawberry.field(
        description="Of the closure, leave or block; for staff."
    )
    name: str | None = strawberry.field(
        description="The closure's or holiday's name; of leave and blocks the reason, for staff."
    )

    @classmethod
    def of(cls, by: ClinicBlocker) -> "Blocker":
        return cls(
            kind=BlockerKind(by.kind.value),
            id=None if by.id is None else id_of(by.id),
            name=by.name,
        )


async def _blocked_by(info: Info, root: "Slot") -> list[Blocker]:
    if root.row is None or root.row.state is SlotState.OPEN:
        return []
    return [Blocker.of(by) for by in await info.context.blockers.load(root.row)]


@strawberry.type
class Slot:
    id: strawberry.ID
    doctor_id: strawberry.ID
    doctor_name: str
    specialty: str
    starts_at: DateTime
    ends_at: DateTime
    date: str
    time: str
    duration: int
    status: SlotStatus
    taken: bool
    location_id: strawberry.ID | None = strawberry.field(
        description="Where it is; null is the clinic's own address."
    )
    lane: int | None = strawberry.field(
        description="Which of the places beside each other; null with places."
    )
    places: int | None = strawberry.field(
        description="Of slots that may be booked: how many the doctor has free at this start."
        " Booking this one takes any of them."
    )
    #: the slot as it was read; None for one that can be booked
    row: strawberry.Private[ClinicSlot | None]
    doctor: Doctor = strawberry.field(resolver=doctor_of)
    blocked_by: list[Blocker] = strawberry.field(
        resolver=_blocked_by, description="Why it cannot be booked; empty when it is open."
    )

    @classmethod
    def of(cls, slot: SlotOut, row: ClinicSlot | None = None) -> "Slot":
        return cls(
            id=id_of(slot.id),
            doctor_id=id_of(slot.doctor_id),
            doctor_name=slot.doctor_name,
            specialty=slot.specialty,
            starts_at=written(slot.starts_at),
            ends_at=written(slot.ends_at),
            date=slot.date,
            time=slot.time,
            duration=slot.duration,
            status=SlotStatus(slot.status),
            taken=slot.taken,
            location_id=None if slot.location_id is None else id_of(slot.location_id),
            lane=None if slot.lane is UNSET else slot.lane,
            places=None if slot.places is UNSET else slot.places,
            row=row,
        )


@strawberry.type(description="A room or a piece of equipment that an appointment has.")
class HeldResource:
    id: strawberry.ID
    name: str
    kind: str


@strawberry.type(
    description="Everything of an appointment; what Appointment says too means the same."
)
class AppointmentRecord:
    id: strawberry.ID
    clinic_id: strawberry.ID
    slot_id: strawberry.ID
    doctor_id: strawberry.ID
    doctor_name: str
    patient_id: strawberry.ID
    patient_name: str
    starts_at: DateTime
    ends_at: DateTime
    date: str
    time: str
    duration: int
    type: str | None
    type_id: strawberry.ID | None
    status: str
    state: AppointmentStatus
    version: int
    resources: list[HeldResource] = strawberry.field(
        description="Rooms and equipment that it has, by kind."
    )
    location_id: strawberry.ID | None = strawberry.field(
        description="Where it is; null is the clinic's own address."
    )
    location_name: str | None
    doctor: Doctor = strawberry.field(resolver=doctor_of)

    @classmethod
    def of(cls, out: AppointmentOut) -> "AppointmentRecord":
        return cls(
            id=id_of(out.id),
            clinic_id=id_of(out.clinic_id),
            slot_id=id_of(out.slot_id),
            doctor_id=id_of(out.doctor_id),
            doctor_name=out.doctor_name,
            patient_id=id_of(out.patient_id),
            patient_name=out.patient_name,
            starts_at=written(out.starts_at),
            ends_at=written(out.ends_at),
            date=out.date,
            time=out.time,
            duration=out.duration,
            type=out.type,
            type_id=None if out.type_id is None else id_of(out.type_id),
            status=STATUS_TEXTS[out.status],
            state=AppointmentStatus(out.status.value),
            version=out.version,
            resources=[
                HeldResource(id=id_of(each.id), name=each.name, kind=each.kind)
                for each in out.resources
            ],
            location_id=None if out.location_id is None else id_of(out.location_id),
            location_name=out.location_name,
        )

    @classmethod
    def of_view(cls, view: AppointmentView) -> "AppointmentRecord":
        return cls.of(AppointmentOut.of(view))


@strawberry.type(description="Who is signed in, in the role and at the clinic of the token.")
class Me:
    id: strawberry.ID
    clinic_id: strawberry.ID
    role: UserRole
    name: str
    email: str
    phone: str | None

    @classmethod
    def of(cls, user: UserOut) -> "Me":
        return cls(
            id=id_of(user.id),
            clinic_id=id_of(user.clinic_id),
            role=UserRole(user.role.value),
            name=user.name,
            email=user.email,
            phone=user.phone,
        )


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[Node]):
    cursor: str
    node: Node


@strawberry.type
class Connection(Generic[Node]):
    edges: list[Edge[Node]]
    page_info: PageInfo


# --- values


class _Row(NamedTuple):
    """Stands in for Appointment: it takes a third of the time to make, and has the same fields."""

    id: str
    patient_name: str
    doctor_name: str
    date: str
    time: str
    duration: int
    type: str | None
    status: str


def schedule_rows(schedule: Schedule) -> list[Appointment | None]:
    """Return the schedule in the published type, in the clinic's time."""
    # Many appointments start at the same time: each time is converted once.
    local: dict[dt.datetime, tuple[str, str]] = {}
    rows = []
    # The same as _Row(), without one function call.
    minute, make = dt.timedelta(minutes=1), tuple.__new__
    for id, patient, doctor, starts_at, ends_at, kind, status, _ in schedule.entries:
        when = local.get(starts_at)
        if when is None:
            text = starts_at.astimezone(schedule.zone).isoformat()
            when = local[starts_at] = text[:10], text[11:16]
        duration = (ends_at - starts_at) // minute
        rows.append(make(_Row, (id, patient, doctor, *when, duration, kind, STATUS_TEXTS[status])))
    return cast(list[Appointment | None], rows)


def id_in(text: str | None, pointer: str) -> UUID | None:
    """Return the id in an argument. Raises InvalidInput if it is not an id."""
    if text is None:
        return None
    try:
        found = UUID(text)
    except ValueError:
        raise InvalidInput("This is not an id.", pointer=pointer) from None
    if str(found) != text.lower():
        raise InvalidInput("This is not an id.", pointer=pointer)
    return found


def required_id(text: str, pointer: str) -> UUID:
    """Return the id in an argument. Raises InvalidInput if it is not an id."""
    found = id_in(text, pointer)
    assert found is not None
    return found


def id_of(id: UUID) -> strawberry.ID:
    """Return an id as it is written."""
    return strawberry.ID(str(id))


def written(instant: dt.datetime) -> DateTime:
    """Return an instant as it is written."""
    return DateTime(instant.isoformat().replace("+00:00", "Z"))

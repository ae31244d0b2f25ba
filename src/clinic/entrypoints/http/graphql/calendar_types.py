"""The types of closures, leave, blocks, added places and what changes of calendars do."""

from enum import Enum
from uuid import UUID

import strawberry

from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    BlockOut,
    ClosureOut,
    LeaveOut,
    PlaceOut,
)
from clinic.entrypoints.http.api.calendar.schemas import CalendarChangeOut, SlotsOpenedOut
from clinic.entrypoints.http.graphql.connections import Cursors, appointments_page, given
from clinic.entrypoints.http.graphql.context import Info
from clinic.entrypoints.http.graphql.types import (
    AppointmentRecord,
    Connection,
    DateTime,
    Doctor,
    doctor_of,
    id_of,
    written,
)
from clinic.usecases.calendar.calendar_changes import read_change


@strawberry.enum(description="Once, on the same days of every year, or on public holidays.")
class ClosureKind(Enum):
    ONCE = "ONCE"
    YEARLY = "YEARLY"
    HOLIDAYS = "HOLIDAYS"


@strawberry.enum
class ChangeStatus(Enum):
    PENDING = "PENDING"
    DONE = "DONE"


@strawberry.type(description="Days on which the clinic is closed, or a country for its holidays.")
class Closure:
    id: strawberry.ID
    name: str
    kind: ClosureKind
    first: str | None = strawberry.field(name="from", description="The first day.")
    until: str | None = strawberry.field(description="The last day, included.")
    start_time: str | None = strawberry.field(description="On the first day; null is midnight.")
    end_time: str | None = strawberry.field(description="On the last day; null is its end.")
    country: str | None
    subdivision: str | None
    open_on: list[str] = strawberry.field(
        description="Days on which the clinic is open nonetheless."
    )
    location_id: strawberry.ID | None = strawberry.field(
        description="The only location that it closes; null closes all."
    )

    @classmethod
    def of(cls, closure: ClosureOut) -> "Closure":
        return cls(
            id=id_of(closure.id),
            name=closure.name,
            kind=ClosureKind(closure.kind.upper()),
            first=None if closure.from_ is None else closure.from_.isoformat(),
            until=None if closure.until is None else closure.until.isoformat(),
            start_time=closure.start_time,
            end_time=closure.end_time,
            country=closure.country,
            subdivision=closure.subdivision,
            open_on=[day.isoformat() for day in closure.open_on],
            location_id=None if closure.location_id is None else id_of(closure.location_id),
        )


@strawberry.type(description="Days on which a doctor is away.")
class Leave:
    id: strawberry.ID
    doctor_id: strawberry.ID
    first: str = strawberry.field(name="from", description="The first day.")
    until: str = strawberry.field(description="The last day, included.")
    start_time: str | None = strawberry.field(description="On the first day; null is midnight.")
    end_time: str | None = strawberry.field(description="On the last day; null is its end.")
    reason: str | None
    doctor: Doctor = strawberry.field(resolver=doctor_of)

    @classmethod
    def of(cls, leave: LeaveOut) -> "Leave":
        return cls(
            id=id_of(leave.id),
            doctor_id=id_of(leave.doctor_id),
            first=leave.from_.isoformat(),
            until=leave.until.isoformat(),
            start_time=leave.start_time,
            end_time=leave.end_time,
            reason=leave.reason,
        )


@strawberry.type(description="A time at which a doctor takes no bookings.")
class Block:
    id: strawberry.ID
    doctor_id: strawberry.ID
    starts_at: DateTime = strawberry.field(name="from")
    to: DateTime
    lane: int | None = strawberry.field(description="The lane that it blocks; null blocks all.")
    reason: str | None
    doctor: Doctor = strawberry.field(resolver=doctor_of)

    @classmethod
    def of(cls, block: BlockOut) -> "Block":
        return cls(
            id=id_of(block.id),
            doctor_id=id_of(block.doctor_id),
            starts_at=written(block.from_),
            to=written(block.to),
            lane=block.lane,
            reason=block.reason,
        )


@strawberry.type(description="A single slot outside a doctor's hours, or beside slots of them.")
class AddedPlace:
    id: strawberry.ID
    doctor_id: strawberry.ID
    starts_at: DateTime = strawberry.field(name="from")
    to: DateTime
    location_id: strawberry.ID | None
    lane: int = strawberry.field(description="1 outside the hours, another one beside them.")
    reason: str | None
    doctor: Doctor = strawberry.field(resolver=doctor_of)

    @classmethod
    def of(cls, place: PlaceOut) -> "AddedPlace":
        return cls(
            id=id_of(place.id),
            doctor_id=id_of(place.doctor_id),
            starts_at=written(place.from_),
            to=written(place.to),
            location_id=None if place.location_id is None else id_of(place.location_id),
            lane=place.lane,
            reason=place.reason,
        )


async def _stranded_now(
    info: Info,
    root: "CalendarChange",
    first: int | None = strawberry.UNSET,
    after: str | None = strawberry.UNSET,
) -> Connection[AppointmentRecord]:
    context = info.context
    progress = await read_change(context.call.context(), UUID(root.id))
    found = [AppointmentOut.of(view) for view in progress.stranded]
    context.show_patients(str(one.id) for one in found)
    return appointments_page(found, Cursors(context, "stranded"), given(first), given(after))


@strawberry.type(description="A change that a worker carries out, doctor by doctor.")
class CalendarChange:
    id: strawberry.ID
    action: str
    entity_id: strawberry.ID = strawberry.field(description="Of the input that was changed.")
    created_at: DateTime
    status: ChangeStatus
    first: str = strawberry.field(name="from", description="The first day whose slots follow.")
    until: str = strawberry.field(description="The last day whose slots follow, included.")
    doctors: int
    doctors_done: int
    added: int
    retired: int
    blocked: int
    unblocked: int
    relocated: int = strawberry.field(description="Slots that stay, at another location.")
    stranded: Connection[AppointmentRecord] = strawberry.field(
        resolver=_stranded_now,
        description="Up to 1,000 appointments ahead in these days that are not in open slots now.",
    )

    @classmethod
    def of(cls, change: CalendarChangeOut) -> "CalendarChange":
        return cls(
            id=id_of(change.id),
            action=change.action,
            entity_id=id_of(change.entity_id),
            created_at=written(change.created_at),
            status=ChangeStatus(change.status.upper()),
            first=change.from_.isoformat(),
            until=change.until.isoformat(),
            doctors=change.doctors,
            doctors_done=change.doctors_done,
            added=change.added,
            retired=change.retired,
            blocked=change.blocked,
            unblocked=change.unblocked,
            relocated=change.relocated,
        )


def _stranded(
    info: Info,
    root: "CalendarEffect",
    first: int | None = strawberry.UNSET,
    after: str | None = strawberry.UNSET,
) -> Connection[AppointmentRecord]:
    context = info.context
    if root.as_of is not None:
        context.show_patients(str(one.id) for one in root.all_stranded)
    cursors = Cursors(context, "stranded")
    return appointments_page(root.all_stranded, cursors, given(first), given(after))


@strawberry.type(description="What a change of the calendar does to slots and appointments.")
class CalendarEffect:
    added: int
    retired: int
    blocked: int
    unblocked: int
    relocated: int = strawberry.field(description="Slots that stay, at another location.")
    note: str | None = strawberry.field(description="Why nothing changes, when nothing does.")
    calendar_change: CalendarChange | None = strawberry.field(
        description="The change that a worker carries out, when it concerns too many slots to wait."
    )
    as_of: DateTime | None = strawberry.field(description="When a preview was made.")
    all_stranded: strawberry.Private[list[AppointmentOut]]
    stranded: Connection[AppointmentRecord] = strawberry.field(
        resolver=_stranded,
        description="Appointments ahead, in the days concerned, that are not in open slots then.",
    )

    @classmethod
    def of(cls, effect: SlotsOpenedOut) -> "CalendarEffect":
        change = effect.calendar_change
        return cls(
            added=effect.added,
            retired=effect.retired,
            blocked=effect.blocked,
            unblocked=effect.unblocked,
            relocated=effect.relocated,
            note=effect.note,
            calendar_change=None if change is None else CalendarChange.of(change),
            as_of=None if effect.as_of is None else written(effect.as_of),
            all_stranded=effect.stranded,
        )

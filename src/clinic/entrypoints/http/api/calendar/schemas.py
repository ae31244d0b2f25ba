"""Slots, hours and exceptions on the wire."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    Availability,
    AvailabilityException,
    end_text,
)
from clinic.domain.calendar.changes import CalendarChange
from clinic.domain.calendar.closings import Blocker
from clinic.domain.calendar.slots import Slot
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.schemas import Reason, local_times
from clinic.entrypoints.http.kernel.problems import FACTS
from clinic.entrypoints.http.kernel.schemas import HOW, In, Out, Text
from clinic.ports.calendars import SlotView
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.block_slots import SlotsChanged
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.explain_slots import ExplainedSlot

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WallTime = Annotated[
    str,
    Meta(
        # Python's $ would let a line end pass.
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$",
        description="HH:mm on the clinic's wall clock",
        examples=["09:00"],
        extra={HOW: "Write a time as HH:MM, from 00:00 to 23:59."},
    ),
]
WallEnd = Annotated[
    str,
    Meta(
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)(?!\n)$",
        description="HH:mm on the clinic's wall clock; 24:00 is midnight at the end of the day",
        examples=["17:00"],
        extra={HOW: "Write a time as HH:MM, from 00:00 to 24:00."},
    ),
]
AtLocation = Annotated[
    UUID | None, Meta(description="where it is; null is the clinic's own address")
]
Overnight = Annotated[bool, Meta(description="the end is on the next day")]
Capacity = Annotated[
    int,
    Meta(description=f"places at each start, beside each other; 1 to {CAPACITY_MAX}", examples=[1]),
]
SlotState = Literal["OPEN", "BLOCKED"]
MIDNIGHT = dt.time(0)


def wall_end(text: str, overnight: bool) -> tuple[dt.time, bool]:
    """Return the end of hours, and whether it is on the next day."""
    if text == "24:00":
        return MIDNIGHT, True
    return dt.time.fromisoformat(text), overnight


class SlotStateIn(In):
    status: SlotState
    reason: Reason = UNSET


class SlotsStateIn(In):
    """The state of every slot that overlaps `[from, to)`, both with an offset."""

    from_: dt.datetime
    to: dt.datetime
    status: SlotState
    reason: Reason = UNSET


class OpenSlotsIn(In):
    until: Annotated[
        dt.date | None, Meta(description="last day to open; the clinic's horizon when absent")
    ] = None
    reason: Text | None = None


class AvailabilityIn(In):
    """Hours either on weekdays or on one date."""

    doctor_id: UUID
    start_time: WallTime
    end_time: WallEnd
    slot_minutes: int
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7)] | None = None
    date: dt.date | None = None
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    overnight: Overnight = False
    location_id: AtLocation = None
    capacity: Capacity = 1
    reason: Text | None = None


class ChangeAvailabilityIn(In):
    """null removes `validFrom`, `validUntil` or `locationId`."""

    start_time: WallTime | UnsetType = UNSET
    end_time: WallEnd | UnsetType = UNSET
    overnight: Overnight | UnsetType = UNSET
    slot_minutes: int | UnsetType = UNSET
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] | UnsetType = UNSET
    valid_from: dt.date | UnsetType | None = UNSET
    valid_until: dt.date | UnsetType | None = UNSET
    location_id: AtLocation | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    reason: Reason = UNSET


class ExceptionIn(In):
    """A day off, a range removed (`remove`), or hours added (`add`)."""

    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None = None
    end_time: WallEnd | None = None
    slot_minutes: int | None = None
    overnight: Overnight = False
    location_id: AtLocation = None
    capacity: Capacity = 1
    reason: Text | None = None


class BlockedByOut(Out, omit_defaults=True):
    """A reason for which a time cannot be booked: `no_hours`, a `closure`, `leave` or a `block`."""

    kind: Literal["no_hours", "closure", "leave", "block"]
    id: Annotated[UUID | None, Meta(description="of the closure, leave or block; for staff")] = None
    name: Annotated[
        str | None,
        Meta(
            description="the closure's or holiday's name; of leave and blocks the reason, for staff"
        ),
    ] = None

    @classmethod
    def of(cls, by: Blocker) -> Self:
        kind: Any = by.kind.value
        return cls(kind, by.id, by.name)


class SlotOut(Out):
    id: UUID
    doctor_id: UUID
    doctor_name: str
    specialty: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    date: str
    time: str
    duration: int
    status: SlotState
    taken: Annotated[bool, Meta(description="whether an appointment occupies it")]
    location_id: AtLocation
    blocked_by: (
        Annotated[list[BlockedByOut], Meta(description="why it is blocked; absent when it is open")]
        | UnsetType
    ) = UNSET
    lane: (
        Annotated[
            int, Meta(description="which of the places beside each other; absent with `places`")
        ]
        | UnsetType
    ) = UNSET
    places: (
        Annotated[
            int,
            Meta(
                description="in a list of slots that may be booked: how many the doctor has free at"
                " this start; booking this one takes any of them"
            ),
        ]
        | UnsetType
    ) = UNSET

    @classmethod
    def of(cls, view: SlotView, zone: ZoneInfo) -> Self:
        return cls.named(view.slot, view.doctor_name, zone, view.places)

    @classmethod
    def explained(cls, view: ExplainedSlot, zone: ZoneInfo) -> Self:
        """Return the slot with what blocks it."""
        slot = cls.of(view.view, zone)
        if view.blocked_by:
            slot.blocked_by = [BlockedByOut.of(each) for each in view.blocked_by]
        return slot

    @classmethod
    def named(cls, slot: Slot, doctor_name: str, zone: ZoneInfo, places: int | None = None) -> Self:
        when = local_times(slot.starts_at, slot.ends_at, zone)
        status: Any = slot.state.value
        return cls(
            slot.id,
            slot.doctor_id,
            doctor_name,
            slot.specialty,
            *when,
            status,
            slot.taken,
            slot.location_id,
            lane=slot.lane if places is None else UNSET,
            places=UNSET if places is None else places,
        )


class SlotsChangedOut(Out, omit_defaults=True):
    """The slots as they are now, and the appointments ahead in slots that are blocked."""

    slots: list[SlotOut]
    appointments: list[AppointmentOut]
    note: Annotated[str | None, Meta(description="why no slot changed, when none did")] = None
    as_of: Annotated[
        dt.datetime | None, Meta(description="when a preview was made; absent otherwise")
    ] = None

    @classmethod
    def of(cls, changed: SlotsChanged, doctor_name: str, zone: ZoneInfo) -> Self:
        return cls(
            [SlotOut.named(slot, doctor_name, zone) for slot in changed.slots],
            [AppointmentOut.of(view) for view in changed.appointments],
            changed.note,
            changed.as_of,
        )


class CalendarChangeOut(Out):
    """A change that a worker carries out, doctor by doctor, the nearest days first. Until it is a
    doctor's turn, old slots can be booked; such appointments are `stranded` afterwards."""

    id: UUID
    action: str
    entity_id: UUID
    created_at: dt.datetime
    status: Literal["pending", "done"]
    from_: dt.date
    until: dt.date
    doctors: int
    doctors_done: int
    added: int
    retired: int
    blocked: int
    unblocked: int
    relocated: int

    @classmethod
    def of(cls, change: CalendarChange) -> Self:
        return cls(*change_values(change))


def change_values(change: CalendarChange) -> tuple[Any, ...]:
    """Return the values of a change's members on the wire."""
    counts = change.counts
    return (
        change.id,
        change.action,
        change.entity_id,
        change.created_at,
        "done" if change.is_done else "pending",
        change.first,
        change.last,
        change.doctors,
        change.doctors_done,
        counts.added,
        counts.retired,
        counts.blocked,
        counts.unblocked,
        counts.relocated,
    )


class SlotsOpenedOut(Out, omit_defaults=True):
    """What a change of the calendar does to slots, as numbers of slots. `stranded` are the
    appointments ahead, in the days concerned, that are not within open slots after the change,
    also those that were not before."""

    added: int
    retired: int
    blocked: int
    unblocked: int
    stranded: list[AppointmentOut]
    relocated: Annotated[int, Meta(description="slots that stay, at another location")] = 0
    note: Annotated[str | None, Meta(description="why nothing changes, when nothing does")] = None
    calendar_change: Annotated[
        CalendarChangeOut | None,
        Meta(
            description="with 202: the change that a worker carries out, since it concerns too many"
            " slots to wait for; the numbers are its progress"
        ),
    ] = None
    as_of: Annotated[
        dt.datetime | None, Meta(description="when a preview was made; absent otherwise")
    ] = None

    @classmethod
    def of(cls, effect: CalendarEffect) -> Self:
        counts = effect.counts
        return cls(
            counts.added,
            counts.retired,
            counts.blocked,
            counts.unblocked,
            [AppointmentOut.of(view) for view in effect.stranded],
            counts.relocated,
            effect.note,
            CalendarChangeOut.of(effect.change) if effect.change else None,
            effect.as_of,
        )


class AvailabilityOut(Out):
    id: UUID
    doctor_id: UUID
    start_time: WallTime
    end_time: WallEnd
    slot_minutes: int
    weekdays: list[Weekday] | None
    date: dt.date | None
    valid_from: dt.date | None
    valid_until: dt.date | None
    overnight: bool
    location_id: AtLocation
    capacity: int

    @classmethod
    def of(cls, hours: Availability) -> Self:
        return cls(*_hours(hours))


class AvailabilityChangedOut(AvailabilityOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[Availability]) -> Self:
        values = (*_hours(change.row), SlotsOpenedOut.of(change.effect))
        return cls(*values)


class ExceptionOut(Out):
    id: UUID
    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None
    end_time: WallEnd | None
    slot_minutes: int | None
    overnight: bool
    location_id: AtLocation
    capacity: int

    @classmethod
    def of(cls, exception: AvailabilityException) -> Self:
        return cls(*_exception(exception))


class ExceptionChangedOut(ExceptionOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[AvailabilityException]) -> Self:
        values = (*_exception(change.row), SlotsOpenedOut.of(change.effect))
        return cls(*values)


def _hours(hours: Availability) -> tuple[Any, ...]:
    return (
        hours.id,
        hours.doctor_id,
        f"{hours.start:%H:%M}",
        end_text(hours.end, overnight=hours.overnight),
        hours.slot_min,
        [WEEKDAYS[day - 1] for day in hours.weekdays] or None,
        hours.on_date,
        hours.valid_from,
        hours.valid_until,
        hours.overnight and hours.end != MIDNIGHT,
        hours.location_id,
        hours.capacity,
    )


def _exception(exception: AvailabilityException) -> tuple[Any, ...]:
    kind: Any = exception.kind.value.lower()
    end = exception.end
    return (
        exception.id,
        exception.doctor_id,
        exception.on_date,
        kind,
        f"{exception.start:%H:%M}" if exception.start is not None else None,
        None if end is None else end_text(end, overnight=exception.overnight),
        exception.slot_min,
        exception.overnight and end != MIDNIGHT,
        exception.location_id,
        exception.capacity,
    )


def _nearest(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the slots that could be booked instead as they are shown, in their clinic's zone, and
    the other facts."""
    others = {name: fact for name, fact in facts.items() if name != "zone"}
    return others | {"nearest": [SlotOut.of(view, facts["zone"]) for view in facts["nearest"]]}


def _blocked_by(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"blockedBy": [BlockedByOut.of(each) for each in facts["blockedBy"]]}


FACTS["nearest"] = _nearest
FACTS["blockedBy"] = _blocked_by

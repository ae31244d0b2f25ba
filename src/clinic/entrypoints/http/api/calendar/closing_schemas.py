"""Closures, leave, blocks and added places on the wire."""

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import CAPACITY_MAX, LANE_MAX
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.entrypoints.http.api.calendar.schemas import (
    AtLocation,
    SlotsOpenedOut,
    WallEnd,
    WallTime,
)
from clinic.entrypoints.http.api.schemas import Reason
from clinic.entrypoints.http.kernel.schemas import HOW, In, Out, Text
from clinic.usecases.calendar.change_calendar import CalendarChanged

Kind = Annotated[
    Literal["once", "yearly", "holidays"],
    Meta(description="once, on the same days of every year, or on a country's public holidays"),
]
FirstDay = Annotated[dt.date, Meta(description="first day")]
LastDay = Annotated[dt.date, Meta(description="last day, included; the first one when absent")]
Start = Annotated[WallTime, Meta(description="HH:mm on the first day; midnight when absent")]
End = Annotated[WallEnd, Meta(description="HH:mm on the last day; its end when absent")]
Instant = Annotated[
    dt.datetime,
    Meta(
        description="RFC 3339 with an offset",
        examples=["2026-11-23T09:00:00+01:00"],
        extra_json_schema={"format": "date-time"},
    ),
]
StaffReason = Annotated[
    Text, Meta(description="shown to staff, never to patients; kept in the audit trail")
]
TrailReason = Annotated[Text, Meta(description="kept in the audit trail")]
Country = Annotated[
    str,
    Meta(
        # Python's $ would let a line end pass.
        pattern=r"^[A-Z]{2}(?!\n)$",
        description="ISO 3166-1 code, such as DE",
        examples=["DE"],
        extra={HOW: "Write the country as two capital letters, such as DE."},
    ),
]
Subdivision = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9]{1,4}(?!\n)$",
        description="the part of an ISO 3166-2 code after the hyphen, such as BE of DE-BE",
        examples=["BE"],
        extra={
            HOW: "Write the subdivision as 1 to 4 capital letters or digits, such as BE of DE-BE."
        },
    ),
]
OpenOn = Annotated[
    tuple[dt.date, ...],
    Meta(max_length=100, description="days on which the clinic is open nonetheless"),
]

OnlyLocation = Annotated[
    UUID | None, Meta(description="the only location that it closes; null closes all")
]


def wall_time(text: str | None) -> dt.time | None:
    """Return the time on the wall clock; 24:00 is None, the end of the day."""
    return None if text in (None, "24:00") else dt.time.fromisoformat(text)


class ClosureIn(In):
    """Days on which the clinic is closed: `from` and `until`, or for kind `holidays` a `country`.
    It is one stretch of time, from `startTime` on the first day to `endTime` on the last."""

    name: Annotated[Text, Meta(description="patients see it")]
    kind: Kind = "once"
    from_: FirstDay | None = None
    until: LastDay | None = None
    start_time: Start | None = None
    end_time: End | None = None
    country: Country | None = None
    subdivision: Subdivision | None = None
    open_on: OpenOn = ()
    location_id: OnlyLocation = None
    reason: TrailReason | None = None


class ChangeClosureIn(In):
    """null removes a time."""

    name: Text | UnsetType = UNSET
    from_: FirstDay | UnsetType = UNSET
    until: LastDay | UnsetType = UNSET
    start_time: Start | UnsetType | None = UNSET
    end_time: End | UnsetType | None = UNSET
    open_on: OpenOn | UnsetType = UNSET
    reason: Reason = UNSET


class LeaveIn(In):
    """Days on which a doctor is away: one stretch of time, from `startTime` on the first day to
    `endTime` on the last."""

    doctor_id: UUID
    from_: FirstDay
    until: LastDay | None = None
    start_time: Start | None = None
    end_time: End | None = None
    reason: StaffReason | None = None


class ChangeLeaveIn(In):
    """null removes a time."""

    from_: FirstDay | UnsetType = UNSET
    until: LastDay | UnsetType = UNSET
    start_time: Start | UnsetType | None = UNSET
    end_time: End | UnsetType | None = UNSET
    reason: Reason = UNSET


class BlockIn(In):
    """A time `[from, to)` at which a doctor takes no bookings, opened or not yet."""

    doctor_id: UUID
    from_: Instant
    to: Instant
    lane: Annotated[
        int | None, Meta(description=f"block only this lane, 1 to {LANE_MAX}; all when absent")
    ] = None
    reason: StaffReason | None = None


class PlaceIn(In):
    """A slot `[from, to)` outside the doctor's hours, or beside slots of the hours as far as the
    clinic's `squeezeMax` allows; of 5 to 480 minutes."""

    doctor_id: UUID
    from_: Instant
    to: Instant
    location_id: AtLocation = None
    reason: StaffReason | None = None


class ClosureOut(Out):
    id: UUID
    name: str
    kind: Kind
    from_: FirstDay | None
    until: LastDay | None
    start_time: Start | None
    end_time: End | None
    country: str | None
    subdivision: str | None
    open_on: list[dt.date]
    location_id: OnlyLocation

    @classmethod
    def of(cls, closure: Closure) -> Self:
        return cls(*_closure(closure))


class ClosureChangedOut(ClosureOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[Closure]) -> Self:
        values = (*_closure(change.row), SlotsOpenedOut.of(change.effect))
        return cls(*values)


class LeaveOut(Out):
    id: UUID
    doctor_id: UUID
    from_: FirstDay
    until: LastDay
    start_time: Start | None
    end_time: End | None
    reason: str | None

    @classmethod
    def of(cls, leave: Leave) -> Self:
        return cls(*_leave(leave))


class LeaveChangedOut(LeaveOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[Leave]) -> Self:
        values = (*_leave(change.row), SlotsOpenedOut.of(change.effect))
        return cls(*values)


class BlockOut(Out):
    id: UUID
    doctor_id: UUID
    from_: Instant
    to: Instant
    lane: Annotated[int | None, Meta(description="the lane that it blocks; null blocks all")]
    reason: str | None

    @classmethod
    def of(cls, block: Block, zone: ZoneInfo) -> Self:
        return cls(*_block(block, zone))


class BlockChangedOut(BlockOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[Block], zone: ZoneInfo) -> Self:
        values = (*_block(change.row, zone), SlotsOpenedOut.of(change.effect))
        return cls(*values)


class PlaceOut(Out):
    id: UUID
    doctor_id: UUID
    from_: Instant
    to: Instant
    location_id: AtLocation
    lane: Annotated[
        int, Meta(description=f"1 outside the hours; beside them, one after {CAPACITY_MAX}")
    ]
    reason: str | None

    @classmethod
    def of(cls, place: AddedPlace, zone: ZoneInfo) -> Self:
        return cls(*_place(place, zone))


class PlaceChangedOut(PlaceOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[AddedPlace], zone: ZoneInfo) -> Self:
        values = (*_place(change.row, zone), SlotsOpenedOut.of(change.effect))
        return cls(*values)


def _closure(closure: Closure) -> tuple[Any, ...]:
    kind: Any = closure.kind.value.lower()
    return (
        closure.id,
        closure.name,
        kind,
        closure.first,
        closure.last,
        *_times(closure),
        closure.country,
        closure.subdivision,
        list(closure.open_on),
        closure.location_id,
    )


def _leave(leave: Leave) -> tuple[Any, ...]:
    return (leave.id, leave.doctor_id, leave.first, leave.last, *_times(leave), leave.reason)


def _block(block: Block, zone: ZoneInfo) -> tuple[Any, ...]:
    return (
        block.id,
        block.doctor_id,
        block.starts_at.astimezone(zone),
        block.ends_at.astimezone(zone),
        block.lane,
        block.reason,
    )


def _place(place: AddedPlace, zone: ZoneInfo) -> tuple[Any, ...]:
    return (
        place.id,
        place.doctor_id,
        place.starts_at.astimezone(zone),
        place.ends_at.astimezone(zone),
        place.location_id,
        place.lane,
        place.reason,
    )


def _times(of: Closure | Leave) -> tuple[str | None, str | None]:
    return (
        None if of.start is None else f"{of.start:%H:%M}",
        None if of.end is None else f"{of.end:%H:%M}",
    )

"""Slots, hours and exceptions on the wire."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.calendar.slots import Slot
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.schemas import Reason, local_times
from clinic.entrypoints.http.kernel.problems import FACTS
from clinic.entrypoints.http.kernel.schemas import In, Out, Text
from clinic.ports.calendars import SlotView
from clinic.usecases.calendar.block_slots import SlotsChanged
from clinic.usecases.calendar.change_hours import HoursChanged
from clinic.usecases.calendar.open_slots import Opened

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WallTime = Annotated[
    str,
    Meta(
        # Python's $ would let a line end pass.
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$",
        description="HH:mm on the clinic's wall clock",
        examples=["09:00"],
    ),
]
SlotState = Literal["OPEN", "BLOCKED"]


class SlotStateIn(In):
    status: SlotState
    reason: Reason = UNSET


class SlotsStateIn(In):
    """The state of every slot that overlaps `[from, to)`."""

    from_: dt.datetime
    to: dt.datetime
    status: SlotState
    reason: Reason = UNSET


class OpenSlotsIn(In):
    #: last day to open; the clinic's horizon when absent
    until: dt.date | None = None
    reason: Text | None = None


class AvailabilityIn(In):
    """Hours either on weekdays or on one date."""

    doctor_id: UUID
    start_time: WallTime
    end_time: WallTime
    slot_minutes: int
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7)] | None = None
    date: dt.date | None = None
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    reason: Text | None = None


class ChangeAvailabilityIn(In):
    """null removes `validFrom` or `validUntil`."""

    start_time: WallTime | UnsetType = UNSET
    end_time: WallTime | UnsetType = UNSET
    slot_minutes: int | UnsetType = UNSET
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] | UnsetType = UNSET
    valid_from: dt.date | UnsetType | None = UNSET
    valid_until: dt.date | UnsetType | None = UNSET
    reason: Reason = UNSET


class ExceptionIn(In):
    """A day off, a range removed (`remove`), or hours added (`add`)."""

    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None = None
    end_time: WallTime | None = None
    slot_minutes: int | None = None
    reason: Text | None = None


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
    #: an appointment occupies it
    taken: bool

    @classmethod
    def of(cls, view: SlotView, zone: ZoneInfo) -> Self:
        return cls.named(view.slot, view.doctor_name, zone)

    @classmethod
    def named(cls, slot: Slot, doctor_name: str, zone: ZoneInfo) -> Self:
        when = local_times(slot.starts_at, slot.ends_at, zone)
        status: Any = slot.state.value
        return cls(slot.id, slot.doctor_id, doctor_name, slot.specialty, *when, status, slot.taken)


class SlotsChangedOut(Out):
    """The slots as they are now, and the appointments in slots that are blocked."""

    slots: list[SlotOut]
    appointments: list[AppointmentOut]

    @classmethod
    def of(cls, changed: SlotsChanged, doctor_name: str, zone: ZoneInfo) -> Self:
        return cls(
            [SlotOut.named(slot, doctor_name, zone) for slot in changed.slots],
            [AppointmentOut.of(view) for view in changed.appointments],
        )


class SlotsOpenedOut(Out):
    """What opening changed; `stranded` are all appointments ahead that are not in open hours."""

    added: int
    retired: int
    stranded: list[AppointmentOut]

    @classmethod
    def of(cls, opened: Opened) -> Self:
        stranded = [AppointmentOut.of(view) for view in opened.stranded]
        return cls(opened.added, opened.retired, stranded)


class AvailabilityOut(Out):
    id: UUID
    doctor_id: UUID
    start_time: WallTime
    end_time: WallTime
    slot_minutes: int
    weekdays: list[Weekday] | None
    date: dt.date | None
    valid_from: dt.date | None
    valid_until: dt.date | None

    @classmethod
    def of(cls, hours: Availability) -> Self:
        return cls(*_hours(hours))


class AvailabilityChangedOut(AvailabilityOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: HoursChanged[Availability]) -> Self:
        values = (*_hours(change.hours), SlotsOpenedOut.of(change.opened))
        return cls(*values)


class ExceptionOut(Out):
    id: UUID
    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None
    end_time: WallTime | None
    slot_minutes: int | None

    @classmethod
    def of(cls, exception: AvailabilityException) -> Self:
        return cls(*_exception(exception))


class ExceptionChangedOut(ExceptionOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: HoursChanged[AvailabilityException]) -> Self:
        values = (*_exception(change.hours), SlotsOpenedOut.of(change.opened))
        return cls(*values)


def _hours(hours: Availability) -> tuple[Any, ...]:
    return (
        hours.id,
        hours.doctor_id,
        f"{hours.start:%H:%M}",
        f"{hours.end:%H:%M}",
        hours.slot_min,
        [WEEKDAYS[day - 1] for day in hours.weekdays] or None,
        hours.on_date,
        hours.valid_from,
        hours.valid_until,
    )


def _exception(exception: AvailabilityException) -> tuple[Any, ...]:
    kind: Any = exception.kind.value.lower()
    return (
        exception.id,
        exception.doctor_id,
        exception.on_date,
        kind,
        f"{exception.start:%H:%M}" if exception.start else None,
        f"{exception.end:%H:%M}" if exception.end else None,
        exception.slot_min,
    )


def _nearest(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the slots that could be booked instead as they are shown, in their clinic's zone."""
    zone = facts["zone"]
    return {"nearest": [SlotOut.of(view, zone) for view in facts["nearest"]]}


FACTS["nearest"] = _nearest

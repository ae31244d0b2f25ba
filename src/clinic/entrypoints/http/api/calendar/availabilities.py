"""Availabilities and their exceptions: a doctor's hours; the slots follow them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from clinic.domain.audit.audit import checked_reason
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.errors import (
    AvailabilityNotFound,
    AvailabilityOverlap,
    AvailabilityRemainder,
    DoctorNotFound,
    EndBeforeStart,
    ExceptionNotFound,
    HoursEmpty,
    LocationInactive,
    LocationNotFound,
    SlotOverlap,
    TooClose,
)
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.calendar.changing import (
    PREVIEWED,
    DeleteQuery,
    PreviewQuery,
    answer_change,
)
from clinic.entrypoints.http.api.calendar.schemas import (
    WEEKDAYS,
    AvailabilityChangedOut,
    AvailabilityIn,
    AvailabilityOut,
    ChangeAvailabilityIn,
    ExceptionChangedOut,
    ExceptionIn,
    ExceptionOut,
    Weekday,
    wall_end,
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, changes_in, given
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    change_availability,
    delete_availability,
    delete_exception,
    list_availabilities,
)
from clinic.usecases.context import Context

_TAG = "Availabilities"
_encode = msgspec.json.Encoder().encode

DayChanged = CalendarChanged[AvailabilityException]


#: refusals of what is at a location
AT_LOCATIONS = (LocationNotFound, LocationInactive, TooClose)


class HoursQuery(Struct, forbid_unknown_fields=True, frozen=True):
    doctor: UUID | None = None


def _time(text: str | None) -> time | None:
    return time.fromisoformat(text) if text is not None else None


def _days(names: tuple[Weekday, ...] | None) -> tuple[int, ...]:
    return tuple(WEEKDAYS.index(name) + 1 for name in names or ())


# --- hours ---------------------------------------------------------------------------------------


@endpoint(
    "GET",
    "/availabilities",
    tag=_TAG,
    summary="List hours",
    answers=ItemsOut[AvailabilityOut],
    needs=Operation.READ_CALENDAR,
    refuses=(DoctorNotFound,),
)
async def get_availabilities(call: RequestContext, query: HoursQuery) -> Reply:
    """Doctors see their own, the office everyone's."""
    hours, _ = await _hours_of(call, query.doctor)
    return Reply(200, _encode(ItemsOut([AvailabilityOut.of(one) for one in hours])))


@endpoint(
    "GET",
    "/availabilities/{availability_id}",
    tag=_TAG,
    summary="Read hours",
    answers=AvailabilityOut,
    needs=Operation.READ_CALENDAR,
    refuses=(AvailabilityNotFound,),
)
async def get_availability(call: RequestContext, availability_id: UUID) -> Reply:
    hours, _ = await _hours_of(call, None)
    for one in hours:
        if one.id == availability_id:
            return Reply(200, _encode(AvailabilityOut.of(one)))
    raise AvailabilityNotFound()


@endpoint(
    "POST",
    "/availabilities",
    tag=_TAG,
    summary="Add hours and open their slots",
    status=201,
    also=PREVIEWED,
    answers=AvailabilityChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(
        DoctorNotFound,
        AvailabilityOverlap,
        AvailabilityRemainder,
        EndBeforeStart,
        HoursEmpty,
        SlotOverlap,
        *AT_LOCATIONS,
    ),
)
async def post_availability(
    call: RequestContext, query: PreviewQuery, body: AvailabilityIn
) -> Reply:
    """Give `weekdays` or a `date`. The range is divided into slots of `slotMinutes` up to the
    clinic's horizon; it must be a whole number of them. With a `capacity`, so many patients can be
    booked at each start, such as for a group. Hours over midnight are `overnight`, such
    as 22:00 to 06:00; `endTime` 24:00 ends with the day."""
    end, overnight = wall_end(body.end_time, body.overnight)
    availability = Availability(
        call.services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        time.fromisoformat(body.start_time),
        end,
        body.slot_minutes,
        weekdays=_days(body.weekdays),
        on_date=body.date,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        overnight=overnight,
        location_id=body.location_id,
        capacity=body.capacity,
    )

    async def act(context: Context) -> CalendarChanged[Availability]:
        return await add_availability(context, availability, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        AvailabilityChangedOut.changed,
        preview=query.preview,
        created=_address,
        reason=body.reason,
    )


@endpoint(
    "PATCH",
    "/availabilities/{availability_id}",
    tag=_TAG,
    summary="Change hours; the slots follow",
    answers=AvailabilityChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(
        AvailabilityNotFound,
        AvailabilityOverlap,
        AvailabilityRemainder,
        EndBeforeStart,
        HoursEmpty,
        SlotOverlap,
        *AT_LOCATIONS,
    ),
)
async def patch_availability(
    call: RequestContext, availability_id: UUID, query: PreviewQuery, body: ChangeAvailabilityIn
) -> Reply:
    """Slots that no longer fit are retired; appointments that are not in open hours then, or for
    which there is no place any more, are `stranded`: they stay, and somebody should call the
    patient. Of a lower `capacity`, the places with an appointment stay first. At another location,
    slots and appointments keep their times and ids, and are counted as `relocated`."""
    changes = changes_in(body, ("valid_from", "valid_until", "location_id"))
    if body.start_time is not UNSET:
        changes["start"] = _time(body.start_time)
    if body.end_time is not UNSET:
        changes["end"], changes["overnight"] = wall_end(body.end_time, body.overnight is True)
    elif body.overnight is not UNSET:
        changes["overnight"] = body.overnight
    if body.slot_minutes is not UNSET:
        changes["slot_min"] = body.slot_minutes
    if body.capacity is not UNSET:
        changes["capacity"] = body.capacity
    if body.weekdays is not UNSET:
        changes["weekdays"] = _days(body.weekdays)

    async def act(context: Context) -> CalendarChanged[Availability]:
        return await change_availability(
            context,
            availability_id,
            lambda hours: replace(hours, **changes),
            preview=query.preview,
        )

    return await answer_change(
        call,
        body,
        act,
        AvailabilityChangedOut.changed,
        preview=query.preview,
        reason=given(body.reason),
    )


@endpoint(
    "DELETE",
    "/availabilities/{availability_id}",
    tag=_TAG,
    summary="Delete hours; their free slots are retired",
    answers=AvailabilityChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(AvailabilityNotFound,),
)
async def remove_availability(
    call: RequestContext, availability_id: UUID, query: DeleteQuery
) -> Reply:
    """Answers with the hours that were, and the `stranded` appointments in their slots."""
    reason = checked_reason(query.reason, "reason")

    async def act(context: Context) -> CalendarChanged[Availability]:
        return await delete_availability(context, availability_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        AvailabilityChangedOut.changed,
        preview=query.preview,
        reason=reason,
    )


# --- exceptions ----------------------------------------------------------------------------------


@endpoint(
    "GET",
    "/availability-exceptions",
    tag=_TAG,
    summary="List exceptions by date",
    answers=ItemsOut[ExceptionOut],
    needs=Operation.READ_CALENDAR,
    refuses=(DoctorNotFound,),
)
async def get_exceptions(call: RequestContext, query: HoursQuery) -> Reply:
    """Doctors see their own, the office everyone's."""
    _, exceptions = await _hours_of(call, query.doctor)
    return Reply(200, _encode(ItemsOut([ExceptionOut.of(one) for one in exceptions])))


@endpoint(
    "GET",
    "/availability-exceptions/{exception_id}",
    tag=_TAG,
    summary="Read an exception",
    answers=ExceptionOut,
    needs=Operation.READ_CALENDAR,
    refuses=(ExceptionNotFound,),
)
async def get_exception(call: RequestContext, exception_id: UUID) -> Reply:
    _, exceptions = await _hours_of(call, None)
    for one in exceptions:
        if one.id == exception_id:
            return Reply(200, _encode(ExceptionOut.of(one)))
    raise ExceptionNotFound()


@endpoint(
    "POST",
    "/availability-exceptions",
    tag=_TAG,
    summary="Remove or add hours on one day",
    status=201,
    also=PREVIEWED,
    answers=ExceptionChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(
        DoctorNotFound,
        AvailabilityOverlap,
        AvailabilityRemainder,
        EndBeforeStart,
        HoursEmpty,
        SlotOverlap,
        *AT_LOCATIONS,
    ),
)
async def post_exception(call: RequestContext, query: PreviewQuery, body: ExceptionIn) -> Reply:
    """`remove` takes a range, or the whole day when no times are given; `add` makes slots. Those of
    a day apply in the order in which they were entered, so hours can be added to a day off. Taking
    the same time off twice is refused."""
    end, overnight = None, body.overnight
    if body.end_time is not None:
        end, overnight = wall_end(body.end_time, body.overnight)
    exception = AvailabilityException(
        call.services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        body.date,
        ExceptionKind(body.kind.upper()),
        start=_time(body.start_time),
        end=end,
        slot_min=body.slot_minutes,
        overnight=overnight,
        location_id=body.location_id,
        capacity=body.capacity,
    )

    async def act(context: Context) -> DayChanged:
        return await add_exception(context, exception, preview=query.preview)

    return await answer_change(
        call,
        body,
        act,
        ExceptionChangedOut.changed,
        preview=query.preview,
        created=_exception_address,
        reason=body.reason,
    )


@endpoint(
    "DELETE",
    "/availability-exceptions/{exception_id}",
    tag=_TAG,
    summary="Take an exception back; the slots follow",
    answers=ExceptionChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.OPTIONAL,
    refuses=(ExceptionNotFound,),
)
async def remove_exception(call: RequestContext, exception_id: UUID, query: DeleteQuery) -> Reply:
    reason = checked_reason(query.reason, "reason")

    async def act(context: Context) -> DayChanged:
        return await delete_exception(context, exception_id, preview=query.preview)

    return await answer_change(
        call,
        query.content,
        act,
        ExceptionChangedOut.changed,
        preview=query.preview,
        reason=reason,
    )


def _address(hours: Availability) -> str:
    return f"/availabilities/{hours.id}"


def _exception_address(exception: AvailabilityException) -> str:
    return f"/availability-exceptions/{exception.id}"


async def _hours_of(
    call: RequestContext, doctor_id: UUID | None
) -> tuple[Sequence[Availability], Sequence[AvailabilityException]]:
    return await list_availabilities(call.context(), doctor_id=doctor_id)


ENDPOINTS = (
    get_availabilities,
    get_availability,
    post_availability,
    patch_availability,
    remove_availability,
    get_exceptions,
    get_exception,
    post_exception,
    remove_exception,
)

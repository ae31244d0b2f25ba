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
    SlotOverlap,
)
from clinic.domain.idempotency import Answer
from clinic.domain.permissions import Operation
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
)
from clinic.entrypoints.http.kernel.endpoint import KeyPolicy, endpoint
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut, Text, changes_in, given
from clinic.usecases.calendar.change_hours import (
    HoursChanged,
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

DayChanged = HoursChanged[AvailabilityException]


class HoursQuery(Struct, forbid_unknown_fields=True, frozen=True):
    doctor: UUID | None = None


class ReasonQuery(Struct, forbid_unknown_fields=True, frozen=True):
    reason: Text | None = None


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
    answers=AvailabilityChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(
        DoctorNotFound,
        AvailabilityOverlap,
        AvailabilityRemainder,
        EndBeforeStart,
        SlotOverlap,
    ),
)
async def post_availability(call: RequestContext, body: AvailabilityIn) -> Reply:
    """Give `weekdays` or a `date`. The range is divided into slots of `slotMinutes` up to the
    clinic's horizon; it must be a whole number of them."""
    services = call.services
    availability = Availability(
        services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        time.fromisoformat(body.start_time),
        time.fromisoformat(body.end_time),
        body.slot_minutes,
        weekdays=_days(body.weekdays),
        on_date=body.date,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
    )

    async def act(context: Context) -> HoursChanged[Availability]:
        return await add_availability(context, availability)

    return await answer_keyed(call, body, act, _added_hours, reason=body.reason)


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
        SlotOverlap,
    ),
)
async def patch_availability(
    call: RequestContext, availability_id: UUID, body: ChangeAvailabilityIn
) -> Reply:
    """Slots that no longer fit are retired; appointments that are not in open hours then are
    `stranded`: they stay, and somebody should call the patient."""
    changes = changes_in(body, ("valid_from", "valid_until"))
    if body.start_time is not UNSET:
        changes["start"] = _time(body.start_time)
    if body.end_time is not UNSET:
        changes["end"] = _time(body.end_time)
    if body.slot_minutes is not UNSET:
        changes["slot_min"] = body.slot_minutes
    if body.weekdays is not UNSET:
        changes["weekdays"] = _days(body.weekdays)

    async def act(context: Context) -> HoursChanged[Availability]:
        return await change_availability(
            context, availability_id, lambda hours: replace(hours, **changes)
        )

    return await answer_keyed(
        call, body, act, _changed_hours, required=False, reason=given(body.reason)
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
    call: RequestContext, availability_id: UUID, query: ReasonQuery
) -> Reply:
    """Answers with the hours that were, and the `stranded` appointments in their slots."""
    reason = checked_reason(query.reason, "reason")

    async def act(context: Context) -> HoursChanged[Availability]:
        return await delete_availability(context, availability_id)

    return await answer_keyed(call, query, act, _changed_hours, required=False, reason=reason)


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
    answers=ExceptionChangedOut,
    needs=Operation.CHANGE_CALENDAR,
    key=KeyPolicy.REQUIRED,
    headers=("Location",),
    refuses=(
        DoctorNotFound,
        AvailabilityOverlap,
        AvailabilityRemainder,
        EndBeforeStart,
        SlotOverlap,
    ),
)
async def post_exception(call: RequestContext, body: ExceptionIn) -> Reply:
    """`remove` takes a range, or the whole day when no times are given; `add` makes slots. Those of
    a day apply in the order in which they were entered, so hours can be added to a day off. Taking
    the same time off twice is refused."""
    services = call.services
    exception = AvailabilityException(
        services.new_id(),
        call.actor.clinic_id,
        body.doctor_id,
        body.date,
        ExceptionKind(body.kind.upper()),
        start=_time(body.start_time),
        end=_time(body.end_time),
        slot_min=body.slot_minutes,
    )

    async def act(context: Context) -> DayChanged:
        return await add_exception(context, exception)

    return await answer_keyed(call, body, act, _added_exception, reason=body.reason)


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
async def remove_exception(call: RequestContext, exception_id: UUID, query: ReasonQuery) -> Reply:
    reason = checked_reason(query.reason, "reason")

    async def act(context: Context) -> DayChanged:
        return await delete_exception(context, exception_id)

    return await answer_keyed(call, query, act, _changed_exception, required=False, reason=reason)


def _added_hours(change: HoursChanged[Availability]) -> Answer:
    body = _encode(AvailabilityChangedOut.changed(change))
    return Answer(201, body, f"/availabilities/{change.hours.id}")


def _changed_hours(change: HoursChanged[Availability]) -> Answer:
    return Answer(200, _encode(AvailabilityChangedOut.changed(change)))


def _added_exception(change: HoursChanged[AvailabilityException]) -> Answer:
    body = _encode(ExceptionChangedOut.changed(change))
    return Answer(201, body, f"/availability-exceptions/{change.hours.id}")


def _changed_exception(change: HoursChanged[AvailabilityException]) -> Answer:
    return Answer(200, _encode(ExceptionChangedOut.changed(change)))


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

"""Add a single slot beside a doctor's hours, and take it back; the slots follow at once."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from clinic.domain.calendar.added_places import AddedPlace, lane_beside
from clinic.domain.calendar.availability import CAPACITY_MAX
from clinic.domain.calendar.closings import words_of
from clinic.domain.calendar.locations import check_location
from clinic.domain.calendar.plan import CalendarInputs, blocked_by, plan
from clinic.domain.calendar.travel import check_travel
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AddedPlaceNotFound,
    AlreadyEntered,
    BlockedBy,
    SlotOverlap,
    TimeInPast,
)
from clinic.domain.permissions import Operation, permit
from clinic.usecases.calendar.blocks import days_of
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.calendar.change_hours import whose_calendar
from clinic.usecases.context import Context


async def add_place(
    context: Context, place: AddedPlace, *, preview: bool = False
) -> CalendarChanged[AddedPlace]:
    """Add a slot outside the doctor's hours; it can be booked at once, or when its day is opened.
    In a time in which there are slots, it gets a lane beside them, as far as the clinic allows.

    Raises DoctorNotFound, PermissionDenied, InvalidInput, LocationNotFound, LocationInactive,
    TimeInPast, AlreadyEntered, SlotOverlap for a time in which there are slots and no place beside
    them is allowed, TooClose, and BlockedBy for one that is closed or in which the doctor does not
    work here.
    """

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[AddedPlace]:
        check_location(place.location_id, inputs.locations)
        new = _in_lane(context, clinic, inputs, replace(place.checked(), lane=1))
        after = replace(inputs, places=(*inputs.places, new))
        today = clinic.local_date(context.clock.now())
        check_travel(new, after, clinic.policy.travel_min, today)
        if closed := blocked_by(after, new.interval, new.lane, new.location_id):
            why = words_of(closed, no_hours="the doctor does not work here then")
            raise BlockedBy(f"No slot can be added in this time: {why}.", blockedBy=closed)
        return Decision(
            new,
            after,
            lambda unit: unit.closings.add(new),
            days_of(clinic, new.interval),
        )

    deed = Deed("add_place", "added_place", place.id)
    return await change_doctor(context, place.doctor_id, deed, decide, preview=preview)


async def delete_place(
    context: Context, place_id: UUID, *, preview: bool = False
) -> CalendarChanged[AddedPlace]:
    """Take an added slot back; an appointment in it stays, and is stranded.

    Raises PermissionDenied, AddedPlaceNotFound.
    """
    known = await read_place(context, place_id)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[AddedPlace]:
        # The inputs hold none that is over, which may be deleted as well.
        left = tuple(one for one in inputs.places if one.id != place_id)
        return Decision(
            known,
            replace(inputs, places=left),
            lambda unit: unit.closings.delete(known),
            days_of(clinic, known.interval),
        )

    deed = Deed("delete_place", "added_place", place_id)
    return await change_doctor(context, known.doctor_id, deed, decide, preview=preview)


async def list_places(context: Context, *, doctor_id: UUID | None = None) -> Sequence[AddedPlace]:
    """Return the added slots that are not over, in the order in which they were entered: doctors
    see their own, the office everyone's.

    Raises PermissionDenied, DoctorNotFound.
    """
    doctor_id = await whose_calendar(context, doctor_id)
    return await context.store.closings.places(
        context.actor.clinic_id, doctor_id, since=context.clock.now()
    )


async def read_place(context: Context, place_id: UUID) -> AddedPlace:
    """Return one added slot. Raises PermissionDenied, AddedPlaceNotFound."""
    permit(context.actor, Operation.CHANGE_CALENDAR)
    doctor_id = await whose_calendar(context, None)
    # Not from all of them: those that are over are kept, too.
    found = await context.store.closings.place(context.actor.clinic_id, place_id)
    if found is None or doctor_id not in (None, found.doctor_id):
        raise AddedPlaceNotFound()
    return found


def _in_lane(
    context: Context, clinic: Clinic, inputs: CalendarInputs, place: AddedPlace
) -> AddedPlace:
    """Return the place in the lane in which it can be added. Raises TimeInPast, AlreadyEntered,
    SlotOverlap."""
    if place.starts_at <= context.clock.now():
        raise TimeInPast("This time has already begun.", pointer="/from")
    most = clinic.policy.squeeze_max
    for other in inputs.places:
        if not most and other.interval.overlaps(place.interval):
            known = "There is already an added place in this time."
            raise AlreadyEntered(known, placeId=str(other.id))
    planned = plan(inputs, *days_of(clinic, place.interval))
    if not any(
        slot.interval.overlaps(place.interval) for slot in planned if slot.lane <= CAPACITY_MAX
    ):
        return place
    if not most:
        raise SlotOverlap()
    lane = lane_beside(inputs.places, place.interval, at_one_time_max=most)
    if lane is None:
        raise SlotOverlap(
            f"There are {most} places beside the doctor's hours in this time already, as many as"
            " the clinic allows."
        )
    return replace(place, lane=lane)

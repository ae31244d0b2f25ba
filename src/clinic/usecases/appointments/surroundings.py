"""Reading what is around the place of an appointment, inside a unit of work or outside."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.fitting import others_at
from clinic.domain.appointments.rules import Surroundings
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic
from clinic.usecases.calendar.inputs import Reads, closed_times, in_lane
from clinic.usecases.context import Context


async def surroundings(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    of: Slot | Appointment,
    span: Interval,
    *,
    has_buffers: bool,
) -> Surroundings:
    """Return the slots of the doctor and lane that overlap the span; with buffers, which may reach
    beyond slots and into those that are taken, busy times of the lane, too, and what is closed
    where it begins."""
    doctor_id, lane = of.doctor_id, of.lane
    start, end = span.starts_at, span.ends_at
    lanes = await reads.calendars.slots_between(clinic.id, [doctor_id], start, end)
    slots = [slot for slot in lanes if slot.lane == lane]
    if not has_buffers:
        return Surroundings(slots)
    closed = await closed_times(context, reads, clinic, [doctor_id], span)
    busy = await reads.appointments.busy_times(clinic.id, [doctor_id], start, end)
    location_id = next((each.location_id for each in slots if _begins(each, of.starts_at)), None)
    closed_here = in_lane(closed.get(doctor_id, ()), lane, location_id)
    return Surroundings(slots, closed_here, busy.get((doctor_id, lane), ()))


def _begins(slot: Slot, starts_at: datetime) -> bool:
    return slot.starts_at == starts_at and slot.state is not SlotState.RETIRED


async def free_beside(
    reads: Reads, slot: Slot, patient_id: UUID, *, last: Collection[UUID] = ()
) -> list[Slot]:
    """Return the free slots that can be had in place of this one, in other lanes of its start, in
    the order in which the patient tries them; those of `last` at the end."""
    near = await reads.calendars.slots_between(
        slot.clinic_id, [slot.doctor_id], slot.starts_at, slot.ends_at
    )
    free = [other for other in others_at(slot, near) if other.is_free]
    return sorted(in_turn_for(patient_id, free), key=lambda other: other.id in last)


def in_turn_for(patient_id: UUID, slots: Iterable[Slot]) -> list[Slot]:
    """Return the slots in an order that differs from patient to patient, so that not all who ask at
    once try the same one first."""
    return sorted(slots, key=lambda slot: slot.id.int ^ patient_id.int)

"""Whether an appointment fits into the doctor's slots."""

from collections.abc import Iterable

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.plan import is_covered
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import Conflict, DoesNotFit, SlotBlocked, SlotTaken


def begins_in(appointment: Appointment, slot: Slot | None) -> bool:
    """Return whether the appointment's doctor and start are those of the slot."""
    return slot is not None and (
        (appointment.clinic_id, appointment.slot_id, appointment.doctor_id, appointment.starts_at)
        == (slot.clinic_id, slot.id, slot.doctor_id, slot.starts_at)
    )


def beneath(appointment: Appointment, slots: Iterable[Slot]) -> list[Slot]:
    """Return the slots on the doctor's calendar that the appointment takes, earliest first: those
    that its busy time overlaps."""
    busy = appointment.busy
    found = [
        slot
        for slot in slots
        if slot.doctor_id == appointment.doctor_id
        and slot.state is not SlotState.RETIRED
        and busy.overlaps(slot.interval)
    ]
    return sorted(found, key=lambda slot: slot.starts_at)


def obstacles(appointment: Appointment, slots: Iterable[Slot]) -> list[type[Conflict]]:
    """Return why an appointment does not fit among the doctor's slots; empty when it does.

    Its visible time needs open and free slots without a gap. Its buffers may reach where there is
    no slot, and into a slot that is taken: that two busy times do not meet, the store decides. They
    may not reach into a blocked one.
    """
    taken = beneath(appointment, slots)
    under = [slot for slot in taken if appointment.visible.overlaps(slot.interval)]
    found: list[type[Conflict]] = []
    if any(slot.state is SlotState.BLOCKED for slot in taken):
        found.append(SlotBlocked)
    if any(slot.taken for slot in under):
        found.append(SlotTaken)
    if not is_covered(appointment.visible, [slot.interval for slot in under]):
        found.append(DoesNotFit)
    return found

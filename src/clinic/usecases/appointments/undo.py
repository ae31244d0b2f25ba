"""Take a status back: an arrival, an end, an absence or a cancellation by mistake."""

from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Change, Status
from clinic.domain.appointments.undoing import decide_undo, earlier_status
from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Scope
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context


async def keep_place_free(unit: UnitOfWork, scope: Scope, appointment_id: UUID) -> bool | None:
    """Before a cancelled appointment is locked to be booked again, keep its patient from being
    disabled and, if it has buffers, its doctor from getting slots where they reach.

    Returns whether the patient can be booked for; None when the appointment is not cancelled.
    """
    seen = await unit.appointments.get(scope, appointment_id)
    if seen is None or seen.appointment.status is not Status.CANCELLED:
        return None
    it = seen.appointment
    if it.before_min or it.after_min:
        await unit.calendars.lock_doctor(it.clinic_id, it.doctor_id)
    return await unit.people.share_patient(it.clinic_id, it.patient_id)


async def undone(
    context: Context, unit: UnitOfWork, clinic: Clinic, before: Appointment, to: Status
) -> Change:
    """Return the change that takes the locked appointment's arrival, end or absence back. Raises as
    `decide_undo` does."""
    trail = await unit.appointments.trail(Scope(before.clinic_id), before.id)
    return decide_undo(
        before,
        to,
        earlier_status(trail),
        actor=context.actor,
        clinic=clinic,
        reason=context.reason,
        now=context.clock.now(),
        new_id=context.new_id,
    )

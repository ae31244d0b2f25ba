"""Set the last day on which a doctor works at the clinic; the slots follow."""

from dataclasses import replace
from datetime import date
from uuid import UUID

from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic, checked_date
from clinic.domain.errors import DoctorNotFound
from clinic.domain.people.people import Doctor
from clinic.domain.permissions import Operation, permit
from clinic.usecases.calendar.change_calendar import (
    CalendarChanged,
    Decision,
    Deed,
    change_doctor,
)
from clinic.usecases.context import Context


async def set_last_day(
    context: Context, doctor_id: UUID, last_day: date | None, *, preview: bool = False
) -> CalendarChanged[Doctor]:
    """Set the last day on which the doctor works here, or remove it: no hours begin after that day,
    but a night that begins on it is kept. Appointments after it stay, and are stranded.

    Raises PermissionDenied, DoctorNotFound, DatetimeOutOfRange.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)
    if last_day is not None:
        checked_date(last_day, "/lastDay")
    doctor = await context.store.people.doctor(context.actor.clinic_id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    after = replace(doctor, last_day=last_day)

    def decide(clinic: Clinic, inputs: CalendarInputs) -> Decision[Doctor]:
        if inputs.last_day == last_day:
            return Decision(after, inputs, note="This is already the last day.")
        return Decision(
            after,
            replace(inputs, last_day=last_day),
            lambda unit: unit.calendars.set_last_day(clinic.id, doctor_id, last_day),
        )

    deed = Deed("change_last_day", "doctor", doctor_id)
    return await change_doctor(context, doctor_id, deed, decide, preview=preview)

"""Where an appointment fits among a doctor's slots."""

from dataclasses import replace
from datetime import timedelta

from clinic.domain.appointments.fitting import obstacles
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import DoesNotFit
from clinic.domain.people.people import Doctor
from clinic.testing.builders import MORNING, a_booking, a_clinic, a_patient, a_slot, new_id


def test_nothing_begins_in_the_middle_of_a_planned_slot() -> None:
    clinic = a_clinic()
    doctor = Doctor(clinic.id, new_id(), "Dr Grace Hill", "General")
    planned = a_slot(doctor, MORNING, minutes=45)
    former = a_slot(doctor, MORNING + timedelta(minutes=20), minutes=20)
    appointment = a_booking(clinic, former, a_patient(clinic)).appointment

    found = obstacles(appointment, [planned, replace(former, state=SlotState.RETIRED)])

    assert found == [DoesNotFit]

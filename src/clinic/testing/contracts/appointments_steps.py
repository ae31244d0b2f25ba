"""What the contracts of appointments have in common."""

from clinic.domain.appointments.appointments import (
    Appointment,
    AppointmentView,
)
from clinic.domain.calendar.slots import Slot
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    World,
    seed_booking,
)


async def book_place(store: Store, world: World, slot: int = 0, patient: int = 0) -> Appointment:
    return await seed_booking(store, world.clinic, world.slots[slot], world.patients[patient])


async def stored_slot(store: Store, slot: Slot) -> Slot:
    found = await store.calendars.slot(slot.clinic_id, slot.id)
    assert found is not None
    return found.slot


async def listed_appointments(
    store: Store, query: AppointmentQuery, page: PageRequest | None = None
) -> list[Appointment]:
    found = await store.appointments.list(
        system_actor(query.scope.clinic_id), query, page or PageRequest()
    )
    return [view.appointment for view in found]


def whole_clinic(world: World) -> Scope:
    return Scope(world.clinic.id)


def view_of(world: World, appointment: Appointment) -> AppointmentView:
    names = {patient.id: patient.name for patient in world.patients}
    names |= {doctor.id: doctor.name for doctor in (world.doctor, world.colleague)}
    return AppointmentView(
        appointment,
        names[appointment.doctor_id],
        names[appointment.patient_id],
        world.clinic.zone,
    )

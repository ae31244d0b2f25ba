"""Bookings to add, and what can be wrong with them, for the contracts of Appointments.add."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from clinic.domain.appointments.appointments import Appointment, Booking, Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import (
    AlreadyExists,
    BookingConflict,
    BookingsRefused,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    PatientBusy,
    PatientDisabled,
    PatientNotFound,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
)
from clinic.domain.people.people import Role, User
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_patient,
    a_request,
    a_slot,
    a_stored_answer,
    seed_state,
)
from clinic.testing.soundness import every_appointment

#: a fault of a booking: prepares the store and returns a booking that has it
Fault = Callable[[Store, World], Awaitable[Booking]]


async def add(store: Store, *bookings: Booking) -> None:
    """Add the bookings in a separate unit of work."""
    async with store.begin() as unit:
        await unit.appointments.add(bookings)
        await unit.commit()


async def conflicts_of(store: Store, *bookings: Booking) -> Sequence[BookingConflict]:
    """Return why the bookings cannot be added."""
    async with store.begin() as unit:
        return await conflicts_in(unit, *bookings)


async def conflicts_in(unit: UnitOfWork, *bookings: Booking) -> Sequence[BookingConflict]:
    """Return why the bookings cannot be added in this unit, which may continue."""
    with pytest.raises(Conflict) as refused:
        await unit.appointments.add(bookings)
    assert isinstance(refused.value, BookingsRefused) == (len(bookings) > 1)
    return refused.value.conflicts


def book(world: World, slot: int = 0, patient: int = 0, *, colleague: bool = False) -> Booking:
    """Return a booking of the doctor's or the colleague's slot at this place."""
    slots = world.colleague_slots if colleague else world.slots
    return a_booking(world.clinic, slots[slot], world.patients[patient])


def keyed(world: World, booking: Booking, key: str = "a-key") -> Booking:
    """Return the booking with an answer for this key."""
    request = a_request(world.clinic, world.patients[0].id, key=key)
    return replace(booking, stored=a_stored_answer(request))


def in_status(booking: Booking, status: Status) -> Booking:
    """Return the booking with its appointment in this status."""
    return replace(
        booking,
        appointment=replace(booking.appointment, status=status),
        audit=replace(booking.audit, to_status=status),
    )


def why(
    place: int, booking: Booking, error: type[ClinicError], other: Booking | None = None
) -> BookingConflict:
    """Return the conflict of the booking at this place."""
    other_id = other.appointment.id if other else None
    return BookingConflict(place, booking.appointment.id, error, other_id)


async def ids_of(store: Store, world: World) -> list[object]:
    """Return the ids of the clinic's appointments, earliest first."""
    return [view.appointment.id for view in await every_appointment(store, world.clinic.id)]


# --- what can be wrong with a booking -----------------------------------------------------------


async def slot_taken(store: Store, world: World) -> Booking:
    await store.desk.reserve(book(world, 0, 1))
    return book(world, 0, 0)


async def slot_blocked(store: Store, world: World) -> Booking:
    await seed_state(store, SlotState.BLOCKED, world.slots[0])
    return book(world)


async def slot_retired(store: Store, world: World) -> Booking:
    await seed_state(store, SlotState.RETIRED, world.slots[0])
    return book(world)


async def slot_not_there(_store: Store, world: World) -> Booking:
    return a_booking(world.clinic, a_slot(world.doctor), world.patients[0])


async def slot_elsewhere(_store: Store, world: World) -> Booking:
    booking = book(world)
    earlier = booking.appointment.starts_at - timedelta(minutes=5)
    return replace(booking, appointment=replace(booking.appointment, starts_at=earlier))


async def slot_of_another_doctor(_store: Store, world: World) -> Booking:
    booking = book(world)
    return replace(booking, appointment=replace(booking.appointment, doctor_id=world.colleague.id))


async def patient_busy(store: Store, world: World) -> Booking:
    await store.desk.reserve(book(world, 0, 0, colleague=True))
    return book(world)


async def patient_disabled(store: Store, world: World) -> Booking:
    async with store.begin() as unit:
        await unit.accounts.set_disabled_at(world.patients[0].id, NOW)
        await unit.commit()
    return book(world)


async def patient_gone(store: Store, world: World) -> Booking:
    patient = world.patients[0]
    async with store.begin() as unit:
        user = User(patient.id, patient.name, patient.email, Role.PATIENT)
        await unit.memberships.end(world.clinic.id, user, NOW)
        await unit.commit()
    return book(world)


async def patient_not_there(_store: Store, world: World) -> Booking:
    return a_booking(world.clinic, world.slots[0], a_patient(world.clinic))


async def key_answered(store: Store, world: World) -> Booking:
    await store.desk.reserve(keyed(world, book(world, 1, 1)))
    return keyed(world, book(world))


async def id_used(store: Store, world: World) -> Booking:
    stored = book(world, 1, 1)
    await store.desk.reserve(stored)
    booking = book(world)
    return replace(booking, appointment=replace(booking.appointment, id=stored.appointment.id))


#: the fault, the error that `reserve` and `add` raise for it, the error in `conflicts`
FAULTS: Sequence[tuple[Fault, type[ClinicError], type[ClinicError]]] = (
    (slot_taken, SlotTaken, SlotTaken),
    (slot_blocked, SlotTaken, SlotBlocked),
    (slot_retired, SlotTaken, SlotNotFound),
    (slot_not_there, SlotTaken, SlotNotFound),
    (slot_elsewhere, SlotTaken, SlotNotFound),
    (slot_of_another_doctor, SlotTaken, SlotNotFound),
    (patient_busy, PatientBusy, PatientBusy),
    (patient_disabled, SlotTaken, PatientDisabled),
    (patient_gone, SlotTaken, PatientDisabled),
    (patient_not_there, SlotTaken, PatientNotFound),
    (key_answered, IdempotencyConflict, IdempotencyConflict),
    (id_used, AlreadyExists, AlreadyExists),
)
each_fault = pytest.mark.parametrize(
    ("fault", "raised", "named"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS]
)
OCCUPYING_ONES = [status for status in Status if status.occupies]
RESTING = [status for status in Status if not status.occupies]


def renamed(booking: Booking, other: Booking) -> Appointment:
    """Return the booking's appointment under the id of another."""
    return replace(booking.appointment, id=other.appointment.id)

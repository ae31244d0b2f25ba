"""New appointments in memory, added in a unit of work or booked in a transaction of their own."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from clinic.adapters.memory.answers import answer_key
from clinic.adapters.memory.constraints import (
    busy,
    in_lane,
    occupants,
    on_calendar,
    rivals_for_patient,
    rivals_for_standing,
)
from clinic.adapters.memory.people import is_patient_open
from clinic.adapters.memory.resources import hold_resources
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.appointments.appointments import Appointment, Booking
from clinic.domain.appointments.conflicts import (
    Refused,
    Seen,
    clinic_of,
    in_lock_order,
    key_of,
    refusal,
)
from clinic.domain.appointments.fitting import begins_in, obstacles
from clinic.domain.errors import (
    IdempotencyConflict,
    NoResourceFree,
    PatientBusy,
    PatientDisabled,
    SlotTaken,
)


async def add_bookings(transaction: Transaction, bookings: Sequence[Booking]) -> None:
    """Add the bookings as Appointments.add specifies, locking and waiting in PostgreSQL's order."""
    if not bookings:
        return
    clinic_id = clinic_of(bookings)
    savepoint = transaction.savepoint()
    refused = await _lock(transaction, clinic_id, bookings)
    refused = refused or await _put_appointments(transaction, bookings)
    refused, lacking = await _hold_resources(transaction, bookings, refused)
    refused = refused or await _put_answers(transaction, bookings)
    if refused:
        transaction.roll_back_to(savepoint)
        seen = _seen(transaction.tables, clinic_id, bookings)
        raise refusal(bookings, refused, seen, lacking)
    tables = transaction.tables
    for booking in bookings:
        tables.audit.put(booking.audit.id, booking.audit)
        for message in booking.messages:
            tables.messages.put(message.id, message)


async def _lock(
    transaction: Transaction, clinic_id: UUID, bookings: Sequence[Booking]
) -> list[Refused]:
    """Lock slots by id; return the bookings whose patient is not open or whose slot is not free."""
    tables = transaction.tables
    appointments = [booking.appointment for booking in bookings]
    for appointment in sorted(appointments, key=lambda one: one.patient_id):
        await _wait_for_standing(transaction, appointment)
    # PostgreSQL checks that a slot is free before it waits for the lock, and again once it has it.
    places = [place for place, each in enumerate(bookings) if _fits(tables, each)]
    wanted = {appointments[place].slot_id for place in places}
    wanted |= {
        slot.id
        for place in places
        if bookings[place].takes is not None
        for slot in on_calendar(tables, appointments[place])
    }
    for slot_id in sorted(wanted):
        await transaction.lock(("slot", clinic_id, slot_id))
    fit = {place for place in places if _fits(tables, bookings[place])}
    refused: list[Refused] = []
    for place, appointment in enumerate(appointments):
        if not is_patient_open(tables, clinic_id, appointment.patient_id):
            refused.append((place, PatientDisabled))
        if place not in fit:
            refused.append((place, SlotTaken))
    return refused


def _fits(tables: Tables, booking: Booking) -> bool:
    """Return whether the slot still matches the appointment, which fits if it has to."""
    appointment = booking.appointment
    slot = tables.slots.get((appointment.clinic_id, appointment.slot_id))
    if not begins_in(appointment, slot):
        return False
    return booking.takes is None or not obstacles(appointment, on_calendar(tables, appointment))


async def _put_appointments(transaction: Transaction, bookings: Sequence[Booking]) -> list[Refused]:
    """Write the appointments that conflict with no other, and return the rest."""
    tables = transaction.tables
    refused: list[Refused] = []
    for place in in_lock_order(bookings):
        booking = bookings[place]
        appointment = booking.appointment
        key = (appointment.clinic_id, appointment.id)
        slot_key = (appointment.clinic_id, appointment.slot_id)
        await transaction.lock(("appointment", *key))
        is_rival = booking.takes is not None
        if tables.appointments.get(key) is not None or (
            is_rival and (occupants(tables, slot_key) or any(in_lane(tables, appointment)))
        ):
            refused.append((place, PatientBusy))
            continue
        await _wait_for_patient(transaction, booking)
        if is_rival and any(busy(tables, appointment)):
            refused.append((place, PatientBusy))
            continue
        if not is_patient_open(tables, appointment.clinic_id, appointment.patient_id):
            refused.append((place, PatientDisabled))
            continue
        tables.appointments.put(key, appointment)
        if is_rival:
            for slot in on_calendar(tables, appointment):
                tables.slots.put((slot.clinic_id, slot.id), replace(slot, taken=True))
    return refused


async def _hold_resources(
    transaction: Transaction, bookings: Sequence[Booking], refused: list[Refused]
) -> tuple[list[Refused], str | None]:
    """Give the appointments what they need, unless some are `refused` already; return those that
    are refused now, and the kind of which there was none."""
    if refused:
        return refused, None
    wanted = [(each.appointment, each.needs) for each in bookings if each.takes is not None]
    lacking = {one.id: kind for one, kind in await hold_resources(transaction, wanted, {})}
    places = [place for place, each in enumerate(bookings) if each.appointment.id in lacking]
    return [(place, NoResourceFree) for place in places], next(iter(lacking.values()), None)


async def _put_answers(transaction: Transaction, bookings: Sequence[Booking]) -> list[Refused]:
    """Write the answers whose key is free, and return the other bookings."""
    tables = transaction.tables
    refused: list[Refused] = []
    answered = [
        (answer_key(booking.stored.request), place, booking.stored)
        for place, booking in enumerate(bookings)
        if booking.stored is not None
    ]
    for key, place, stored in sorted(answered, key=lambda one: one[0]):
        await transaction.lock(("answer", *key))
        if tables.answers.get(key) is not None:
            refused.append((place, IdempotencyConflict))
        else:
            tables.answers.put(key, stored)
    return refused


async def _wait_for_standing(transaction: Transaction, wanted: Appointment) -> bool:
    """Wait for transactions that disable the patient or end the membership; return whether any
    did."""
    owner = (wanted.clinic_id, wanted.patient_id)
    return await transaction.wait_until_no_rival(lambda other: rivals_for_standing(other, *owner))


async def _wait_for_patient(transaction: Transaction, booking: Booking) -> None:
    """Wait until no other transaction changes the patient's standing or, if the booking takes a
    slot, the patient's time.

    PostgreSQL holds its lock on the patient throughout.
    """
    wanted = [booking.appointment] if booking.takes else []
    waited = True
    while waited:
        waited = await transaction.wait_until_no_rival(
            lambda other: rivals_for_patient(other, wanted)
        )
        waited = await _wait_for_standing(transaction, booking.appointment) or waited


def _seen(tables: Tables, clinic_id: UUID, bookings: Sequence[Booking]) -> Seen:
    """Return what the bookings may conflict with."""
    wanted = [booking.appointment for booking in bookings]
    keys = {each for each in map(key_of, bookings) if each is not None}
    slots = (tables.slots.get((clinic_id, one.slot_id)) for one in wanted)
    own = (tables.appointments.get((clinic_id, one.id)) for one in wanted)
    found = {one.id: one for one in own if one is not None}
    for one in wanted:
        if one.status.occupies:
            slot_key = (clinic_id, one.slot_id)
            rivals = (*occupants(tables, slot_key), *busy(tables, one), *in_lane(tables, one))
            found.update((other.id, other) for other in rivals)
    own_slots = {slot.id: slot for slot in slots if slot is not None}
    taken = {slot.id: slot for one in wanted for slot in on_calendar(tables, one)}
    return Seen(
        slots=own_slots | taken,
        patients={
            one.patient_id: is_patient_open(tables, clinic_id, one.patient_id)
            for one in wanted
            if tables.patients.get((clinic_id, one.patient_id)) is not None
        },
        appointments=[*found.values()],
        answered={key for key in keys if tables.answers.get((clinic_id, *key)) is not None},
    )

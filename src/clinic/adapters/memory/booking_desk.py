"""Booking in memory: the facts, and the one write that decides the race."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from clinic.adapters.memory.answers import MemoryAnswers, find_answer
from clinic.adapters.memory.constraints import (
    check_all,
    check_appointments,
    rivals_for_patient,
    rivals_for_standing,
)
from clinic.adapters.memory.people import doctor_of, is_patient_open, patient_of
from clinic.adapters.memory.sessions import check_signed_in
from clinic.adapters.memory.tables import Key, Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.appointments import OPEN, Appointment, Booking, BookingFacts
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyExists, ClinicNotFound, SlotTaken
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.people import Actor, Patient
from clinic.domain.slots import Slot


class MemoryBookingDesk:
    """Books, each time in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
    ) -> BookingFacts:
        tables, clinic_id = self._database.tables, asker.clinic_id
        clinic = tables.clinics.get(clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        check_signed_in(tables, clinic_id, asker)
        slot = tables.slots.get((clinic_id, slot_id))
        patient = patient_of(tables, clinic_id, patient_id)
        doctor = None if slot is None else doctor_of(tables, clinic_id, slot.doctor_id)
        return BookingFacts(
            clinic=clinic.without_contact(),
            slot=slot,
            doctor_name=doctor.name if doctor else "",
            patient=patient,
            stored=None if request is None else find_answer(tables, request),
            patient_open=is_patient_open(tables, clinic_id, patient_id),
            full_until=None if patient is None else _full_until(tables, clinic, patient),
        )

    async def take(self, booking: Booking) -> None:
        transaction = Transaction(self._database)
        try:
            await _write(transaction, booking)
            check_all(transaction.tables)
            transaction.merge()
        finally:
            transaction.end()


def _full_until(tables: Tables, clinic: Clinic, patient: Patient) -> datetime | None:
    """Return when as many open appointments as the clinic allows have begun but for the last."""
    starts = sorted(
        one.starts_at
        for one in tables.appointments.where("patient", (clinic.id, patient.id))
        if one.status in OPEN
    )
    allowed = clinic.policy.max_open_appointments
    return starts[-allowed] if len(starts) >= allowed else None


def _free_slot(tables: Tables, key: Key) -> Slot:
    slot = tables.slots.get(key)
    if slot is None or not slot.is_free:
        raise SlotTaken()
    return slot


async def _open_patient(transaction: Transaction, wanted: Appointment) -> None:
    """Wait for whoever disables the patient or ends the membership. Raises SlotTaken."""
    owner = (wanted.clinic_id, wanted.patient_id)
    await transaction.wait_until_no_rival(lambda other: rivals_for_standing(other, *owner))
    if transaction.tables.patients.get(owner) and not is_patient_open(transaction.tables, *owner):
        raise SlotTaken()


async def _write(transaction: Transaction, booking: Booking) -> None:
    tables = transaction.tables
    appointment = booking.appointment
    slot_key = (appointment.clinic_id, appointment.slot_id)
    await _open_patient(transaction, appointment)
    # PostgreSQL looks for a free slot before it waits for it, and again when it has it.
    _free_slot(tables, slot_key)
    await transaction.lock(("slot", *slot_key))
    slot = _free_slot(tables, slot_key)
    await _open_patient(transaction, appointment)
    tables.slots.put(slot_key, replace(slot, taken=True))
    key = (appointment.clinic_id, appointment.id)
    await transaction.lock(("appointment", *key))
    if tables.appointments.get(key) is not None:
        raise AlreadyExists()
    await transaction.wait_until_no_rival(lambda other: rivals_for_patient(other, [appointment]))
    tables.appointments.put(key, appointment)
    check_appointments(tables, [appointment])
    tables.audit.put(booking.audit.id, booking.audit)
    for message in booking.messages:
        tables.messages.put(message.id, message)
    if booking.stored is not None:
        await MemoryAnswers(transaction).add(booking.stored)

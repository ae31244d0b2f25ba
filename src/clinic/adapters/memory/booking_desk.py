"""Booking in memory: the facts it is decided on, and the write that decides a race."""

from uuid import UUID

from clinic.adapters.memory.adding import add_bookings
from clinic.adapters.memory.answers import find_answer
from clinic.adapters.memory.appointment_types import active_types
from clinic.adapters.memory.brakes import brakes_of
from clinic.adapters.memory.constraints import check_all
from clinic.adapters.memory.people import doctor_of, is_patient_open, patient_of
from clinic.adapters.memory.sessions import check_signed_in
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.appointments.appointments import Booking, BookingFacts, Status
from clinic.domain.appointments.types import NO_TYPE, BookableBy, TypeAsked, chosen_type
from clinic.domain.clinic import Brakes
from clinic.domain.errors import ClinicError, ClinicNotFound
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.people.people import Actor
from clinic.ports.booking_desk import DeprecatedDeskNames
from clinic.ports.figures import BOOKED, StoreFigures


class MemoryBookingDesk(DeprecatedDeskNames):
    """Books each appointment in its own transaction."""

    def __init__(self, database: Database, figures: StoreFigures) -> None:
        self._database = database
        self._figures = figures

    async def load_facts(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
        type: TypeAsked = NO_TYPE,
    ) -> BookingFacts:
        tables, clinic_id = self._database.tables, asker.clinic_id
        clinic = tables.clinics.get(clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        check_signed_in(tables, clinic_id, asker)
        slot = tables.slots.get((clinic_id, slot_id))
        patient = patient_of(tables, clinic_id, patient_id)
        doctor = None if slot is None else doctor_of(tables, clinic_id, slot.doctor_id)
        types = active_types(tables, clinic_id)
        brakes = Brakes()
        if patient is not None and slot is not None:
            brakes = brakes_of(tables, clinic, patient_id, slot)
        where = None
        if slot is not None and slot.location_id is not None:
            where = tables.locations.get((clinic_id, slot.location_id))
        found = chosen_type(types, type)
        asks_known = found is not None and found.bookable_by is BookableBy.KNOWN_PATIENTS
        return BookingFacts(
            clinic=clinic.without_contact(),
            slot=slot,
            doctor_name=doctor.name if doctor else "",
            patient=patient,
            stored=None if request is None else find_answer(tables, request),
            patient_open=is_patient_open(tables, clinic_id, patient_id),
            full_until=brakes.full_until,
            doctor_full_until=brakes.doctor_full_until,
            day_full_since=brakes.day_full_since,
            has_types=bool(types),
            type=found,
            patient_known=asks_known and _is_known(tables, clinic_id, patient_id),
            location_name=None if where is None else where.name,
        )

    async def reserve(self, booking: Booking) -> None:
        transaction = Transaction(self._database)
        self._figures.count_batch(1)
        try:
            await add_bookings(transaction, [booking])
            check_all(transaction.tables)
            transaction.merge()
            self._figures.count_booking(BOOKED)
        except ClinicError as error:
            self._figures.count_booking(error.code)
            raise
        finally:
            transaction.end()


def _is_known(tables: Tables, clinic_id: UUID, patient_id: UUID) -> bool:
    """Return whether an appointment of the patient is completed."""
    found = tables.appointments.where("patient", (clinic_id, patient_id))
    return any(one.status is Status.COMPLETED for one in found)

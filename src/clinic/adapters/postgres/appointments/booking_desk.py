"""Booking in two round trips on prepared connections."""

from collections.abc import Callable, Sequence
from uuid import UUID

from clinic.adapters.postgres.appointments.booking_facts import FACTS, IS_KNOWN, LOAD_FACTS
from clinic.adapters.postgres.appointments.booking_statement import reservation, reservations
from clinic.adapters.postgres.appointments.brakes import brakes_of
from clinic.adapters.postgres.appointments.known_types import KnownTypes
from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.adapters.postgres.engine.group_commit import GroupCommit
from clinic.adapters.postgres.idempotency.mapping import answer_of
from clinic.adapters.postgres.people.mapping import clinic_of
from clinic.adapters.postgres.people.session_checks import is_proven
from clinic.domain.appointments.appointments import Booking, BookingFacts
from clinic.domain.appointments.types import (
    NO_TYPE,
    BookableBy,
    TypeAsked,
    chosen_type,
)
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes
from clinic.domain.errors import ClinicError, ClinicNotFound, NotSignedIn, SlotTaken
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.people.people import Actor, Patient
from clinic.ports.booking_desk import DeprecatedDeskNames
from clinic.ports.figures import BOOKED, StoreFigures
from clinic.ports.unit_of_work import UnitOfWork


class PostgresBookingDesk(DeprecatedDeskNames):
    """Reads everything a booking needs, and books by one statement, which decides races."""

    def __init__(
        self,
        executor: PooledExecutor,
        begin: Callable[[], UnitOfWork],
        figures: StoreFigures,
        types: KnownTypes,
    ) -> None:
        self._executor = executor
        self._begin = begin
        self._figures = figures
        self._types = types
        self._commits = GroupCommit(self._reserve_one, self._reserve_many)
        #: of bookings that last beyond their slot
        self._long_commits = GroupCommit(self._reserve_one, self._reserve_many)

    async def load_facts(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
        type: TypeAsked = NO_TYPE,
    ) -> BookingFacts:
        """Return what is committed now, in one round trip that concurrent bookings share. Clinics
        with further limits need another one.

        Raises ClinicNotFound, NotSignedIn.
        """
        clinic_id, session_id = asker.clinic_id, asker.session_id
        principal_id, key = (request.principal_id, request.key) if request else (None, None)
        row = await self._executor.load(
            LOAD_FACTS, (clinic_id, slot_id, patient_id, principal_id, key, session_id)
        )
        if row is None:
            raise ClinicNotFound()
        clinic, slot, patient, answer, brakes, versions, proven = FACTS.parts(row)
        if session_id is not None and not is_proven(asker, proven):
            raise NotSignedIn()
        doctor_id, specialty, starts_at, ends_at, state, taken, lane, *rest = slot
        location_id, location_name, doctor_name = rest
        found_id, name, email, phone = patient
        full_until, patient_open = brakes
        found_clinic = clinic_of(clinic_id, clinic)
        found_slot = (
            None
            if doctor_id is None
            else Slot(
                slot_id,
                clinic_id,
                doctor_id,
                specialty,
                starts_at,
                ends_at,
                SlotState(state),
                taken,
                lane,
                location_id,
            )
        )
        further = Brakes()
        if found_clinic.policy.has_further_limits and found_slot is not None:
            further = await brakes_of(self._executor, found_clinic, patient_id, found_slot)
        types = await self._types.active(clinic_id, *versions)
        chosen = chosen_type(types, type)
        asks_known = chosen is not None and chosen.bookable_by is BookableBy.KNOWN_PATIENTS
        return BookingFacts(
            clinic=found_clinic,
            slot=found_slot,
            doctor_name=doctor_name or "",
            patient=None if found_id is None else Patient(clinic_id, found_id, name, email, phone),
            # The first column of a key that has an answer is never NULL.
            stored=None if request is None or answer[0] is None else answer_of(request, answer),
            full_until=full_until,
            doctor_full_until=further.doctor_full_until,
            day_full_since=further.day_full_since,
            patient_open=patient_open,
            has_types=bool(types),
            type=chosen,
            patient_known=asks_known and await self._is_known(clinic_id, patient_id),
            location_name=location_name,
        )

    async def _is_known(self, clinic_id: UUID, patient_id: UUID) -> bool:
        rows = await self._executor.fetch(IS_KNOWN, (clinic_id, patient_id))
        known: bool = rows[0][0]
        return known

    async def reserve(self, booking: Booking) -> None:
        """Write the booking by one statement, in one round trip; bookings that arrive while others
        are being written share one. One whose buffers reach beyond its slot, or that needs
        resources, has a transaction.

        Doctor and start must still be those of the slot, or the slot counts as taken.
        Raises SlotTaken, PatientBusy, NoResourceFree, IdempotencyConflict, TransactionAborted.
        """
        try:
            if booking.needs or (booking.reaches_beyond and booking.appointment.has_buffers):
                await self._reserve_places(booking)
            elif not booking.reaches_beyond:
                await self._commits.write(booking)
            else:
                await self._long_commits.write(booking)
        except ClinicError as error:
            self._figures.count_booking(error.code)
            raise
        self._figures.count_booking(BOOKED)

    async def _reserve_places(self, booking: Booking) -> None:
        self._figures.count_batch(1)
        appointment = booking.appointment
        async with self._begin() as unit:
            if appointment.before_min or appointment.after_min:
                # So that no slot is added meanwhile where a buffer reaches and there is none.
                await unit.calendars.lock_doctor(appointment.clinic_id, appointment.doctor_id)
            if booking.needs:
                await unit.appointments.reserve(booking)
            else:
                await unit.appointments.add([booking])
            await unit.commit()

    async def _reserve_one(self, booking: Booking) -> None:
        self._figures.count_batch(1)
        if not await self._executor.execute(*reservation(booking)):
            raise SlotTaken()

    async def _reserve_many(self, bookings: Sequence[Booking]) -> set[int]:
        self._figures.count_batch(len(bookings))
        rows = await self._executor.execute(*reservations(bookings))
        return {number for (number,) in rows}

"""Booking in two round trips on prepared connections."""

from collections.abc import Callable, Sequence
from uuid import UUID

from clinic.adapters.postgres.appointments.booking_facts import FACTS, LOAD_FACTS
from clinic.adapters.postgres.appointments.booking_statement import reservation, reservations
from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.adapters.postgres.engine.group_commit import GroupCommit
from clinic.adapters.postgres.engine.mapping import Part
from clinic.adapters.postgres.idempotency.mapping import answer_of
from clinic.adapters.postgres.people.mapping import clinic_of
from clinic.adapters.postgres.people.session_checks import is_proven
from clinic.domain.appointments.appointments import Booking, BookingFacts
from clinic.domain.appointments.types import (
    NO_TYPE,
    AppointmentType,
    BookableBy,
    Offer,
    TypeAsked,
)
from clinic.domain.calendar.slots import Slot, SlotState
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
    ) -> None:
        self._executor = executor
        self._begin = begin
        self._figures = figures
        self._commits = GroupCommit(self._reserve_one, self._reserve_many)

    async def load_facts(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
        type: TypeAsked = NO_TYPE,
    ) -> BookingFacts:
        """Return what is committed now, in one round trip that concurrent bookings share.

        Raises ClinicNotFound, NotSignedIn.
        """
        clinic_id, session_id = asker.clinic_id, asker.session_id
        principal_id, key = (request.principal_id, request.key) if request else (None, None)
        row = await self._executor.load(
            LOAD_FACTS,
            (clinic_id, slot_id, patient_id, principal_id, key, session_id, type.id, type.name),
        )
        if row is None:
            raise ClinicNotFound()
        clinic, slot, patient, answer, brakes, found_type, proven = FACTS.parts(row)
        if session_id is not None and not is_proven(asker, proven):
            raise NotSignedIn()
        doctor_id, specialty, starts_at, ends_at, state, taken, doctor_name = slot
        found_id, name, email, phone = patient
        full_until, patient_open = brakes
        has_types, patient_known, *type_columns = found_type
        return BookingFacts(
            clinic=clinic_of(clinic_id, clinic),
            slot=None
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
            ),
            doctor_name=doctor_name or "",
            patient=None if found_id is None else Patient(clinic_id, found_id, name, email, phone),
            # The first column of a key that has an answer is never NULL.
            stored=None if request is None or answer[0] is None else answer_of(request, answer),
            full_until=full_until,
            patient_open=patient_open,
            has_types=has_types,
            type=_type_of(clinic_id, type_columns),
            patient_known=patient_known,
        )

    async def reserve(self, booking: Booking) -> None:
        """Write the booking by one statement, in one round trip; bookings that arrive while others
        are being written share one. One that reaches beyond its slot has a transaction.

        Doctor and start must still be those of the slot, or the slot counts as taken.
        Raises SlotTaken, PatientBusy, IdempotencyConflict, TransactionAborted.
        """
        try:
            if booking.reaches_beyond:
                await self._reserve_places(booking)
            else:
                await self._commits.write(booking)
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


def _type_of(clinic_id: UUID, columns: Part) -> AppointmentType | None:
    """Return the type as far as a booking needs it, None when there is none."""
    type_id, name, visible_min, before_min, after_min, notice_min, horizon_days, *rest = columns
    if type_id is None:
        return None
    bookable_by, all_doctors, offered_by, own_min = rest
    return AppointmentType(
        type_id,
        clinic_id,
        name,
        visible_min,
        before_min,
        after_min,
        notice_min,
        horizon_days,
        BookableBy(bookable_by),
        None if all_doctors else () if offered_by is None else (Offer(offered_by, own_min),),
    )

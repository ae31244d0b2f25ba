"""Booking in two round trips on the hot pool."""

from collections.abc import Iterable
from uuid import UUID

from clinic.adapters.postgres.hot import LOOK, TAKE, TAKE_AND_ANSWER
from clinic.adapters.postgres.rows import answer_of, clinic_of
from clinic.adapters.postgres.sessions import PooledSession
from clinic.domain.appointments import Booking, BookingFacts
from clinic.domain.errors import ClinicNotFound, SlotTaken
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.notifications import Message
from clinic.domain.people import Patient
from clinic.domain.slots import Slot, SlotState

#: of a message, each an array in hot.TAKE
_MESSAGE_COLUMNS = 7


class PostgresBookingDesk:
    """Reads all that booking must know, and lets one statement decide the race."""

    def __init__(self, session: PooledSession) -> None:
        self._session = session

    async def look(
        self,
        clinic_id: UUID,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None,
        session_id: UUID | None = None,
    ) -> BookingFacts:
        """Return what is committed now, in one round trip, which bookings share that look at the
        same time. Raises ClinicNotFound."""
        principal_id, key = (request.principal_id, request.key) if request else (None, None)
        row = await self._session.ask(
            LOOK, (clinic_id, slot_id, patient_id, principal_id, key, session_id)
        )
        if row is None:
            raise ClinicNotFound()
        doctor_id, specialty, starts_at, ends_at, state, taken, doctor_name = row[7:14]
        patient, name, email, phone = row[14:18]
        return BookingFacts(
            clinic=clinic_of(clinic_id, row[:7]),
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
            patient=None if patient is None else Patient(clinic_id, patient, name, email, phone),
            stored=None if request is None or row[18] is None else answer_of(request, row[18:24]),
            signed_in=session_id is None or row[24],
        )

    async def take(self, booking: Booking) -> None:
        """Write the booking by one statement, in one round trip.

        Doctor and times go in as the slot has them; where the domain believed something else, the
        slot counts as gone. Raises SlotTaken, PatientBusy, IdempotencyConflict, TransactionAborted.
        """
        query, parameters = taking(booking)
        if await self._session.execute(query, parameters) != 1:
            raise SlotTaken()


def taking(booking: Booking) -> tuple[str, tuple[object, ...]]:
    """Return the statement that writes the booking, and its parameters."""
    parameters = _parameters(booking)
    if booking.stored is None:
        return TAKE, parameters
    request, answer = booking.stored.request, booking.stored.answer
    return TAKE_AND_ANSWER, (
        *parameters,
        request.principal_id,
        request.key,
        request.fingerprint,
        answer.status,
        answer.body,
        answer.location,
        answer.etag,
        booking.stored.created_at,
    )


def _parameters(booking: Booking) -> tuple[object, ...]:
    """Return what hot.TAKE takes, $1 to $29."""
    appointment, audit = booking.appointment, booking.audit
    return (
        appointment.clinic_id,
        appointment.slot_id,
        appointment.doctor_id,
        appointment.starts_at,
        appointment.ends_at,
        appointment.id,
        appointment.patient_id,
        appointment.type,
        appointment.status,
        appointment.version,
        appointment.schedule_version,
        appointment.status_by,
        appointment.created_at,
        audit.id,
        audit.at,
        audit.actor_id,
        audit.actor_role,
        audit.action,
        audit.reason,
        audit.request_id,
        audit.ip,
        audit.session_id,
        *_columns(booking.messages),
    )


def _columns(messages: Iterable[Message]) -> tuple[str, ...]:
    """Return the messages as an array for each column of hot.TAKE, $23 to $29.

    PostgreSQL's text of an array of words without spaces: ids, numbers, instants, kinds. The driver
    takes three times as long over a list.
    """
    rows = [
        (
            message.id.hex,
            message.kind,
            message.channel,
            str(message.version),
            message.scheduled_for.isoformat(),
            message.expires_at.isoformat(),
            message.created_at.isoformat(),
        )
        for message in messages
    ]
    columns = zip(*rows, strict=True) if rows else [()] * _MESSAGE_COLUMNS
    return tuple([f"{{{','.join(column)}}}" for column in columns])

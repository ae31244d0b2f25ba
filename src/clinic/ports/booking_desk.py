"""The hot path of booking: one read, and the one write that decides the race."""

import warnings
from typing import Protocol
from uuid import UUID

from clinic.domain.appointments.appointments import Booking, BookingFacts
from clinic.domain.appointments.types import NO_TYPE, TypeAsked
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.people.people import Actor


class BookingDesk(Protocol):
    """Books in two round trips: `load_facts`, then `reserve`. Neither opens a transaction of its
    own.

    Their former names `look` and `take` are deprecated and will be removed in version 0.2. The
    stores of this package still have them, through `DeprecatedDeskNames`.
    """

    async def load_facts(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
        type: TypeAsked = NO_TYPE,
    ) -> BookingFacts:
        """Return the committed facts that the domain needs to book; None for what is absent.

        The type is an active one of this id or name (whatever its case), or the default.
        `patient_known` is true only where the type asks for it. `doctor_full_until` and
        `day_full_since` are None where the clinic has no such limit.
        A slot or patient of a clinic other than the asker's is absent. Raises ClinicNotFound, and
        NotSignedIn unless the session of `asker` is valid: it exists at this clinic, is not
        revoked, and belongs to this user in this role, and the user has not been disabled or given
        another role. An asker without a session, such as the service itself, is not checked.
        """
        ...

    async def reserve(self, booking: Booking) -> None:
        """Take the slot and write appointment, audit entry, messages and answer, all or nothing.

        Waits for a concurrent change of a slot that is committed as open and free; any other slot
        is refused at once, even while it is being freed. Raises SlotTaken when the slot is no
        longer open and free, whatever the reason, or the patient can no longer be booked for;
        PatientBusy when the patient has another occupying appointment that overlaps;
        NoResourceFree with its `kind` when no resource of a kind that it needs is free;
        IdempotencyConflict when the key already has an answer; TransactionAborted when the write
        was rolled back because of another; OutcomeUnknown when the connection to the database is
        lost before it has confirmed the write.
        """
        ...


class DeprecatedDeskNames:
    """The former names of `BookingDesk`'s methods; each warns and calls the new one."""

    async def look(
        self: BookingDesk,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
    ) -> BookingFacts:
        """Deprecated: use `load_facts`."""
        _warn("look", "load_facts")
        return await self.load_facts(asker, slot_id, patient_id, request)

    async def take(self: BookingDesk, booking: Booking) -> None:
        """Deprecated: use `reserve`."""
        _warn("take", "reserve")
        await self.reserve(booking)


def _warn(old: str, new: str) -> None:
    message = f"BookingDesk.{old} is now {new}; the old name will be removed in version 0.2"
    warnings.warn(message, DeprecationWarning, stacklevel=3)

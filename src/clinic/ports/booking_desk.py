"""The hot path: what booking reads, and the one write that decides the race."""

import warnings
from typing import Protocol
from uuid import UUID

from clinic.domain.appointments.appointments import Booking, BookingFacts
from clinic.domain.idempotency import IdempotentRequest
from clinic.domain.people.people import Actor


class BookingDesk(Protocol):
    """Books in two round trips: `load_facts`, then `reserve`. Neither opens a transaction of its
    own.

    Both had other names before, `look` and `take`: deprecated, and gone in version 0.2. The stores
    of this package still answer to them, by `DeprecatedDeskNames`.
    """

    async def load_facts(
        self,
        asker: Actor,
        slot_id: UUID,
        patient_id: UUID,
        request: IdempotentRequest | None = None,
    ) -> BookingFacts:
        """Return all that the domain must know, as it is committed now; None is what is absent.

        A slot or patient of a clinic that is not the asker's is absent. Raises ClinicNotFound, and
        NotSignedIn unless the session that `asker` names counts: it exists at this clinic, is not
        revoked, and is of this user in this role, who is neither disabled nor in another role by
        now. An asker without a session, such as the service itself, is not checked.
        """
        ...

    async def reserve(self, booking: Booking) -> None:
        """Take the slot and write appointment, audit entry, messages and answer, all or nothing.

        Waits for a change under way of a slot that is open and free so far; any other is refused
        at once, even while it is being freed. Raises SlotTaken when the slot is no longer open
        and free, whatever the reason, or nobody may book for the patient any more; PatientBusy when
        the patient has another occupying appointment that overlaps; IdempotencyConflict when the
        key has an answer already; TransactionAborted when the write gave way to another one;
        OutcomeUnknown when the database is lost before it has said that it is done.
        """
        ...


class DeprecatedDeskNames:
    """The names that `BookingDesk` had before; each warns, and calls the new one."""

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
    message = f"BookingDesk.{old} is now {new}; the old name is gone in version 0.2"
    warnings.warn(message, DeprecationWarning, stacklevel=3)

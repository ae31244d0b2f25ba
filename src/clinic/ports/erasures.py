"""Erasing what is kept about a patient beside the account, and the list of what is left to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.audit.seals import Trail


@dataclass(frozen=True, slots=True)
class ErasableText:
    """A free text about a patient in a row of a trail."""

    trail: Trail
    clinic_id: UUID
    row_id: UUID
    #: a hash of the row without the text, as TrailRow.rest
    rest: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is not finished: requests that had begun before it may still write, and
    copies of answers are in a cache that may have been away."""

    clinic_id: UUID
    user_id: UUID
    erased_at: datetime
    #: as idempotency.copy_name names them
    copies: tuple[bytes, ...]


class ErasureList(Protocol):
    async def unfinished(self, *, limit: int) -> Sequence[Erasure]:
        """Return up to `limit` erasures that are not finished, earliest first."""
        ...


class Erasures(Protocol):
    """Erasing, inside a unit of work."""

    async def texts(self, user_id: UUID) -> Sequence[ErasableText]:
        """Return every free text about the patient in the trails that is not erased: reasons of
        changes of the patient's appointments and of their partners in a swap, reasons of events
        about or by the patient or about a message, errors of messages.

        Waits for changes of the patient's appointments and messages under way.
        """
        ...

    async def blank(self, user_id: UUID, texts: Sequence[ErasableText]) -> None:
        """Put ERASED in place of the texts.

        Each must be named by an event of this unit of work, as `erase_user` makes them.
        """
        ...

    async def clear(self, user_id: UUID) -> Sequence[bytes]:
        """Remove the patient's sessions, preferences, waiting messages and dead letters, the type
        of each appointment, and what the mail server said of messages under way; leave, of every
        stored answer that was given to the patient or shows the patient's id, what `erased` leaves.
        Return the names of the copies of the answers that were not erased before.

        Waits as `texts` does. Texts of events about a message that it removes are not found any
        more: blank them before.
        """
        ...

    async def remember(self, erasure: Erasure) -> None:
        """Add to the list; one that is there gains the copies and starts over."""
        ...

    async def finish(self, erasure: Erasure) -> None:
        """Take from the list, unless it has changed."""
        ...

"""Erasing a patient's data outside the account, and the list of unfinished erasures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.audit.seals import Trail


@dataclass(frozen=True, slots=True)
class ErasableText:
    """Free text about a patient in a row of a trail."""

    trail: Trail
    clinic_id: UUID
    row_id: UUID
    #: a hash of the row without the text, as TrailRow.rest
    rest: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """An unfinished erasure: requests that began before it may still write, and copies of answers
    may be left in a cache that could not be reached."""

    clinic_id: UUID
    user_id: UUID
    erased_at: datetime
    #: names from idempotency.copy_name
    copies: tuple[bytes, ...]


class ErasureList(Protocol):
    async def unfinished(self, *, limit: int) -> Sequence[Erasure]:
        """Return up to `limit` erasures that are not finished, earliest first."""
        ...


class Erasures(Protocol):
    """Erasing, inside a unit of work."""

    async def texts(self, user_id: UUID) -> Sequence[ErasableText]:
        """Return every unerased free text about the patient in the trails: reasons for changes of
        the patient's appointments and of their partners in a swap, reasons of events about or by
        the patient or about a message, errors of messages.

        Waits for concurrent changes of the patient's appointments and messages.
        """
        ...

    async def blank(self, user_id: UUID, texts: Sequence[ErasableText]) -> None:
        """Replace the texts with ERASED.

        Each must be named by an event of this unit of work, as `erase_user` creates them.
        """
        ...

    async def clear(self, user_id: UUID) -> Sequence[bytes]:
        """Remove the patient's sessions, preferences, waiting messages and dead letters, the type
        of each appointment, and the mail server's replies about messages in flight; replace every
        stored answer that was given to the patient or shows the patient's id with `erased` of it.
        Return the names of the copies of the answers that were not erased before.

        Waits as `texts` does. `texts` no longer finds events about a message removed here: blank
        them first.
        """
        ...

    async def remember(self, erasure: Erasure) -> None:
        """Add to the list; an erasure already listed gains the copies and starts over."""
        ...

    async def finish(self, erasure: Erasure) -> None:
        """Remove from the list, unless it has changed."""
        ...
